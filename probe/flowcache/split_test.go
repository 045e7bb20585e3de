package flowcache_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// TestSplit: packets with the same key go together, and so do the two directions when the key has both addresses; the
// caches get about as many flows each.
func TestSplit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		key        flowcache.KeyFields
		directions bool
		same       func(p *flowcache.Packet) // changes what is not in the key
	}{
		{flowcache.DefaultKey, true, func(p *flowcache.Packet) { p.VLAN++; p.TCPFlags++; p.SrcMAC[0]++ }},
		{flowcache.KeyFiveTuple, true, func(p *flowcache.Packet) { p.TOS++ }},
		{flowcache.KeySrcAddr | flowcache.KeyDstAddr, true, func(p *flowcache.Packet) { p.SrcPort++; p.DstPort--; p.Proto = 99 }},
		{flowcache.KeySrcAddr | flowcache.KeyDstAddr | flowcache.KeyDstPort, true, func(p *flowcache.Packet) { p.SrcPort++ }},
		{flowcache.KeySrcAddr, false, func(p *flowcache.Packet) { p.Dst[3]++; p.SrcPort++; p.DstPort-- }},
		{flowcache.KeyDstAddr | flowcache.KeyDstPort, false, func(p *flowcache.Packet) { p.Src[3]++; p.SrcPort++ }},
		{flowcache.KeySrcMAC | flowcache.KeyDstMAC, false, func(p *flowcache.Packet) { p.Src[3]++; p.SrcPort++ }},
	} {
		for _, n := range []int{1, 2, 3, 8, 64} {
			split := flowcache.NewSplit(flowcache.Config{Key: test.key}, n)
			got := make([]int, n)
			const flows = 8000
			for i := range flows {
				p := flowcache.Packet{Input: uint32(i % 3)}
				p.Src, p.Dst = netflow.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), netflow.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
				p.SrcPort, p.DstPort, p.Proto, p.IPVersion = uint16(rnd.Uint32()), 443, netflow.ProtoTCP, 4
				p.SrcMAC = netflow.MACFrom(uint64(i) * 7)
				if i%4 == 0 {
					p.Proto, p.SrcPort, p.DstPort = netflow.ProtoICMP, 0, 8<<8
				}
				to := split.Of(&p)
				got[to]++
				other := p
				test.same(&other)
				if o := split.Of(&other); o != to {
					t.Fatalf("%v: %d and %d of %d: the key is the same", test.key, to, o, n)
				}
				back := p
				back.Src, back.Dst, back.SrcPort, back.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
				if p.Proto == netflow.ProtoICMP {
					back.SrcPort, back.DstPort = 0, 0 // the answer
				}
				if o := split.Of(&back); test.directions && o != to {
					t.Fatalf("%v: %d and %d of %d, by direction", test.key, to, o, n)
				}
			}
			for i, k := range got {
				if k < flows/n/2 || k > flows/n*2 {
					t.Errorf("%v: cache %d of %d has %d of %d flows", test.key, i, n, k, flows)
				}
			}
		}
	}
}

// TestFollow: a cache that follows the clock ends its flows as if it had seen the other packets, which it does not count.
func TestFollow(t *testing.T) {
	c := newCache(t, flowcache.Config{})
	var got []netflow.Record
	emit := func(r *netflow.Record) { got = append(got, *r) }
	p := &dissect.Packet{IPVersion: 4, IPBytes: 40}
	const s = second
	c.Follow(90*s, emit) // before there is a packet
	c.Add(100*s, 1, p, emit)
	c.Follow(110*s, emit)
	c.Add(105*s, 1, p, emit) // counts at 110 s: not idle before 125 s
	c.Follow(124*s, emit)
	c.Expire(124*s, emit)
	if len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	c.Follow(126*s, emit)
	c.Expire(126*s, emit)
	if len(got) != 1 || got[0].EndReason != netflow.EndReasonIdle || got[0].Packets != 2 || got[0].End != 105*s {
		t.Fatalf("%+v, want the flow", got)
	}
	c.Add(127*s, 1, p, emit)
	c.Follow(1*s, emit) // a step: all flows end
	if len(got) != 2 || got[1].EndReason != netflow.EndReasonForced {
		t.Fatalf("%+v, want another one", got)
	}
	if st := c.Stats(); st.Packets != 3 || st.Backwards != 1 || st.ClockSteps != 0 {
		t.Errorf("%+v, want three packets, one of them late", st)
	}
}

// TestSharedClock: it tells what a cache would do.
func TestSharedClock(t *testing.T) {
	c := flowcache.NewClock(flowcache.Config{})
	const s = second
	for i, test := range []struct {
		t, before netflow.Timestamp
		kind      flowcache.Kind
	}{
		{500 * s, 0, flowcache.Forward}, {500 * s, 500 * s, flowcache.Forward}, {501 * s, 500 * s, flowcache.Forward},
		{381 * s, 501 * s, flowcache.Behind}, {381*s - 1, 501 * s, flowcache.Step}, {382 * s, 381*s - 1, flowcache.Forward},
	} {
		if before, kind := c.Take(test.t); before != test.before || kind != test.kind {
			t.Errorf("%d: before %d, kind %d, want %d, %d", i, before, kind, test.before, test.kind)
		}
	}
	if c.Now() != 382*s {
		t.Errorf("now %d", c.Now())
	}
	c.SetTimeouts(time.Second, time.Minute)
	if _, kind := c.Take(381 * s); kind != flowcache.Behind {
		t.Errorf("kind %d, want %d", kind, flowcache.Behind)
	}
	if _, kind := c.Take(380 * s); kind != flowcache.Step {
		t.Errorf("kind %d, want %d", kind, flowcache.Step)
	}
}
