package filter

import "encoding/binary"

// Run runs the program on a frame, of which wireLen bytes were on the wire, and returns what it returns: 0 when the frame is
// not wanted. As in the kernels a load behind the end of the frame, or a division by zero, rejects it. The program must
// be valid: one of Compile, or one that Validate has passed.
func (p Program) Run(frame []byte, wireLen int) uint32 {
	var a, x uint32
	var memory [scratch]uint32
	for i := 0; ; i++ {
		c := p[i]
		operand := c.K
		if c.Op&srcX != 0 {
			operand = x
		}
		switch c.Op {
		case ret:
			return c.K
		case ret | retA:
			return a
		case ld | imm:
			a = c.K
		case ld | mem:
			a = memory[c.K]
		case ld | pktLen:
			a = uint32(wireLen)
		case ldx | imm:
			x = c.K
		case ldx | mem:
			x = memory[c.K]
		case ldx | pktLen:
			x = uint32(wireLen)
		case st:
			memory[c.K] = a
		case stx:
			memory[c.K] = x
		case misc | tax:
			x = a
		case misc | txa:
			a = x
		case ld | abs | sizeB, ld | abs | sizeH, ld | abs | sizeW, ld | ind | sizeB, ld | ind | sizeH, ld | ind | sizeW, ldx | msh | sizeB:
			at := c.K
			if c.Op&0xe0 == ind {
				at += x // and wraps, as in the kernels
			}
			if uint64(at) >= uint64(len(frame)) {
				return 0
			}
			b := frame[at:]
			switch {
			case c.Op == ldx|msh|sizeB:
				x = uint32(b[0]&0x0f) * 4
			case c.Op&0x18 == sizeB:
				a = uint32(b[0])
			case c.Op&0x18 == sizeH && len(b) >= 2:
				a = uint32(binary.BigEndian.Uint16(b))
			case c.Op&0x18 == sizeW && len(b) >= 4:
				a = binary.BigEndian.Uint32(b)
			default:
				return 0
			}
		case jmp | jumpAlways:
			i += int(c.K)
		case jmp | jumpEq, jmp | jumpEq | srcX:
			i += choose(a == operand, c.Jt, c.Jf)
		case jmp | jumpGt, jmp | jumpGt | srcX:
			i += choose(a > operand, c.Jt, c.Jf)
		case jmp | jumpGe, jmp | jumpGe | srcX:
			i += choose(a >= operand, c.Jt, c.Jf)
		case jmp | jumpSet, jmp | jumpSet | srcX:
			i += choose(a&operand != 0, c.Jt, c.Jf)
		case alu | opNeg:
			a = -a
		default:
			op := c.Op &^ (7 | srcX)
			if (op == opDiv || op == opMod) && operand == 0 {
				return 0
			}
			a = compute(op, a, operand)
		}
	}
}

func choose(b bool, yes, no uint8) int {
	if b {
		return int(yes)
	}
	return int(no)
}
