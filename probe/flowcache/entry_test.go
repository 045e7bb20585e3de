package flowcache

import (
	"math"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// TestCounterOfPackets: a flow of more packets than its entry can count ends, and the next one of its key begins; none is
// lost.
func TestCounterOfPackets(t *testing.T) {
	c, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var got []netflow.Record
	emit := func(r *netflow.Record) { got = append(got, *r) }
	p := dissect.Packet{IPVersion: 4, Proto: netflow.ProtoUDP, SrcPort: 1, DstPort: 2, IPBytes: 40}
	c.Add(1e6, 1, &p, emit)
	c.slab[1].packets = math.MaxUint32 - 1 // as if so many had come
	for range 3 {
		c.Add(1e6, 1, &p, emit)
	}
	c.Flush(emit)
	want := [][2]uint64{{math.MaxUint32, netflow.EndReasonActive}, {2, netflow.EndReasonForced}}
	if len(got) != len(want) {
		t.Fatalf("%d flows, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.Packets != want[i][0] || uint64(r.EndReason) != want[i][1] {
			t.Errorf("flow %d: %d packets, reason %d, want %v", i, r.Packets, r.EndReason, want[i])
		}
	}
}

// TestSpareBits: what an entry keeps in the spare bits of its key does not touch the rest, nor each other.
func TestSpareBits(t *testing.T) {
	p := Packet{Input: 1<<32 - 1}
	p.VLAN, p.TOS, p.Proto, p.IPVersion, p.SrcPort, p.DstPort = 0xfff, 0xff, 0xff, 6, 0xffff, 0xffff
	p.SrcMAC, p.DstMAC = netflow.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, netflow.MAC{1, 2, 3, 4, 5, 6}
	var e entry
	e.key.load(&p)
	before := e.key
	every := (KeyDstMAC<<1 - 1).mask()
	for _, prev := range []uint32{0, 1, headBit, 1<<32 - 1, 0x12345678} {
		e.setPrev(prev)
		e.key[5] |= 0x1ff<<flagsShift | endingBit
		if e.prev() != prev || e.flags() != 0x1ff || !e.ending() || !same(&e.key, &before, &every, true) {
			t.Errorf("prev %#x: %#x, flags %#x, ending %v, key %x, want %x", prev, e.prev(), e.flags(), e.ending(), e.key, before)
		}
		e.key[5] &^= endingBit
		if e.ending() || e.flags() != 0x1ff {
			t.Error("the bit of ending touches the flags")
		}
	}
}
