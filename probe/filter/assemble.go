package filter

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// assembler lays a predicate out as code whose jumps, all of them forward, go to labels.
type assembler struct {
	code   []instruction
	labels []int // instruction that each label is before
}

// instruction is one, or a jump whose places are not known yet.
type instruction struct {
	bpf.RawInstruction
	jump     bool
	yes, not label
}

type label int

func (a *assembler) label() label {
	a.labels = append(a.labels, -1)
	return label(len(a.labels) - 1)
}

// here puts the label before what comes next.
func (a *assembler) here(l label) { a.labels[l] = len(a.code) }

func (a *assembler) emit(code ...bpf.RawInstruction) {
	for _, c := range code {
		a.code = append(a.code, instruction{RawInstruction: c})
	}
}

// branch lays out p so that it goes on at yes or at not. The left sides are walked in a loop: a long chain of and, or is a
// tree that leans to the left.
func (a *assembler) branch(p *predicate, yes, not label) {
	type pending struct {
		p              *predicate
		before         label
		yes, otherwise label
	}
	var rights []pending
	for {
		switch p.kind {
		case conjunction:
			next := a.label()
			rights = append(rights, pending{p.r, next, yes, not})
			p, yes = p.l, next
			continue
		case disjunction:
			next := a.label()
			rights = append(rights, pending{p.r, next, yes, not})
			p, not = p.l, next
			continue
		case negation:
			p, yes, not = p.l, not, yes
			continue
		case leaf:
			a.emit(p.load...)
			a.code = append(a.code, instruction{bpf.RawInstruction{Op: jmp | p.jump, K: p.k}, true, yes, not})
		case always, never: // only whole predicates are constant: and, or, not take them out
			if p.kind == never {
				yes = not
			}
			a.code = append(a.code, instruction{bpf.RawInstruction{Op: jmp | jumpAlways}, true, yes, yes})
		}
		break
	}
	for i := len(rights) - 1; i >= 0; i-- {
		r := rights[i]
		a.here(r.before)
		a.branch(r.p, r.yes, r.otherwise)
	}
}

// assemble finds the distances. It goes backward, so that what a jump passes over is known when it comes to it, and puts
// an unconditional jump, whose distance has 32 bits, behind a conditional one, whose distances have 8, that is too far
// from its aim.
func (a *assembler) assemble() (Program, error) {
	fromEnd := make([]int, len(a.code)+1) // instructions from here to the end
	var reversed Program
	for i := len(a.code) - 1; i >= 0; i-- {
		c := a.code[i]
		behind := len(reversed)
		if c.jump {
			yes, not := behind-fromEnd[a.labels[c.yes]], behind-fromEnd[a.labels[c.not]]
			switch {
			case c.Op == jmp|jumpAlways:
				c.K = uint32(yes)
			case yes <= 255 && not <= 255:
				c.Jt, c.Jf = uint8(yes), uint8(not)
			case not <= 254:
				reversed = append(reversed, ins(jmp|jumpAlways, uint32(yes)))
				c.Jt, c.Jf = 0, uint8(not+1)
			case yes <= 254:
				reversed = append(reversed, ins(jmp|jumpAlways, uint32(not)))
				c.Jt, c.Jf = uint8(yes+1), 0
			default:
				reversed = append(reversed, ins(jmp|jumpAlways, uint32(not)), ins(jmp|jumpAlways, uint32(yes+1)))
				c.Jt, c.Jf = 0, 1
			}
		}
		reversed = append(reversed, c.RawInstruction)
		fromEnd[i] = len(reversed)
	}
	if len(reversed) > maxInstructions {
		return nil, fmt.Errorf("filter: %d instructions, of which a kernel takes %d at most", len(reversed), maxInstructions)
	}
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	return reversed, nil
}
