package archive

import (
	"math/bits"
	"math/rand/v2"

	"github.com/caprock-net/caprock/probe/dissect"
)

// pieceSize bounds the packets that one entry of the index is for, unless a packet is larger: so much is read for a packet
// that is looked for. A piece of packets seldom repeats a flow, so that smaller ones hardly make the index larger.
const pieceSize = 64 << 10

// indexer finds the flows of packets. What it returns is valid until the next call.
type indexer struct {
	seed  [4]uint64
	table [1 << (placeBits + 1)]uint32 // open addressing: round, and the place in keys, of what was found in this round
	round uint32
	keys  []Key
	p     dissect.Packet
}

// placeBits are the bits of a place in keys: a piece has pieceSize / packetHeaderLen packets at most.
const placeBits = 12

func newIndexer() *indexer {
	x := &indexer{}
	for i := range x.seed {
		x.seed[i] = rand.Uint64()
	}
	return x
}

// index describes a piece: the packets that records begins with, as many as are whole and fit. Offset is left to the
// caller.
func (x *indexer) index(link dissect.LinkType, records []byte) Block {
	var b Block
	x.keys = x.keys[:0]
	if x.round++; x.round >= 1<<(32-placeBits) {
		x.round = 1
		clear(x.table[:])
	}
	for at, p := range packetsOf(records) {
		end := at + packetHeaderLen + len(p.Data)
		if b.Packets == 0 {
			b.First, b.Last = p.Time, p.Time
		} else if end > pieceSize {
			break
		}
		b.Packets++
		b.Bytes = end
		b.First, b.Last = min(b.First, p.Time), max(b.Last, p.Time)
		if dissect.Dissect(link, p.Data, p.WireLen, &x.p) != dissect.OK {
			b.NonIP++
			continue
		}
		x.add(Key{x.p.Src, x.p.Dst, x.p.SrcPort, x.p.DstPort, x.p.Proto, x.p.IPVersion})
	}
	b.Keys = x.keys
	return b
}

// add puts a key into keys unless it is there.
func (x *indexer) add(k Key) {
	const mask = uint64(len(x.table) - 1)
	for slot := x.hash(&k) & mask; ; slot = (slot + 1) & mask {
		if x.table[slot]>>placeBits != x.round {
			x.table[slot] = x.round<<placeBits | uint32(len(x.keys))
			x.keys = append(x.keys, k)
			return
		}
		if x.keys[x.table[slot]&(1<<placeBits-1)] == k {
			return
		}
	}
}

// hash depends on the seed, so that nobody can choose addresses that fall together.
func (x *indexer) hash(k *Key) uint64 {
	rest := uint64(k.SrcPort)<<48 | uint64(k.DstPort)<<32 | uint64(k.Proto)
	srcHi, srcLo := halves(&k.Src)
	dstHi, dstLo := halves(&k.Dst)
	h := fold(srcHi^x.seed[0], srcLo^x.seed[1]) ^ fold(dstHi^x.seed[2], dstLo^x.seed[3])
	return fold(h^x.seed[1], rest^x.seed[2])
}

// fold mixes two numbers: both halves of their product.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
