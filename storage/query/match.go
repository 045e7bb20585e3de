package query

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

// Match reports whether the filter chooses row i of a batch. It is for programs that hold one row at a time; Rows.Scan is
// several times faster for many.
func (f *Filter) Match(b *netflow.Batch, i int) bool { return f == nil || f.plan.holds(b, i) }

func (x constNode) holds(*netflow.Batch, int) bool    { return x.value }
func (x *notNode) holds(b *netflow.Batch, i int) bool { return !x.x.holds(b, i) }
func (x *numberNode) holds(b *netflow.Batch, i int) bool {
	return x.set.has(numberAt(b, x.column, i) ^ x.flip)
}
func (x *maskNode) holds(b *netflow.Batch, i int) bool {
	return numberAt(b, x.column, i)&x.mask == x.mask
}
func (x *addrNode) holds(b *netflow.Batch, i int) bool {
	return x.set.has(wideOf(&b.Addrs(x.column)[i]))
}

func (x *andNode) holds(b *netflow.Batch, i int) bool {
	for _, x := range x.xs {
		if !x.holds(b, i) {
			return false
		}
	}
	return true
}

func (x *orNode) holds(b *netflow.Batch, i int) bool {
	for _, x := range x.xs {
		if x.holds(b, i) {
			return true
		}
	}
	return false
}

func (x *derivedNode) holds(b *netflow.Batch, i int) bool {
	v, ok := x.value(b.Start[i], b.End[i], b.Packets[i], b.Bytes[i])
	return ok && x.set.has(v)
}

// numberAt is a column's value in a row; that of times and MACs as Vectors have it.
func numberAt(b *netflow.Batch, c netflow.Column, i int) uint64 {
	switch c.Kind() {
	case netflow.KindUint8:
		return uint64(b.Uint8s(c)[i])
	case netflow.KindUint16:
		return uint64(b.Uint16s(c)[i])
	case netflow.KindUint32:
		return uint64(b.Uint32s(c)[i])
	case netflow.KindUint64:
		return b.Uint64s(c)[i]
	case netflow.KindTime:
		return uint64(b.Times(c)[i])
	case netflow.KindMAC:
		return b.MACs(c)[i].Uint64()
	}
	panic("query: not a number: " + c.String())
}

// Condition is what every flow that a filter chooses meets: one of Columns has one of Addrs, if there are some, else a
// number of one of Ranges. The columns are those of addresses and ports of a flow's ends, or one other column.
type Condition struct {
	Columns netflow.ColumnSet
	Addrs   []netflow.Addr
	Ranges  []Range
}

// Range is the numbers Lo to Hi, both included.
type Range struct{ Lo, Hi uint64 }

// Conditions returns conditions that can be told from the filter; all of them hold for each flow that it chooses, and may
// hold for others too. They are for looking things up before the filter decides.
func (f *Filter) Conditions() []Condition {
	if f == nil {
		return nil
	}
	return f.plan.conditions()
}

func (x constNode) conditions() []Condition    { return nil }
func (x *notNode) conditions() []Condition     { return nil }
func (x *maskNode) conditions() []Condition    { return nil }
func (x *derivedNode) conditions() []Condition { return nil }

func (x *numberNode) conditions() []Condition {
	if x.flip != 0 || len(x.set) == 0 {
		return nil
	}
	c := Condition{Columns: netflow.SetOf(x.column)}
	for _, s := range x.set {
		c.Ranges = append(c.Ranges, Range{s.lo, s.hi})
	}
	return []Condition{c}
}

func (x *addrNode) conditions() []Condition {
	if x.single == nil {
		return nil
	}
	return []Condition{{Columns: netflow.SetOf(x.column), Addrs: x.single}}
}

func (x *andNode) conditions() (all []Condition) {
	for _, x := range x.xs {
		all = append(all, x.conditions()...)
	}
	return all
}

// conditions of alternatives is what they have in common: a condition on the same columns in each.
func (x *orNode) conditions() (all []Condition) {
	each := make([][]Condition, len(x.xs))
	for i, x := range x.xs {
		each[i] = x.conditions()
	}
	for _, columns := range []netflow.ColumnSet{
		netflow.SetOf(netflow.SrcAddr, netflow.DstAddr), netflow.SetOf(netflow.SrcPort, netflow.DstPort), netflow.SetOf(netflow.Proto),
	} {
		var joined Condition
		for _, cs := range each {
			at := slices.IndexFunc(cs, func(c Condition) bool { return c.Columns&^columns == 0 })
			if at < 0 {
				joined = Condition{}
				break
			}
			joined.Columns |= cs[at].Columns
			joined.Addrs = append(joined.Addrs, cs[at].Addrs...)
			joined.Ranges = append(joined.Ranges, cs[at].Ranges...)
		}
		if joined.Columns != 0 {
			slices.SortFunc(joined.Addrs, func(a, b netflow.Addr) int { return bytes.Compare(a[:], b[:]) })
			slices.SortFunc(joined.Ranges, func(a, b Range) int { return cmp.Or(cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi)) })
			joined.Addrs, joined.Ranges = slices.Compact(joined.Addrs), slices.Compact(joined.Ranges)
			all = append(all, joined)
		}
	}
	return all
}
