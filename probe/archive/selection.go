package archive

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

// Condition is something that must hold for a key: that one of the ends looked at has one of some addresses or ports, or
// that the protocol is one of some.
type Condition struct {
	Src, Dst bool           // the ends that are looked at; neither: the protocol
	Addrs    []netflow.Addr // addresses; nil: Numbers
	Numbers  []Range        // ports or protocols
}

// Range is the numbers Lo to Hi, both included.
type Range struct{ Lo, Hi uint16 }

// Selection is what is looked for in an archive: packets of a window of time, of keys that meet all conditions. It is
// immutable; nil selects everything.
type Selection struct {
	from, to netflow.Timestamp
	clauses  []*clause // what few keys meet first
	nonIP    bool      // what is no IP packet meets the conditions
}

// clause is a Condition made ready for the bytes of an index.
type clause struct {
	src, dst, addrs bool
	four            []uint32       // IPv4 addresses, in order
	six             []netflow.Addr // all addresses, in order: a packet of IPv6 may have mapped ones
	numbers         [65536 / 64]uint64
}

// Select makes a selection of from <= time < to; a zero bound is none.
func Select(from, to netflow.Timestamp, conditions ...Condition) *Selection {
	s := &Selection{from: from, to: to, clauses: make([]*clause, len(conditions))}
	for i, cond := range conditions {
		c := &clause{src: cond.Src, dst: cond.Dst, addrs: cond.Addrs != nil}
		s.clauses[i] = c
		for _, a := range cond.Addrs {
			if a.Is4() {
				c.four = append(c.four, binary.BigEndian.Uint32(a[12:]))
			}
		}
		c.six = slices.Clone(cond.Addrs)
		slices.Sort(c.four)
		slices.SortFunc(c.six, compareAddrs)
		for _, r := range cond.Numbers {
			for n := int(r.Lo); n <= int(r.Hi); n++ {
				c.numbers[n/64] |= 1 << (n % 64)
			}
		}
	}
	slices.SortStableFunc(s.clauses, func(a, b *clause) int { return a.rank() - b.rank() })
	s.nonIP = s.Has(&Key{})
	return s
}

// rank is smaller for conditions that fewer keys meet: one address, ports, protocols, by experience.
func (c *clause) rank() int {
	switch {
	case c.addrs && c.src != c.dst:
		return 0
	case c.addrs:
		return 1
	case c.src || c.dst:
		return 2
	}
	return 3
}

func compareAddrs(a, b netflow.Addr) int { return bytes.Compare(a[:], b[:]) }

// Within reports whether packets of a span of time, both ends included, can be selected.
func (s *Selection) Within(first, last netflow.Timestamp) bool {
	return s == nil || last >= s.from && (s.to == 0 || first < s.to)
}

// Has reports whether a key meets the conditions.
func (s *Selection) Has(k *Key) bool {
	if s == nil {
		return true
	}
	for _, c := range s.clauses {
		if !c.has(k) {
			return false
		}
	}
	return true
}

func (c *clause) has(k *Key) bool {
	switch {
	case !c.addrs:
		return c.hasNumbers(k.SrcPort, k.DstPort, k.Proto)
	case k.IPVersion == 4:
		return c.has4(binary.BigEndian.Uint32(k.Src[12:]), binary.BigEndian.Uint32(k.Dst[12:]))
	}
	return c.has6(&k.Src, &k.Dst)
}

func (c *clause) hasNumbers(src, dst uint16, proto uint8) bool {
	if !c.src && !c.dst {
		return c.number(uint16(proto))
	}
	return c.src && c.number(src) || c.dst && c.number(dst)
}

func (c *clause) number(n uint16) bool { return c.numbers[n/64]>>(n%64)&1 == 1 }

func (c *clause) has4(src, dst uint32) bool {
	if len(c.four) == 1 {
		return c.src && src == c.four[0] || c.dst && dst == c.four[0]
	}
	return c.src && has(c.four, src) || c.dst && has(c.four, dst)
}

func has(list []uint32, a uint32) bool {
	_, found := slices.BinarySearch(list, a)
	return found
}

func (c *clause) has6(src, dst *netflow.Addr) bool {
	if len(c.six) == 1 {
		return c.src && *src == c.six[0] || c.dst && *dst == c.six[0]
	}
	return len(c.six) > 0 && (c.src && has6(c.six, src) || c.dst && has6(c.six, dst))
}

func has6(list []netflow.Addr, a *netflow.Addr) bool {
	_, found := slices.BinarySearchFunc(list, *a, compareAddrs)
	return found
}

// keep removes the keys that do not meet the conditions.
func (s *Selection) keep(keys []Key) []Key {
	if s == nil || len(s.clauses) == 0 {
		return keys
	}
	n := 0
	for i := range keys {
		if s.Has(&keys[i]) {
			keys[n] = keys[i]
			n++
		}
	}
	return keys[:n]
}

// wants reports whether a block is looked for, of whose keys those that meet the conditions are left.
func (s *Selection) wants(b *Block) bool {
	return s == nil || len(s.clauses) == 0 || len(b.Keys) > 0 || b.NonIP > 0 && s.nonIP
}

// has4 and has6 are Has for the keys of an index entry.
func (s *Selection) has4(b []byte) bool {
	for _, c := range s.clauses {
		if c.addrs {
			if !c.has4(binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])) {
				return false
			}
		} else if le := binary.LittleEndian; !c.hasNumbers(le.Uint16(b[8:]), le.Uint16(b[10:]), b[12]) {
			return false
		}
	}
	return true
}

func (s *Selection) has6(b []byte) bool {
	for _, c := range s.clauses {
		if c.addrs {
			if !c.has6((*netflow.Addr)(b), (*netflow.Addr)(b[16:])) {
				return false
			}
		} else if le := binary.LittleEndian; !c.hasNumbers(le.Uint16(b[32:]), le.Uint16(b[34:]), b[36]) {
			return false
		}
	}
	return true
}
