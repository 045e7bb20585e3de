package query

import (
	"cmp"
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

// node is a filter reduced to what is evaluated: combinations of tests of one column each, besides derivedNode.
type node interface {
	columns() netflow.ColumnSet
	// cost orders the operands of and and or: about what reading the columns costs.
	cost() int
	// known says what bounds and Bloom filters of a chunk tell without reading it.
	known(v *view) truth
	// narrow clears the bits in rows for which the node does not hold.
	narrow(v *view, rows bitmap) error
	// holds and conditions are Match and Conditions of a Filter.
	holds(b *netflow.Batch, i int) bool
	conditions() []Condition
}

type (
	constNode struct{ value bool }
	notNode   struct{ x node }
	andNode   struct{ xs []node }
	orNode    struct{ xs []node }
	// numberNode holds where a column's value is in the set. flip is xored to values first: the sign bit for times.
	numberNode struct {
		column netflow.Column
		set    numberSet
		flip   uint64
	}
	// maskNode holds where all bits of mask are set.
	maskNode struct {
		column netflow.Column
		mask   uint64
	}
	// addrNode holds where a column's address is in the set.
	addrNode struct {
		column netflow.Column
		set    addrSet
		single []netflow.Addr // the addresses if the set is a few single ones, for Bloom filters; else nil
	}
	// derivedNode holds where a calculated value is in the set and what it is calculated from was told.
	derivedNode struct {
		what derived
		set  numberSet
	}
)

const signBit = 1 << 63

// maxSingles bounds how many addresses a chunk's Bloom filter is asked about.
const maxSingles = 64

// lower reduces a syntax tree to nodes.
func lower(x expr) node {
	switch x := x.(type) {
	case anyExpr:
		return constNode{true}
	case versionExpr:
		v := uint64(x.version)
		return &numberNode{column: netflow.IPVersion, set: numberSet{{v, v}}}
	case *notExpr:
		return &notNode{lower(x.x)}
	case *andExpr:
		return and(lowerAll(x.xs)...)
	case *orExpr:
		return or(lowerAll(x.xs)...)
	case *test:
		return lowerTest(x)
	}
	panic("query: unknown expression")
}

func lowerAll(xs []expr) []node {
	nodes := make([]node, len(xs))
	for i, x := range xs {
		nodes[i] = lower(x)
	}
	return nodes
}

// and and or put what is cheap to find out first.
func and(xs ...node) node {
	slices.SortStableFunc(xs, func(a, b node) int { return cmp.Compare(a.cost(), b.cost()) })
	return &andNode{xs}
}

func or(xs ...node) node {
	slices.SortStableFunc(xs, func(a, b node) int { return cmp.Compare(a.cost(), b.cost()) })
	return &orNode{xs}
}

func lowerTest(t *test) node {
	first, second := t.field.columns[0], t.field.columns[1]
	switch {
	case t.field.kind == fieldDerived:
		return &derivedNode{t.field.derived, t.numbers()}
	case first == second || t.side == sideFirst:
		return lowerColumn(t, first)
	case t.side == sideSecond:
		return lowerColumn(t, second)
	case t.field.sides == forward && t.side == sideEither:
		return lowerColumn(t, first)
	case t.side == sideAnd || t.side == sideEither && t.op == opNe:
		return and(lowerColumn(t, first), lowerColumn(t, second))
	}
	return or(lowerColumn(t, first), lowerColumn(t, second))
}

// lowerColumn applies a test to one column, with what the flow must have for the field not to be lacking.
func lowerColumn(t *test, c netflow.Column) node {
	switch t.field {
	case fieldICMPType, fieldICMPCode:
		icmp := numberSet{{netflow.ProtoICMP, netflow.ProtoICMP}, {netflow.ProtoICMPv6, netflow.ProtoICMPv6}}
		return and(&numberNode{column: netflow.Proto, set: icmp}, &numberNode{column: c, set: t.numbers()})
	case fieldTCP:
		tcp := numberSet{{netflow.ProtoTCP, netflow.ProtoTCP}}
		var flags node = &maskNode{c, t.nums[0].lo}
		if t.op != opAll {
			flags = &numberNode{column: c, set: t.numbers()}
		}
		return and(&numberNode{column: netflow.Proto, set: tcp}, flags)
	}
	switch t.field.kind {
	case fieldAddr:
		return lowerAddr(t, c)
	case fieldTime:
		return &numberNode{column: c, set: t.times(), flip: signBit}
	}
	set := t.numbers()
	lacking := t.field.lacking || c == netflow.ReversePackets || c == netflow.ReverseBytes
	if lacking && t.op != opEq && t.op != opIn {
		set = set.without(0)
	}
	return &numberNode{column: c, set: set}
}

func lowerAddr(t *test, c netflow.Column) node {
	set := prefixSet(t.nets)
	var single []netflow.Addr
	if len(t.nets) <= maxSingles {
		for _, p := range t.nets {
			if p.IsSingleIP() {
				single = append(single, netflow.AddrFrom(p.Addr()))
			}
		}
	}
	if t.op == opNe {
		set, single = set.complement(), nil
	}
	if t.field.lacking {
		set = set.without(addrSpan{})
	}
	if len(single) != len(t.nets) {
		single = nil
	}
	x := &addrNode{column: c, set: set, single: single}
	if !t.field.lacking && set.has(wide{}) {
		// The address :: may mean that there is none.
		return and(&numberNode{column: netflow.IPVersion, set: numberSet{{1, 255}}}, x)
	}
	return x
}

// numbers returns the values for which the test holds, but for what lacking takes away.
func (t *test) numbers() numberSet {
	set := newNumberSet(t.nums)
	v := t.nums[0].lo
	switch t.op {
	case opNe:
		return set.complement()
	case opLt:
		return numberSet{{0, v}}.without(v)
	case opLe:
		return numberSet{{0, v}}
	case opGt:
		return numberSet{{v, 1<<64 - 1}}.without(v)
	case opGe:
		return numberSet{{v, 1<<64 - 1}}
	}
	return set
}

// times returns the instants for which the test holds, their sign bit flipped so that they compare unsigned.
func (t *test) times() numberSet {
	from, last := uint64(t.time.from)^signBit, uint64(t.time.to-1)^signBit
	set := newNumberSet([]span{{from, max(from, last)}})
	switch t.op {
	case opNe:
		set = set.complement()
	case opLt:
		set = numberSet{{0, from}}.without(from)
	case opLe:
		set = numberSet{{0, from}}
	case opGt:
		set = numberSet{{from, 1<<64 - 1}}.without(from)
	case opGe:
		set = numberSet{{from, 1<<64 - 1}}
	}
	return set.without(0 ^ signBit) // 0 is not told
}
