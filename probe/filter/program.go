package filter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// Program is a BPF program. It returns how many bytes of a frame are wanted; 0: the frame is not.
type Program []bpf.RawInstruction

// ParseText reads either an expression or the numbers that "tcpdump -ddd" prints: how many instructions there are, then
// one a line. Numbers are a program for the kind of frames that tcpdump was told (-y), which it must be run on.
func ParseText(text string) (*Filter, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	count, err := strconv.ParseUint(strings.TrimSpace(lines[0]), 10, 32)
	if err != nil || len(lines) == 1 {
		return Parse(text)
	}
	if count == 0 || count > maxInstructions {
		return nil, fmt.Errorf("filter: %d instructions, must be 1 to %d", count, maxInstructions)
	}
	if uint64(len(lines)-1) != count {
		return nil, fmt.Errorf("filter: %d instructions are announced, but %d lines follow", count, len(lines)-1)
	}
	p := make(Program, count)
	for i, line := range lines[1:] {
		fields := strings.Fields(line)
		var n [4]uint64
		for j, bits := range []int{16, 8, 8, 32} {
			if len(fields) != 4 {
				return nil, fmt.Errorf("filter: line %d: want four numbers", i+2)
			}
			if n[j], err = strconv.ParseUint(fields[j], 10, bits); err != nil {
				return nil, fmt.Errorf("filter: line %d: %q is no number of %d bits", i+2, fields[j], bits)
			}
		}
		p[i] = bpf.RawInstruction{Op: uint16(n[0]), Jt: uint8(n[1]), Jf: uint8(n[2]), K: uint32(n[3])}
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &Filter{text: text, program: p}, nil
}

// Validate checks what kernels check: that every instruction is known, jumps stay inside, memory exists, nothing constant
// is divided by zero, and the program ends by returning. Jumps only go forward, so that it ends at all.
func (p Program) Validate() error {
	if len(p) == 0 || len(p) > maxInstructions {
		return fmt.Errorf("filter: %d instructions, must be 1 to %d", len(p), maxInstructions)
	}
	for i, c := range p {
		if err := checkInstruction(c, uint64(len(p)-i-1)); err != nil {
			return fmt.Errorf("filter: instruction %d: %w", i, err)
		}
	}
	if p[len(p)-1].Op&7 != ret {
		return errors.New("filter: the program does not end by returning")
	}
	return nil
}

// checkInstruction checks an instruction that has the given number of others behind it.
func checkInstruction(c bpf.RawInstruction, behind uint64) error {
	unknown := fmt.Errorf("%#x is none that is known", c.Op)
	switch c.Op {
	case ld | imm, ld | abs | sizeW, ld | abs | sizeH, ld | abs | sizeB, ld | ind | sizeW, ld | ind | sizeH, ld | ind | sizeB, ld | pktLen,
		ldx | imm, ldx | msh | sizeB, ldx | pktLen, ret, ret | retA, misc | tax, misc | txa:
		return nil
	case ld | mem, ldx | mem, st, stx:
		if c.K >= scratch {
			return fmt.Errorf("there is no memory %d", c.K)
		}
		return nil
	}
	switch c.Op & 7 {
	case alu:
		op := c.Op &^ (7 | srcX)
		constant := c.Op&srcX == 0
		switch {
		case op > opXor || op == opNeg && !constant:
			return unknown
		case (op == opDiv || op == opMod) && constant && c.K == 0:
			return errors.New("division by zero")
		case (op == opLsh || op == opRsh) && constant && c.K > 31:
			return errors.New("a shift by more than 31 bits")
		}
		return nil
	case jmp:
		switch c.Op &^ (7 | srcX) {
		case jumpAlways:
			if c.Op&srcX != 0 {
				return unknown
			}
			if uint64(c.K) >= behind {
				return errors.New("a jump behind the end")
			}
			return nil
		case jumpEq, jumpGt, jumpGe, jumpSet:
			if uint64(c.Jt) >= behind || uint64(c.Jf) >= behind {
				return errors.New("a jump behind the end")
			}
			return nil
		}
	}
	return unknown
}

// snap returns the program with what it wants of a frame bounded to n bytes.
func (p Program) snap(n uint32) Program {
	q := append(Program(nil), p...)
	for i, c := range q {
		if c.Op == ret {
			q[i].K = min(c.K, n)
		}
	}
	return q
}
