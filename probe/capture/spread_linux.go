package capture

import (
	"math/rand/v2"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

// spread chooses the ring of a packet: by a hash of the two addresses of the outermost IP header, the same in both
// directions. The kernel's own (PACKET_FANOUT_HASH) knows ports too and so spreads the connections of two hosts; but it sends
// the fragments of a datagram to another ring than the whole packets of its flow, those of a GRE tunnel to several, and the
// two directions of a VXLAN tunnel, whose ports differ, to two. By addresses alone no flow and no pair of flows is torn apart.
//
// The hash has random factors, so that nobody outside can choose addresses that all go to one ring. Packets that are not
// IP go to the first ring, mostly.
type spread struct{ first, second uint32 }

func newSpread() spread {
	odd := func() uint32 { return rand.Uint32() | 1 }
	return spread{odd(), odd()}
}

// share says which of the packets a ring takes: the i-th of n.
type share struct {
	spread
	i, n int
}

// chooser is the program that tells a group of rings which is to take a packet (PACKET_FANOUT_CBPF): the kernel takes the
// hash modulo the number of rings. What arrives begins with the network header. What leaves begins with the link header; the
// kernel has its network header behind all tags, or before them if it has only passed the packet on, so that it is found
// from the link header.
func (s spread) chooser() (filter.Program, error) {
	const link, network = 1<<32 - 0x200000, 1<<32 - 0x100000 // SKF_LL_OFF, SKF_NET_OFF (linux/filter.h)
	var p program
	p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0}, bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipFalse: 8},
		bpf.LoadExtension{Num: bpf.ExtLinkLayerType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ARPHRD_ETHER, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ARPHRD_LOOPBACK, SkipTrue: 2},
		bpf.LoadConstant{Dst: bpf.RegX, Val: network},
		bpf.Jump{Skip: 3},
		bpf.LoadConstant{Dst: bpf.RegX, Val: link + 14},
		bpf.LoadAbsolute{Off: link + 12, Size: 2},
		bpf.Jump{Skip: 1},
		bpf.LoadExtension{Num: bpf.ExtProto})
	s.hash(&p, false) // a packet that ends too early ends the program too, for the first ring
	p.add(bpf.RetA{})
	return bpf.Assemble(p.code)
}

// filter is the program of one ring's socket, in front of another one that says what is wanted of the packets: the others
// are for other rings. What it sees begins as the socket's frames do.
func (s share) filter(link dissect.LinkType, cooked bool, wanted filter.Program) (filter.Program, error) {
	var p program
	switch {
	case cooked:
		p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0}, bpf.LoadExtension{Num: bpf.ExtProto})
		s.hash(&p, true)
	case link == dissect.LinkEthernet:
		p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
		p.need(14)
		p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 14}, bpf.LoadAbsolute{Off: 12, Size: 2})
		s.hash(&p, true)
	default: // 802.11: the first ring takes all
		p.add(bpf.LoadConstant{Dst: bpf.RegA, Val: 0})
	}
	p.add(bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(s.n)}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(s.i), SkipTrue: 1}, bpf.RetConstant{Val: 0},
		bpf.LoadConstant{Dst: bpf.RegA, Val: 0}, bpf.TAX{}) // as a program begins
	whole, err := bpf.Assemble(p.code)
	if err != nil {
		return nil, err
	}
	return append(whole, wanted...), nil
}

// program is one being written.
type program struct {
	code []bpf.Instruction
	out  []int // jumps to where there is no hash
}

func (p *program) add(code ...bpf.Instruction) { p.code = append(p.code, code...) }

// when has the code that f writes run when A is the value.
func (p *program) when(value uint32, f func()) {
	at := len(p.code)
	p.add(nil)
	f()
	p.code[at] = bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value, SkipTrue: uint8(len(p.code) - at - 1)}
}

// jump is one to where there is no hash.
func (p *program) jump() {
	p.out = append(p.out, len(p.code))
	p.add(nil)
}

// need goes to where there is no hash when the packet ends less than n bytes behind X: a load would end the program, and
// so the packet be for no ring. A is lost.
func (p *program) need(n uint32) {
	p.add(bpf.LoadExtension{Num: bpf.ExtLen}, bpf.ALUOpX{Op: bpf.ALUOpSub}, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: n, SkipTrue: 1})
	p.jump()
}

// hash writes what has the hash in A, of 16 bits. X is where the header behind the link header begins, A the protocol that it
// is of. When checked, a packet that ends too early has the hash 0, as what is not IP.
func (s spread) hash(p *program, checked bool) {
	const (
		base = iota // memory: where the IP header begins
		sum         // of an address; before: what advance keeps
		source
	)
	need := func(n uint32) {
		if checked {
			p.need(n)
		}
	}
	advance := func(n uint32, load ...bpf.Instruction) { // X by n; A is what is loaded before
		need(n)
		p.add(load...)
		p.add(bpf.StoreScratch{Src: bpf.RegA, N: sum},
			bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n}, bpf.TAX{}, bpf.LoadScratch{Dst: bpf.RegA, N: sum})
	}
	for range 2 { // tags that the kernel has left in the packet: all but the outermost
		for _, tpid := range []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD} {
			p.when(tpid, func() { advance(4, bpf.LoadIndirect{Off: 2, Size: 2}) })
		}
	}
	p.when(unix.ETH_P_PPP_SES, func() { advance(8, bpf.LoadConstant{Dst: bpf.RegA, Val: 0}) })
	p.when(unix.ETH_P_MPLS_UC, func() {
		const labels = 4
		var bottom [labels]int
		for i := range bottom {
			advance(4, bpf.LoadIndirect{Off: 0, Size: 4})
			bottom[i] = len(p.code)
			p.add(nil)
		}
		for _, at := range bottom {
			p.code[at] = bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x100, SkipTrue: uint8(len(p.code) - at - 1)} // bottom of the stack
		}
	})

	address := func(at, words uint32) { // A = hash
		p.add(bpf.LoadConstant{Dst: bpf.RegA, Val: 0}, bpf.StoreScratch{Src: bpf.RegA, N: sum})
		for end := at + 4*words; at < end; at += 4 {
			p.add(bpf.LoadScratch{Dst: bpf.RegX, N: base}, bpf.LoadIndirect{Off: at, Size: 4},
				bpf.LoadScratch{Dst: bpf.RegX, N: sum}, bpf.ALUOpX{Op: bpf.ALUOpAdd},
				bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: s.first}, bpf.StoreScratch{Src: bpf.RegA, N: sum})
		}
		p.add(bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 15}, bpf.LoadScratch{Dst: bpf.RegX, N: sum},
			bpf.ALUOpX{Op: bpf.ALUOpXor}, bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: s.second})
	}
	var have []int // jumps to where there is one
	both := func(src, dst, words uint32) {
		need(dst + 4*words)
		address(src, words)
		p.add(bpf.StoreScratch{Src: bpf.RegA, N: source})
		address(dst, words)
		p.add(bpf.LoadScratch{Dst: bpf.RegX, N: source}, bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16})
		have = append(have, len(p.code))
		p.add(nil)
	}
	p.add(bpf.StoreScratch{Src: bpf.RegX, N: base})
	need(1)
	p.add(bpf.LoadIndirect{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	p.when(4, func() { both(12, 16, 1) })
	p.when(6, func() { both(8, 24, 4) })
	for _, at := range p.out {
		p.code[at] = bpf.Jump{Skip: uint32(len(p.code) - at - 1)}
	}
	p.out = nil
	p.add(bpf.LoadConstant{Dst: bpf.RegA, Val: 0})
	for _, at := range have {
		p.code[at] = bpf.Jump{Skip: uint32(len(p.code) - at - 1)}
	}
}
