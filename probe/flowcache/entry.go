package flowcache

import (
	"unsafe"

	"github.com/caprock-net/caprock/netflow"
)

// entry is a flow in the slab. What every packet needs comes first and lies in two cache lines more often than not.
type entry struct {
	start netflow.Timestamp
	last  netflow.Timestamp
	seen  netflow.Timestamp // cache time of the last packet; last, unless packets come out of order. Ending: when it goes
	bytes uint64

	packets uint32 // 0: a free entry. A flow of more ends, and the next one begins
	next    uint32 // in a list of the wheel
	key     key    // of the first packet, not masked; bits that no packet has hold more of the flow
}

const entrySize = 104

var _ = [1]struct{}{}[entrySize-unsafe.Sizeof(entry{})] // compiles only if the sizes agree

// What the key's spare bits hold: in word 5 the flags of TCP and whether FIN or RST was seen, in words 6 and 7 the halves
// of prev.
const (
	flagsShift = 16
	endingBit  = 1 << 32
	macBits    = 1<<48 - 1
)

// touch reads a word of each cache line that add needs.
func (e *entry) touch() uint64 { return uint64(e.start) + uint64(e.next) + e.key[5] }

func (e *entry) flags() uint16 { return uint16(e.key[5] >> flagsShift) }

func (e *entry) ending() bool { return e.key[5]&endingBit != 0 }

// prev is the entry before this one in a list of the wheel; headBit | list: this is the first of it.
func (e *entry) prev() uint32 { return uint32(e.key[6]>>48)<<16 | uint32(e.key[7]>>48) }

func (e *entry) setPrev(i uint32) {
	e.key[6] = e.key[6]&macBits | uint64(i>>16)<<48
	e.key[7] = e.key[7]&macBits | uint64(i&0xffff)<<48
}
