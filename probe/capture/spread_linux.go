package capture

import (
	"math/rand/v2"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/filter"
)

// spread makes the program that chooses the ring of a packet (PACKET_FANOUT_CBPF): a hash of the two addresses of the
// outermost IP header, the same in both directions. The kernel's own (PACKET_FANOUT_HASH) knows ports too and so spreads
// the connections of two hosts; but it sends the fragments of a datagram to another ring than the whole packets of its
// flow, those of a GRE tunnel to several, and the two directions of a VXLAN tunnel, whose ports differ, to two. By
// addresses alone no flow and no pair of flows is torn apart.
//
// The hash has random factors, so that nobody outside can choose addresses that all go to one ring. Packets that are not
// IP go to the first ring, mostly.
func spread() (filter.Program, error) {
	const (
		base = iota // memory: where the IP header begins
		sum         // of an address; before: what advance keeps
		source
	)
	odd := func() uint32 { return rand.Uint32() | 1 }
	first, second := odd(), odd()
	var p []bpf.Instruction
	add := func(code ...bpf.Instruction) { p = append(p, code...) }
	ifA := func(value uint32, code ...bpf.Instruction) {
		add(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value, SkipTrue: uint8(len(code))})
		add(code...)
	}
	advance := func(n uint32, load ...bpf.Instruction) []bpf.Instruction { // X by n; A is what is loaded before
		return append(load, bpf.StoreScratch{Src: bpf.RegA, N: sum},
			bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n}, bpf.TAX{}, bpf.LoadScratch{Dst: bpf.RegA, N: sum})
	}

	// X is where the next header begins, A the protocol that it is of. What arrives begins with the network header. What
	// leaves begins with the link header; the kernel has its network header behind all tags, or before them if it has only
	// passed the packet on, so that it is found from the link header.
	const link, network = 1<<32 - 0x200000, 1<<32 - 0x100000 // SKF_LL_OFF, SKF_NET_OFF (linux/filter.h)
	add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0}, bpf.LoadExtension{Num: bpf.ExtType},
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
	for range 2 { // tags that the kernel has left in the packet: all but the outermost
		for _, tpid := range []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD} {
			ifA(tpid, advance(4, bpf.LoadIndirect{Off: 2, Size: 2})...)
		}
	}
	ifA(unix.ETH_P_PPP_SES, advance(8)...)
	const labels = 4
	label := advance(4, bpf.LoadIndirect{Off: 0, Size: 4})
	add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_MPLS_UC, SkipFalse: uint8(labels * (len(label) + 1))})
	for left := labels - 1; left >= 0; left-- {
		add(label...)
		add(bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x100, SkipTrue: uint8(left * (len(label) + 1))}) // bottom of the stack
	}

	address := func(at, words uint32) []bpf.Instruction { // A = hash
		code := []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegA, Val: 0}, bpf.StoreScratch{Src: bpf.RegA, N: sum}}
		for end := at + 4*words; at < end; at += 4 {
			code = append(code, bpf.LoadScratch{Dst: bpf.RegX, N: base}, bpf.LoadIndirect{Off: at, Size: 4},
				bpf.LoadScratch{Dst: bpf.RegX, N: sum}, bpf.ALUOpX{Op: bpf.ALUOpAdd},
				bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: first}, bpf.StoreScratch{Src: bpf.RegA, N: sum})
		}
		return append(code, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 15}, bpf.LoadScratch{Dst: bpf.RegX, N: sum},
			bpf.ALUOpX{Op: bpf.ALUOpXor}, bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: second})
	}
	both := func(src, dst, words uint32) []bpf.Instruction {
		code := append(address(src, words), bpf.StoreScratch{Src: bpf.RegA, N: source})
		code = append(code, address(dst, words)...)
		return append(code, bpf.LoadScratch{Dst: bpf.RegX, N: source}, bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.RetA{}) // the kernel takes it modulo the number of rings
	}
	add(bpf.StoreScratch{Src: bpf.RegX, N: base}, bpf.LoadIndirect{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	ifA(4, both(12, 16, 1)...)
	ifA(6, both(8, 24, 4)...)
	add(bpf.RetConstant{Val: 0})
	return bpf.Assemble(p)
}
