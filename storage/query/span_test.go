package query

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func TestSpanSets(t *testing.T) {
	rnd := rand.New(rand.NewPCG(21, 22))
	edges := []uint64{0, 1, 2, 3, 5, 8, 1<<64 - 3, 1<<64 - 2, 1<<64 - 1}
	pick := func() uint64 { return edges[rnd.IntN(len(edges))] }
	for range 5000 {
		var spans []span
		var addrs []addrSpan
		for range rnd.IntN(5) {
			a, b := pick(), pick()
			spans = append(spans, span{min(a, b), max(a, b)})
			x, y := wide{pick(), pick()}, wide{pick(), pick()}
			if y.less(x) {
				x, y = y, x
			}
			addrs = append(addrs, addrSpan{x, y})
		}
		s, w := newNumberSet(spans), newAddrSet(addrs)
		out, without, lost := s.complement(), s.without(3), w.without(addrSpan{wide{0, 3}, wide{2, 0}})
		for _, v := range edges {
			want := slices.ContainsFunc(spans, func(x span) bool { return x.lo <= v && v <= x.hi })
			if s.has(v) != want || out.has(v) == want || without.has(v) != (want && v != 3) {
				t.Fatalf("%v: has(%d) = %v, complement %v, without 3 %v", spans, v, s.has(v), out, without)
			}
			for _, lo := range edges {
				a := wide{v, lo}
				want := slices.ContainsFunc(addrs, func(x addrSpan) bool { return !a.less(x.lo) && !x.hi.less(a) })
				cut := !a.less(wide{0, 3}) && !(wide{2, 0}).less(a)
				if w.has(a) != want || w.complement().has(a) == want || lost.has(a) != (want && !cut) {
					t.Fatalf("%v: %v: got %v, want %v, %v", addrs, a, w.has(a), want, lost)
				}
			}
		}
	}
	p := netip.MustParsePrefix("10.0.0.0/8")
	lo, hi := addr("10.0.0.0"), addr("10.255.255.255")
	if got := prefixSet([]netip.Prefix{p}); len(got) != 1 || got[0] != (addrSpan{wideOf(&lo), wideOf(&hi)}) {
		t.Errorf("%v is %v", p, got)
	}
}

// TestWideRank wants the rank to have the order of the addresses, and to tell IPv4 addresses apart.
func TestWideRank(t *testing.T) {
	edges := []uint64{0, 1, 2, 0xffff_0a00_0001, 0xffff_0a00_0002, 0x2001_0db8_0000_0000, 1<<63 - 1, 1 << 63, 0xa001 << 48, 1<<64 - 1}
	for _, hi := range edges {
		for _, lo := range edges {
			for _, hi2 := range edges {
				for _, lo2 := range edges {
					a, b := wide{hi, lo}, wide{hi2, lo2}
					if a.less(b) && (a.rank() > b.rank() || a.rank() == b.rank() && b.is4()) {
						t.Fatalf("%x has rank %x, %x %x", a, a.rank(), b, b.rank())
					}
				}
			}
		}
	}
}
