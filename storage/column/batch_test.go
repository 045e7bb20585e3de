package column_test

import (
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

func TestFromBatch(t *testing.T) {
	b := netflow.NewBatch(10)
	port := netflow.SetOf(netflow.SrcPort, netflow.SrcAddr, netflow.SrcMAC, netflow.Start)
	b.Extend(3, port)
	b.SrcPort[1], b.Start[2] = 443, -5
	b.SrcAddr[0] = netflow.AddrFrom4([4]byte{10, 0, 0, 1})
	b.SrcMAC[2] = netflow.MAC{0, 0x1b, 0x21, 1, 2, 3}
	c := column.FromBatch(b)
	if c.Rows() != 3 {
		t.Errorf("%d rows, want 3", c.Rows())
	}
	var v column.Vector
	read := func(col netflow.Column) {
		t.Helper()
		if err := c.Read(col, &v); err != nil {
			t.Fatal(err)
		}
	}
	if read(netflow.SrcPort); v.Coded || len(v.Num) != 3 || v.Num[1] != 443 {
		t.Errorf("src_port: %+v", v)
	}
	if read(netflow.Start); int64(v.Num[2]) != -5 {
		t.Errorf("start: %+v", v)
	}
	if read(netflow.SrcMAC); v.Num[2] != 0x001b21010203 {
		t.Errorf("src_mac: %+v", v)
	}
	if read(netflow.SrcAddr); v.Addr[0] != b.SrcAddr[0] || !v.Addr[1].IsZero() {
		t.Errorf("src_addr: %+v", v)
	}
	b.SrcAddr[0] = netflow.Addr{}
	if v.Addr[0].IsZero() {
		t.Error("the vector aliases the batch")
	}
	for _, col := range []netflow.Column{netflow.DstPort, netflow.DstAddr} {
		read(col)
		if !v.Coded || len(v.Codes) != 3 || v.Codes[2] != 0 || len(v.Num)+len(v.Addr) != 1 {
			t.Errorf("absent %v: %+v", col, v)
		}
	}
	if lo, hi, ok := c.Bounds(netflow.DstPort); lo != 0 || hi != 0 || !ok {
		t.Errorf("bounds of an absent column: %d, %d, %v", lo, hi, ok)
	}
	if _, _, ok := c.Bounds(netflow.SrcPort); ok {
		t.Error("bounds of a column that was not read")
	}
	if c.MayContain(netflow.DstAddr, netflow.AddrFrom4([4]byte{10, 0, 0, 1})) || !c.MayContain(netflow.SrcAddr, netflow.Addr{}) {
		t.Error("MayContain")
	}
	if err := c.Read(netflow.Column(netflow.NumColumns), &v); err == nil {
		t.Error("an unknown column can be read")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
