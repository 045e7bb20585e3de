package filter

import "golang.org/x/net/bpf"

// The parts of an instruction's code; BPF_ in <net/bpf.h> and <linux/filter.h>.
const (
	ld, ldx, st, stx, alu, jmp, ret, misc = 0, 1, 2, 3, 4, 5, 6, 7

	sizeW, sizeH, sizeB = 0x00, 0x08, 0x10

	imm, abs, ind, mem, pktLen, msh = 0x00, 0x20, 0x40, 0x60, 0x80, 0xa0

	opAdd, opSub, opMul, opDiv, opOr, opAnd, opLsh, opRsh, opNeg, opMod, opXor = 0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0

	jumpAlways, jumpEq, jumpGt, jumpGe, jumpSet = 0x00, 0x10, 0x20, 0x30, 0x40

	srcX = 0x08 // the operand is X
	retA = 0x10
	tax  = 0x00
	txa  = 0x80

	scratch         = 16   // words of memory
	maxInstructions = 4096 // the kernels' bound, BPF_MAXINSNS
)

func ins(code uint16, k uint32) bpf.RawInstruction { return bpf.RawInstruction{Op: code, K: k} }

type predicateKind uint8

const (
	leaf predicateKind = iota
	conjunction
	disjunction
	negation
	always
	never
)

// predicate is a condition on a frame.
type predicate struct {
	kind predicateKind
	l, r *predicate           // of what it is made; negation: l alone
	load []bpf.RawInstruction // leaf: leave a value in A, perhaps one in X
	jump uint16               // leaf: how A is compared
	k    uint32               // leaf: with what
}

var (
	yes = &predicate{kind: always}
	no  = &predicate{kind: never}
)

func fixed(b bool) *predicate {
	if b {
		return yes
	}
	return no
}

// and is true when all are, tried in their order.
func and(first *predicate, more ...*predicate) *predicate {
	for _, p := range more {
		switch {
		case first.kind == never || p.kind == always:
		case first.kind == always || p.kind == never:
			first = p
		default:
			first = &predicate{kind: conjunction, l: first, r: p}
		}
	}
	return first
}

// or is true when one is, tried in their order.
func or(first *predicate, more ...*predicate) *predicate {
	for _, p := range more {
		switch {
		case first.kind == always || p.kind == never:
		case first.kind == never || p.kind == always:
			first = p
		default:
			first = &predicate{kind: disjunction, l: first, r: p}
		}
	}
	return first
}

func not(p *predicate) *predicate {
	switch p.kind {
	case always:
		return no
	case never:
		return yes
	case negation:
		return p.l
	}
	return &predicate{kind: negation, l: p}
}

// compare compares what load leaves in A with k, after a mask when that has zeros.
func compare(load bpf.RawInstruction, mask uint32, jump uint16, k uint32) *predicate {
	p := &predicate{load: []bpf.RawInstruction{load}, jump: jump, k: k}
	if mask != 0xffffffff {
		p.load = append(p.load, ins(alu|opAnd, mask))
	}
	return p
}

// at loads size bytes (sizeB, sizeH, sizeW) at a place in the frame.
func at(offset int, size uint16) bpf.RawInstruction { return ins(ld|abs|size, uint32(offset)) }

// equal compares size bytes at a place in the frame with k.
func equal(offset int, size uint16, k uint32) *predicate {
	return compare(at(offset, size), 0xffffffff, jumpEq, k)
}

// masked is equal under a mask.
func masked(offset int, size uint16, k, mask uint32) *predicate {
	return compare(at(offset, size), mask, jumpEq, k)
}
