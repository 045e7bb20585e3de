package query

import (
	"math/bits"
	"math/rand/v2"
	"sync"

	"github.com/caprock-net/caprock/netflow"
)

// layout says what the words of an entry are. An entry is a key, the number of flows, the sums that are wanted, and the
// first and last time if wanted. The entries of groups have all that the query counts; those on their way to them leave
// out what is 0 in their chunk.
type layout struct {
	keys   int        // words of the key
	counts CounterSet // what is counted besides flows
	sums   int        // flows and the wanted ones of packets, bytes and their reverses
	times  int        // first and last, as wanted
}

func newLayout(keys int, counts CounterSet) layout {
	return layout{
		keys: keys, counts: counts,
		sums:  1 + bits.OnesCount8(uint8(counts&(CountFirst-1))),
		times: bits.OnesCount8(uint8(counts & (CountFirst | CountLast))),
	}
}

// width returns the words of an entry.
func (l layout) width() int { return l.keys + l.sums + l.times }

// positions returns the places in l, behind the key, of the counters of a part of l.
func (l layout) positions(part layout) (to [1 + len(counterColumns)]uint8) {
	from, at := 1, uint8(1)
	for bit := range counterColumns {
		if part.counts>>bit&1 != 0 {
			to[from] = at
			from++
		}
		if l.counts>>bit&1 != 0 {
			at++
		}
	}
	return to
}

// place returns the word of an entry that an order compares, or 0 if it compares something else.
func (l layout) place(o Order) int {
	switch o {
	case ByFlows:
		return l.keys
	case ByPackets, ByBytes, ByReversePackets, ByReverseBytes:
		below := o.needs() - 1
		return l.keys + 1 + bits.OnesCount8(uint8(l.counts&below))
	}
	return 0
}

// merge adds counters of a part of l to those of a, to the places to, and ors 1 to full if a sum overflows.
func (l layout) merge(a, part []uint64, to []uint8, full *uint64) {
	part = part[:len(to)]
	for i, at := range to {
		have := &a[at]
		switch {
		case int(at) < l.sums:
			*have = addSaturating(*have, part[i], full)
		case l.counts&CountFirst != 0 && int(at) == l.sums:
			*have = earliest(*have, part[i])
		default:
			*have = latest(*have, part[i])
		}
	}
}

// earliest and latest choose of two times; 0 is not told.
func earliest(a, b uint64) uint64 {
	if a == 0 || b != 0 && int64(b) < int64(a) {
		return b
	}
	return a
}

func latest(a, b uint64) uint64 {
	if a == 0 || b != 0 && int64(b) > int64(a) {
		return b
	}
	return a
}

// counters turns an entry's words after the key to Counters.
func (l layout) counters(words []uint64) (c Counters) {
	c.Flows = words[0]
	i := 1
	for bit, v := range [...]*uint64{&c.Packets, &c.Bytes, &c.ReversePackets, &c.ReverseBytes} {
		if l.counts>>bit&1 != 0 {
			*v = words[i]
			i++
		}
	}
	if l.counts&CountFirst != 0 {
		c.First = netflow.Timestamp(words[i])
		i++
	}
	if l.counts&CountLast != 0 {
		c.Last = netflow.Timestamp(words[i])
	}
	return c
}

// partitions is into how many tables groups are divided by the upper bits of their hash, so that each table is small
// enough for the cache while a batch of entries goes into it, and so that workers seldom meet at a lock.
const partitions = 256

// partitionOf returns the table of a hash; the lower bits choose the slot.
func partitionOf(hash uint64) int { return int(hash >> 56) }

// blockEntries is how many entries a table allocates at once.
const blockEntries = 256

// table holds the groups of one partition: slots of an open-addressing hash table that point to entries, which never move.
type table struct {
	mu     sync.Mutex
	slots  []uint64 // lower 32 bits of the hash << 32 | number of the entry + 1; 0 is free
	n      int
	blocks [][]uint64
	full   uint64 // 1 after a sum overflowed

	waiting []block // entries to be merged
}

// add merges the entries of a block into those of layout l and returns how many groups are new.
func (t *table) add(l layout, b block) int {
	before, width := t.n, b.width()
	positions := l.positions(b.layout)
	to := positions[:b.sums+b.times]
	if b.single {
		to = to[1:]
	}
	for rest := b.words; len(rest) > 0; rest = rest[width:] {
		words := rest[:width]
		if 4*t.n >= 3*len(t.slots) {
			t.slots = growSlots(t.slots)
		}
		entry, isNew := t.find(l, hashKey(words[:l.keys]), words[:l.keys])
		if b.single {
			entry[0]++
		}
		if counters := words[l.keys:]; isNew {
			for i, at := range to {
				entry[at] = counters[i]
			}
		} else {
			l.merge(entry, counters, to, &t.full)
		}
	}
	return t.n - before
}

// find returns the counters of a key's group, which is made if there is none. There is room for it.
func (t *table) find(l layout, hash uint64, key []uint64) (counters []uint64, isNew bool) {
	mask := uint64(len(t.slots) - 1)
	tag := hash << 32
	for i := hash & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s == 0 {
			entry := t.allocate(l.width())
			t.slots[i] = tag | uint64(t.n)
			copy(entry, key)
			return entry[l.keys:], true
		}
		if s>>32 != tag>>32 {
			continue
		}
		if entry := t.entry(uint32(s)-1, l.width()); sameKey(entry[:l.keys], key) {
			return entry[l.keys:], false
		}
	}
}

func sameKey(a, b []uint64) bool {
	b = b[:len(a)]
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// entry returns the words of entry i.
func (t *table) entry(i uint32, width int) []uint64 {
	at := int(i%blockEntries) * width
	return t.blocks[i/blockEntries][at : at+width]
}

// allocate returns one more entry, all zeros.
func (t *table) allocate(width int) []uint64 {
	if t.n++; t.n > len(t.blocks)*blockEntries {
		t.blocks = append(t.blocks, make([]uint64, blockEntries*width))
	}
	return t.entry(uint32(t.n-1), width)
}

// growSlots returns twice as many slots with the same contents.
func growSlots(old []uint64) []uint64 {
	slots := make([]uint64, max(256, 2*len(old)))
	mask := uint64(len(slots) - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := s >> 32 & mask
		for slots[i] != 0 {
			i = (i + 1) & mask
		}
		slots[i] = s
	}
	return slots
}

// hashSeeds make hashes differ from process to process, so that no one can send flows that collide.
var hashSeeds = func() (seeds [maxKeyWords]uint64) {
	for i := range seeds {
		seeds[i] = rand.Uint64() | 1
	}
	return seeds
}()

// firstHash is the hash of a key of no words.
var firstHash = rand.Uint64()

// mix folds the 128-bit product of a hash so far with a word, and a seed.
func mix(hash, word, seed uint64) uint64 {
	hi, lo := bits.Mul64(hash^word, seed)
	return hi ^ lo
}

// hashKey hashes a key of a few words.
func hashKey(key []uint64) uint64 {
	h := firstHash
	for i, w := range key {
		h = mix(h, w, hashSeeds[i])
	}
	return h
}
