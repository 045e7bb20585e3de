package query

import (
	"iter"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// memChunk is a chunk in memory. Which columns are coded, in what order the dictionary is and what bounds are known is
// drawn by lot, as far as the contract of column.Chunk leaves it open.
type memChunk struct {
	records []netflow.Record
	seed    uint64
	opened  *atomic.Int64 // counts chunks not closed yet
	read    netflow.ColumnSet
	fail    netflow.ColumnSet // columns that can't be read
}

var errUnreadable = errorString("unreadable column")

type errorString string

func (e errorString) Error() string { return string(e) }

func (c *memChunk) Rows() int { return len(c.records) }

// lot is one of 0 to n-1, always the same for a column.
func (c *memChunk) lot(col netflow.Column, salt uint64, n int) int {
	return rand.New(rand.NewPCG(c.seed, uint64(col)<<8|salt)).IntN(n)
}

func (c *memChunk) Read(col netflow.Column, v *column.Vector) error {
	v.Reset()
	c.read |= netflow.SetOf(col)
	if c.fail.Has(col) {
		return errUnreadable
	}
	v.Coded = c.lot(col, 1, 2) == 0
	if col.Kind() == netflow.KindAddr {
		v.Addr, v.Codes = code(c, v.Coded, v.Addr, v.Codes, func(r *netflow.Record) netflow.Addr { return addrOf(r, col) })
		return nil
	}
	v.Num, v.Codes = code(c, v.Coded, v.Num, v.Codes, func(r *netflow.Record) uint64 { return numberOf(r, col) })
	return nil
}

func code[T comparable](c *memChunk, coded bool, values []T, codes []uint32, get func(*netflow.Record) T) ([]T, []uint32) {
	index := make(map[T]uint32)
	for i := range c.records {
		value := get(&c.records[i])
		if !coded {
			values = append(values, value)
			continue
		}
		n, ok := index[value]
		if !ok {
			n = uint32(len(values))
			index[value] = n
			values = append(values, value)
		}
		codes = append(codes, n)
	}
	if coded {
		var unused T
		values = append(values, unused)
	}
	return values, codes
}

func (c *memChunk) Bounds(col netflow.Column) (lo, hi uint64, ok bool) {
	if len(c.records) == 0 || c.lot(col, 2, 4) == 0 {
		return 0, 0, false
	}
	less := func(a, b uint64) bool { return a < b }
	if col.Kind() == netflow.KindTime {
		less = func(a, b uint64) bool { return int64(a) < int64(b) }
	}
	for i := range c.records {
		n := numberOf(&c.records[i], col)
		if i == 0 || less(n, lo) {
			lo = n
		}
		if i == 0 || less(hi, n) {
			hi = n
		}
	}
	return lo, hi, true
}

func (c *memChunk) MayContain(col netflow.Column, a netflow.Addr) bool {
	for i := range c.records {
		if addrOf(&c.records[i], col) == a {
			return true
		}
	}
	return c.lot(col, uint64(a[15]), 4) == 0
}

func (c *memChunk) Close() error {
	if c.opened != nil {
		c.opened.Add(-1)
	}
	return nil
}

func addrOf(r *netflow.Record, c netflow.Column) netflow.Addr {
	switch c {
	case netflow.SrcAddr:
		return r.SrcAddr
	case netflow.DstAddr:
		return r.DstAddr
	case netflow.TunnelSrcAddr:
		return r.TunnelSrcAddr
	case netflow.TunnelDstAddr:
		return r.TunnelDstAddr
	case netflow.NextHop:
		return r.NextHop
	case netflow.Exporter:
		return r.Exporter
	}
	panic("not an address")
}

func numberOf(r *netflow.Record, c netflow.Column) uint64 {
	switch c {
	case netflow.Start:
		return uint64(r.Start)
	case netflow.End:
		return uint64(r.End)
	case netflow.Received:
		return uint64(r.Received)
	case netflow.SrcPort:
		return uint64(r.SrcPort)
	case netflow.DstPort:
		return uint64(r.DstPort)
	case netflow.Proto:
		return uint64(r.Proto)
	case netflow.TCPFlags:
		return uint64(r.TCPFlags)
	case netflow.TOS:
		return uint64(r.TOS)
	case netflow.Packets:
		return r.Packets
	case netflow.Bytes:
		return r.Bytes
	case netflow.ReversePackets:
		return r.ReversePackets
	case netflow.ReverseBytes:
		return r.ReverseBytes
	case netflow.Domain:
		return uint64(r.Domain)
	case netflow.Input:
		return uint64(r.Input)
	case netflow.Output:
		return uint64(r.Output)
	case netflow.SrcAS:
		return uint64(r.SrcAS)
	case netflow.DstAS:
		return uint64(r.DstAS)
	case netflow.SrcMask:
		return uint64(r.SrcMask)
	case netflow.DstMask:
		return uint64(r.DstMask)
	case netflow.VLAN:
		return uint64(r.VLAN)
	case netflow.Direction:
		return uint64(r.Direction)
	case netflow.EndReason:
		return uint64(r.EndReason)
	case netflow.SamplingRate:
		return uint64(r.SamplingRate)
	case netflow.ICMPType:
		return uint64(r.ICMPType)
	case netflow.ICMPCode:
		return uint64(r.ICMPCode)
	case netflow.SrcMAC:
		return r.SrcMAC.Uint64()
	case netflow.DstMAC:
		return r.DstMAC.Uint64()
	case netflow.ReverseTCPFlags:
		return uint64(r.ReverseTCPFlags)
	case netflow.IPVersion:
		return uint64(r.IPVersion)
	case netflow.ForwardingStatus:
		return uint64(r.ForwardingStatus)
	case netflow.ExportVersion:
		return uint64(r.ExportVersion)
	case netflow.CustomerVLAN:
		return uint64(r.CustomerVLAN)
	case netflow.MinTTL:
		return uint64(r.MinTTL)
	case netflow.MaxTTL:
		return uint64(r.MaxTTL)
	case netflow.MinLength:
		return uint64(r.MinLength)
	case netflow.MaxLength:
		return uint64(r.MaxLength)
	case netflow.FragmentFlags:
		return uint64(r.FragmentFlags)
	case netflow.MPLSLabel:
		return uint64(r.MPLSLabel)
	case netflow.TunnelID:
		return uint64(r.TunnelID)
	case netflow.TCPRTT:
		return uint64(r.TCPRTT)
	case netflow.TCPRetransmits:
		return uint64(r.TCPRetransmits)
	case netflow.TunnelProto:
		return uint64(r.TunnelProto)
	case netflow.TunnelType:
		return uint64(r.TunnelType)
	case netflow.ReverseTCPRetransmits:
		return uint64(r.ReverseTCPRetransmits)
	}
	panic("not a number")
}

// chunksOf cuts records into chunks of random sizes; opened counts those not closed.
func chunksOf(rnd *rand.Rand, records []netflow.Record, opened *atomic.Int64) iter.Seq2[column.Chunk, error] {
	return func(yield func(column.Chunk, error) bool) {
		for len(records) > 0 {
			n := min(len(records), rnd.IntN(300))
			opened.Add(1)
			var c column.Chunk = &memChunk{records: records[:n], seed: rnd.Uint64(), opened: opened}
			if rnd.IntN(4) == 0 {
				b := netflow.NewBatch(n)
				for i := range records[:n] {
					b.Append(&records[i])
				}
				c = closing{column.FromBatch(b), opened}
			}
			records = records[n:]
			if !yield(c, nil) {
				return
			}
		}
	}
}

type closing struct {
	column.Chunk
	opened *atomic.Int64
}

func (c closing) Close() error {
	c.opened.Add(-1)
	return c.Chunk.Close()
}

func addr(s string) netflow.Addr { return netflow.AddrFrom(netip.MustParseAddr(s)) }

// testEpoch is a little before clocks in Berlin go back, 2026-10-25T01:00:00Z.
const testEpoch = netflow.Timestamp(1792882800000000)

// randomRecord draws a flow from small sets of values, so that tests find and groups meet.
func randomRecord(rnd *rand.Rand) netflow.Record {
	pick := func(n ...int) int { return n[rnd.IntN(len(n))] }
	r := netflow.Record{
		Proto: uint8(pick(1, 6, 6, 6, 17, 17, 58, 132, 47)), TOS: uint8(pick(0, 0, 8, 184)),
		SrcPort: uint16(pick(0, 53, 80, 443, 1024, 40000, 65535)), DstPort: uint16(pick(0, 53, 80, 443, 771, 8080, 51820)),
		TCPFlags: uint16(rnd.IntN(512)), ReverseTCPFlags: uint16(pick(0, 0, 2, 18)),
		Packets: uint64(pick(0, 1, 1, 2, 10, 1000)), Bytes: uint64(pick(0, 40, 64, 1500, 15000000, 15000001)),
		ReversePackets: uint64(pick(0, 0, 0, 1, 7)), ReverseBytes: uint64(pick(0, 0, 0, 60, 1500)),
		Domain: uint32(pick(0, 1, 256)), Input: uint32(pick(0, 1, 2, 70000)), Output: uint32(pick(0, 1, 3)),
		SrcAS: uint32(pick(0, 64500, 4200000000)), DstAS: uint32(pick(0, 64500, 64501)),
		SamplingRate: uint32(pick(0, 1, 100)), VLAN: uint16(pick(0, 0, 10, 4094)), Direction: uint8(pick(0, 0, 1)),
		SrcMask: uint8(pick(0, 8, 24, 64, 200)), DstMask: uint8(pick(0, 16, 32)), EndReason: uint8(pick(0, 1, 2, 3, 5)),
		ICMPType: uint8(pick(0, 3, 8)), ICMPCode: uint8(pick(0, 1)), ForwardingStatus: uint8(pick(0, 64, 130)),
		ExportVersion: uint8(pick(0, 5, 9, 10)), IPVersion: uint8(pick(4, 4, 4, 6, 6, 0)),
		Exporter:      []netflow.Addr{{}, addr("192.0.2.1"), addr("2001:db8::fe")}[rnd.IntN(3)],
		NextHop:       []netflow.Addr{{}, addr("192.0.2.254"), addr("0.0.0.0")}[rnd.IntN(3)],
		TunnelSrcAddr: []netflow.Addr{{}, addr("192.0.2.1"), addr("192.0.2.2")}[rnd.IntN(3)], TunnelProto: uint8(pick(0, 17, 47)),
		TunnelDstAddr: []netflow.Addr{{}, addr("192.0.2.2"), addr("198.51.100.9")}[rnd.IntN(3)], TunnelType: uint8(pick(0, 1)),
		TunnelID: uint32(pick(0, 42, 5001)),
		SrcMAC:   netflow.MACFrom(uint64(pick(0, 0x001122334455, 1))), DstMAC: netflow.MACFrom(uint64(pick(0, 2))),
	}
	ends := []netflow.Addr{addr("10.0.0.1"), addr("10.0.0.2"), addr("10.1.2.3"), addr("192.168.1.1"), addr("255.255.255.255"), addr("0.0.0.0")}
	if r.IPVersion == 6 {
		ends = []netflow.Addr{addr("2001:db8::1"), addr("2001:db8::2"), addr("2001:db8:0:1::1"), addr("::"), addr("ffff::1")}
	}
	if r.IPVersion != 0 {
		r.SrcAddr, r.DstAddr = ends[rnd.IntN(len(ends))], ends[rnd.IntN(len(ends))]
	}
	if rnd.IntN(8) != 0 {
		r.Start = testEpoch + netflow.Timestamp(rnd.IntN(4))*3600e6 + netflow.Timestamp(rnd.IntN(5000))*1e3
		r.End = r.Start + netflow.Timestamp(pick(0, 1, 999, 1000, 1500000, 3600e6, -5000))
	}
	r.Received = testEpoch + netflow.Timestamp(rnd.IntN(100))*1e6
	return r
}

func randomRecords(rnd *rand.Rand, n int) []netflow.Record {
	records := make([]netflow.Record, n)
	for i := range records {
		records[i] = randomRecord(rnd)
	}
	return records
}
