package filter

import (
	"golang.org/x/net/bpf"

	"github.com/caprock-net/caprock/probe/dissect"
)

// arithmetic is a number that is computed from a frame.
type arithmetic interface {
	// code leaves the number in A, using words of memory from free on, and appends to checks what must be tested before.
	code(l *layout, free int, checks *[]*predicate) ([]bpf.RawInstruction, error)
}

// constant is a number.
type constant uint32

func (c constant) code(*layout, int, *[]*predicate) ([]bpf.RawInstruction, error) {
	return []bpf.RawInstruction{ins(ld|imm, uint32(c))}, nil
}

// length is the length of the frame on the wire.
type length struct{}

func (length) code(l *layout, _ int, _ *[]*predicate) ([]bpf.RawInstruction, error) {
	return l.loadLength(), nil
}

// field is some bytes of a header.
type field struct {
	at       int
	protocol string
	offset   arithmetic
	size     uint16 // sizeB, sizeH, sizeW
}

// maxOffset bounds constant offsets: higher ones are those of what Linux keeps beside a packet, which is another question.
const maxOffset = 1 << 20

func (f field) code(l *layout, free int, checks *[]*predicate) ([]bpf.RawInstruction, error) {
	base, behindIP, err := f.place(l, checks)
	if err != nil {
		return nil, err
	}
	if c, is := f.offset.(constant); is {
		offset := int(int32(c)) + base
		switch {
		case behindIP && (int32(c) < 0 || offset > maxOffset), offset < 0, offset > maxOffset:
			return nil, l.errorf(f.at, "offset %d is outside of any frame", int32(c))
		case behindIP:
			return []bpf.RawInstruction{ins(ldx|msh|sizeB, uint32(l.payload)), ins(ld|ind|f.size, uint32(offset))}, nil
		}
		return []bpf.RawInstruction{at(offset, f.size)}, nil
	}
	code, err := f.offset.code(l, free, checks)
	if err != nil {
		return nil, err
	}
	if behindIP {
		code = append(code, ins(ldx|msh|sizeB, uint32(l.payload)), ins(alu|opAdd|srcX, 0))
	}
	return append(code, ins(misc|tax, 0), ins(ld|ind|f.size, uint32(base))), nil
}

// place returns where the header begins; behindIP: plus the length of an IPv4 header.
func (f field) place(l *layout, checks *[]*predicate) (base int, behindIP bool, err error) {
	if f.protocol == "ether" {
		if l.target.Kernel && l.target.Link == dissect.LinkSLL || l.ppp {
			return 0, false, l.errorf(f.at, "the link header can't be looked into here")
		}
		return 0, false, nil
	}
	p := protocols[f.protocol]
	switch {
	case p.ether != 0:
		test, err := protocolTest{f.at, f.protocol}.predicate(l)
		*checks = append(*checks, test)
		return l.payload, false, err
	case p.v4:
		*checks = append(*checks, l.transport4(p.number), l.firstFragment())
		return l.payload, true, nil
	}
	*checks = append(*checks, l.network(etherIPv6), equal(l.payload+6, sizeB, p.number))
	return l.payload + 40, false, nil
}

// operation is two numbers and what is done with them.
type operation struct {
	at   int
	op   uint16
	l, r arithmetic
}

// operate makes an operation, or its result when that is known.
func operate(o operation) (arithmetic, string) {
	r, known := o.r.(constant)
	if known {
		switch {
		case (o.op == opDiv || o.op == opMod) && r == 0:
			return nil, "division by zero"
		case (o.op == opLsh || o.op == opRsh) && r > 31:
			return nil, "a shift by more than 31 bits"
		}
	}
	if l, both := o.l.(constant); both && known {
		return constant(compute(o.op, uint32(l), uint32(r))), ""
	}
	return o, ""
}

// compute is what the machine does; r is neither 0 for a division nor above 31 for a shift.
func compute(op uint16, l, r uint32) uint32 {
	switch op {
	case opAdd:
		return l + r
	case opSub:
		return l - r
	case opMul:
		return l * r
	case opDiv:
		return l / r
	case opMod:
		return l % r
	case opOr:
		return l | r
	case opAnd:
		return l & r
	case opXor:
		return l ^ r
	case opLsh:
		return l << r
	}
	return l >> r
}

func (o operation) code(l *layout, free int, checks *[]*predicate) ([]bpf.RawInstruction, error) {
	left, err := o.l.code(l, free, checks)
	if err != nil {
		return nil, err
	}
	if c, is := o.r.(constant); is {
		return append(left, ins(alu|o.op, uint32(c))), nil
	}
	if left, err = both(l, o.at, left, o.r, free, checks); err != nil {
		return nil, err
	}
	return append(left, ins(alu|o.op|srcX, 0)), nil
}

// both leaves the number of left in A and that of right in X.
func both(l *layout, at int, left []bpf.RawInstruction, right arithmetic, free int, checks *[]*predicate) ([]bpf.RawInstruction, error) {
	if free == scratch {
		return nil, l.errorf(at, "this is nested too deep: BPF has memory for %d numbers", scratch)
	}
	code, err := right.code(l, free+1, checks)
	if err != nil {
		return nil, err
	}
	left = append(left, ins(st, uint32(free)))
	left = append(left, code...)
	return append(left, ins(misc|tax, 0), ins(ld|mem, uint32(free))), nil
}

// relation compares two numbers.
type relation struct {
	at   int
	op   string
	l, r arithmetic
}

func (t relation) predicate(l *layout) (*predicate, error) {
	var jump uint16
	inverted := false
	switch t.op {
	case "=", "==":
		jump = jumpEq
	case "!=":
		jump, inverted = jumpEq, true
	case ">":
		jump = jumpGt
	case "<=":
		jump, inverted = jumpGt, true
	case ">=":
		jump = jumpGe
	case "<":
		jump, inverted = jumpGe, true
	}
	var checks []*predicate
	code, err := t.l.code(l, 0, &checks)
	if err != nil {
		return nil, err
	}
	p := &predicate{jump: jump}
	lc, left := t.l.(constant)
	rc, right := t.r.(constant)
	switch {
	case left && right:
		p = fixed(jump == jumpEq && lc == rc || jump == jumpGt && lc > rc || jump == jumpGe && lc >= rc)
	case right:
		p.load, p.k = code, uint32(rc)
	default:
		if code, err = both(l, t.at, code, t.r, 0, &checks); err != nil {
			return nil, err
		}
		p.load, p.jump = code, jump|srcX
	}
	if inverted {
		p = not(p)
	}
	return and(yes, append(checks, p)...), nil
}
