package query

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

// span is the numbers lo <= v <= hi.
type span struct{ lo, hi uint64 }

// numberSet is a set of numbers as ascending spans that neither overlap nor touch.
type numberSet []span

func newNumberSet(spans []span) numberSet {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	var s numberSet
	for _, x := range spans {
		if n := len(s); n > 0 && (s[n-1].hi == 1<<64-1 || x.lo <= s[n-1].hi+1) {
			s[n-1].hi = max(s[n-1].hi, x.hi)
		} else {
			s = append(s, x)
		}
	}
	return s
}

// complement returns the numbers that are not in s.
func (s numberSet) complement() numberSet {
	var out numberSet
	next := uint64(0)
	for _, x := range s {
		if x.lo > next {
			out = append(out, span{next, x.lo - 1})
		}
		if x.hi == 1<<64-1 {
			return out
		}
		next = x.hi + 1
	}
	return append(out, span{next, 1<<64 - 1})
}

// without returns s without v.
func (s numberSet) without(v uint64) numberSet {
	return newNumberSet(append(s.complement(), span{v, v})).complement()
}

func (s numberSet) has(v uint64) bool {
	if len(s) <= 4 {
		for _, x := range s {
			if v-x.lo <= x.hi-x.lo {
				return true
			}
		}
		return false
	}
	i, exact := slices.BinarySearchFunc(s, v, func(x span, v uint64) int { return cmp.Compare(x.lo, v) })
	return exact || i > 0 && v <= s[i-1].hi
}

// truth is what is known of a test for a whole chunk.
type truth uint8

const (
	maybe truth = iota
	never
	always
)

// over returns what is known of membership for numbers between lo and hi.
func (s numberSet) over(lo, hi uint64) truth {
	for _, x := range s {
		if x.lo <= lo && hi <= x.hi {
			return always
		}
		if x.lo <= hi && lo <= x.hi {
			return maybe
		}
	}
	return never
}

// wide is an address as a 128-bit number.
type wide struct{ hi, lo uint64 }

func wideOf(a *netflow.Addr) wide {
	return wide{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}
}

func (w wide) addr() (a netflow.Addr) {
	binary.BigEndian.PutUint64(a[:8], w.hi)
	binary.BigEndian.PutUint64(a[8:], w.lo)
	return a
}

// is4 reports whether the address is an IPv4 address, mapped.
func (w wide) is4() bool { return w.hi == 0 && w.lo>>32 == 0xffff }

func (w wide) less(o wide) bool { return w.hi < o.hi || w.hi == o.hi && w.lo < o.lo }

func (w wide) compare(o wide) int { return cmp.Or(cmp.Compare(w.hi, o.hi), cmp.Compare(w.lo, o.lo)) }

// rank returns a number that does not fall as addresses grow, and tells IPv4 addresses apart.
func (w wide) rank() uint64 {
	if w.hi == 0 {
		return min(w.lo, signBit-1)
	}
	return signBit | w.hi>>1
}

func (w wide) next() wide {
	if w.lo++; w.lo == 0 {
		w.hi++
	}
	return w
}

func (w wide) previous() wide {
	if w.lo == 0 {
		w.hi--
	}
	w.lo--
	return w
}

// widest is the largest 128-bit number.
var widest = wide{1<<64 - 1, 1<<64 - 1}

// mapped is the range of IPv4 addresses, which no IPv6 prefix contains.
var mapped = addrSpan{wide{0, 0xffff_0000_0000}, wide{0, 0xffff_ffff_ffff}}

// addrSpan is the addresses lo <= a <= hi.
type addrSpan struct{ lo, hi wide }

// addrSet is a set of addresses as ascending spans that do not overlap.
type addrSet []addrSpan

func newAddrSet(spans []addrSpan) addrSet {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b addrSpan) int { return a.lo.compare(b.lo) })
	var s addrSet
	for _, x := range spans {
		n := len(s)
		if n == 0 || s[n-1].hi.less(x.lo) {
			s = append(s, x)
		} else if s[n-1].hi.less(x.hi) {
			s[n-1].hi = x.hi
		}
	}
	return s
}

func (s addrSet) complement() addrSet {
	var out addrSet
	next := wide{}
	for _, x := range s {
		if next.less(x.lo) {
			out = append(out, addrSpan{next, x.lo.previous()})
		}
		if x.hi == widest {
			return out
		}
		next = x.hi.next()
	}
	return append(out, addrSpan{next, widest})
}

// without returns the addresses of s outside x.
func (s addrSet) without(x addrSpan) addrSet {
	return newAddrSet(append(s.complement(), x)).complement()
}

func (s addrSet) has(v wide) bool {
	i, exact := slices.BinarySearchFunc(s, v, func(x addrSpan, v wide) int { return x.lo.compare(v) })
	return exact || i > 0 && !s[i-1].hi.less(v)
}

// prefixSet returns the addresses that the prefixes contain.
func prefixSet(prefixes []netip.Prefix) addrSet {
	var four, six []addrSpan
	for _, p := range prefixes {
		lo := netflow.AddrFrom(p.Addr())
		first := wideOf(&lo)
		if p.Addr().Is4() {
			four = append(four, addrSpan{first, lastOf(first, p.Bits()+96)})
		} else {
			six = append(six, addrSpan{first, lastOf(first, p.Bits())})
		}
	}
	return newAddrSet(append(newAddrSet(six).without(mapped), four...))
}

// lastOf returns the last address of a prefix.
func lastOf(first wide, bits int) wide {
	if bits <= 64 {
		return wide{first.hi | ^uint64(0)>>bits, ^uint64(0)} // a shift by 64 gives 0
	}
	return wide{first.hi, first.lo | ^uint64(0)>>(bits-64)}
}
