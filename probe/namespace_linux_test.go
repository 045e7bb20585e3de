package probe_test

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
	"github.com/caprock-net/caprock/probe"
)

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// frameOf is an Ethernet frame of a UDP packet from 192.0.2.FROM to 192.0.2.2, of size bytes in all. Each tag is TPID and TCI.
func frameOf(from byte, number uint32, size int, tags ...uint16) []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for _, tag := range tags {
		b = binary.BigEndian.AppendUint16(b, tag)
	}
	b = binary.BigEndian.AppendUint16(b, 0x0800)
	length := size - len(b)
	b = append(b, 0x45, 0, byte(length>>8), byte(length), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, from, 192, 0, 2, 2)
	b = append(b, 0, 7, 0, 9, byte((length-20)>>8), byte(length-20), 0, 0)
	b = binary.BigEndian.AppendUint32(b, number)
	for len(b) < size {
		b = append(b, byte(len(b))^byte(number))
	}
	return b
}

// flows is a collector that keeps what it gets.
type flows struct {
	conn    *net.UDPConn
	batch   *netflow.Batch
	packets atomic.Uint64 // in the flows
	err     error
	done    chan struct{}
}

func collect(t *testing.T) *flows {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(8 << 20)
	f := &flows{conn: conn, batch: netflow.NewBatch(1 << 14), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		domain := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, netflow.VersionIPFIX)
		var report template.Report
		for b := make([]byte, 1<<16); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			from := f.batch.Len()
			if err := ipfix.Decode(f.batch, domain, b[:n], &report); err != nil {
				f.err = err
			}
			for i := from; i < f.batch.Len(); i++ {
				f.packets.Add(f.batch.Record(i).Packets)
			}
		}
	}()
	t.Cleanup(func() { conn.Close() })
	return f
}

func (f *flows) address() string { return f.conn.LocalAddr().String() }

// stop waits until flows of so many packets have arrived, and returns the packets by interface and last byte of the source
// address.
func (f *flows) stop(t *testing.T, want uint64) map[[2]int]uint64 {
	t.Helper()
	eventually(t, "all flows are collected", func() bool { return f.packets.Load() >= want })
	f.conn.Close()
	<-f.done
	if f.err != nil {
		t.Error(f.err)
	}
	packets := map[[2]int]uint64{}
	for i := range f.batch.Len() {
		r := f.batch.Record(i)
		packets[[2]int{int(r.Input), int(r.SrcAddr[15])}] += r.Packets
	}
	return packets
}

// summaryOf returns a summary that adds up.
func summaryOf(t *testing.T, p *probe.Probe) probe.Summary {
	t.Helper()
	s := p.Summary()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	return s
}
