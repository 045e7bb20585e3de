package query

import (
	"math/big"
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

// holds is the filter language evaluated row by row in the plainest way, as the oracle for the compiled form. It shares
// with it only the syntax tree.
func holds(x expr, r *netflow.Record) bool {
	switch x := x.(type) {
	case anyExpr:
		return true
	case versionExpr:
		return r.IPVersion == x.version
	case *notExpr:
		return !holds(x.x, r)
	case *andExpr:
		for _, y := range x.xs {
			if !holds(y, r) {
				return false
			}
		}
		return true
	case *orExpr:
		return slices.ContainsFunc(x.xs, func(y expr) bool { return holds(y, r) })
	case *test:
		return testHolds(x, r)
	}
	panic("unknown expression")
}

func testHolds(t *test, r *netflow.Record) bool {
	if t.field.kind == fieldDerived {
		v, ok := derivedOf(t.field.derived, r)
		return ok && compare(t, v)
	}
	first, second := t.field.columns[0], t.field.columns[1]
	a := columnHolds(t, first, r)
	if first == second {
		return a
	}
	b := columnHolds(t, second, r)
	switch t.side {
	case sideFirst:
		return a
	case sideSecond:
		return b
	case sideAnd:
		return a && b
	case sideOr:
		return a || b
	}
	if t.field.sides == forward {
		return a
	}
	if t.op == opNe {
		return a && b
	}
	return a || b
}

func columnHolds(t *test, c netflow.Column, r *netflow.Record) bool {
	switch t.field {
	case fieldICMPType, fieldICMPCode:
		if r.Proto != 1 && r.Proto != 58 {
			return false
		}
	case fieldTCP:
		if r.Proto != 6 {
			return false
		}
	}
	if c.Kind() == netflow.KindAddr {
		a := addrOf(r, c)
		isEnd := c == netflow.SrcAddr || c == netflow.DstAddr
		if a.IsZero() && (!isEnd || r.IPVersion == 0) {
			return false
		}
		in := false
		for _, p := range t.nets {
			in = in || p.Contains(a.Netip())
		}
		return in != (t.op == opNe)
	}
	v := numberOf(r, c)
	if t.time != nil {
		at := netflow.Timestamp(v)
		if at == 0 {
			return false
		}
		switch t.op {
		case opNe:
			return at < t.time.from || at >= t.time.to
		case opLt:
			return at < t.time.from
		case opLe:
			return at <= t.time.from
		case opGt:
			return at > t.time.from
		case opGe:
			return at >= t.time.from
		}
		return at >= t.time.from && at < t.time.to
	}
	if v == 0 {
		if c == netflow.ReversePackets || c == netflow.ReverseBytes {
			if t.op != opEq && t.op != opIn {
				return false
			}
		}
		if t.field.lacking && t.op != opEq && t.op != opIn {
			return false
		}
	}
	return compare(t, v)
}

func compare(t *test, v uint64) bool {
	n := t.nums[0].lo
	switch t.op {
	case opNe:
		return v != n
	case opLt:
		return v < n
	case opLe:
		return v <= n
	case opGt:
		return v > n
	case opGe:
		return v >= n
	case opAll:
		return v&n == n
	}
	return slices.ContainsFunc(t.nums, func(s span) bool { return v >= s.lo && v <= s.hi })
}

func derivedOf(d derived, r *netflow.Record) (uint64, bool) {
	if d == derivedBPP {
		if r.Packets == 0 {
			return 0, true
		}
		return r.Bytes / r.Packets, true
	}
	if r.Start == 0 || r.End == 0 {
		return 0, false
	}
	ms := uint64(max(0, r.End-r.Start) / 1000)
	if d == derivedDuration {
		return ms, true
	}
	if ms == 0 {
		return 0, true
	}
	n := new(big.Int).SetUint64(r.Packets)
	n.Mul(n, big.NewInt(1000))
	if d == derivedBPS {
		n.SetUint64(r.Bytes)
		n.Mul(n, big.NewInt(8000))
	}
	n.Div(n, new(big.Int).SetUint64(ms))
	if !n.IsUint64() {
		return 1<<64 - 1, true
	}
	return n.Uint64(), true
}
