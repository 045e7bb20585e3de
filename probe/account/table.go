package account

import (
	"hash/maphash"
	"math"
	"time"
	"unsafe"

	"github.com/caprock-net/caprock/netflow"
)

// Key is what tells rows apart. It has no pointers and no padding, so that it hashes as bytes.
type Key struct {
	Src, Dst netflow.Addr

	// All zero unless ports are told apart; then Interface, a number of Account's own, is not.
	SrcPort, DstPort uint16 // ICMP: type, code
	Interface        uint16
	Proto            uint8

	Version uint8 // of IP: 4 or 6
}

// Entry is a row.
type Entry struct {
	Key
	Packets, Bytes uint64
	hash           uint32
	_              uint32
}

var _ = [1]struct{}{}[64-unsafe.Sizeof(Entry{})] // compiles only if the sizes agree

const chunkSize = 4096 // entries

// table is a hash table that only grows: entries lie in chunks in the order in which they were made, slots point to them
// (open addressing with linear probing, at most two thirds full).
type table struct {
	slots  []uint64 // hash << 32 | index + 1; 0: empty
	chunks []*[chunkSize]Entry
	n      int
	max    int

	since      time.Time
	exceeded   Tally     // what found no room
	incomplete time.Time // since then; zero: complete
}

// Tally counts packets and IP bytes.
type Tally struct{ Packets, Bytes uint64 }

func newTable(limit int64, since time.Time) *table {
	t := &table{slots: make([]uint64, 1<<10), max: maxEntries, since: since}
	if limit > 0 {
		t.max = int(min(limit/EntrySize, maxEntries))
	}
	return t
}

func (t *table) at(i int) *Entry { return &t.chunks[i/chunkSize][i%chunkSize] }

// find returns the entry of a key, made if need be; nil: there is no room.
func (t *table) find(k *Key, hash uint32) *Entry {
	mask := uint32(len(t.slots) - 1)
	pos := hash & mask
	for ; t.slots[pos] != 0; pos = (pos + 1) & mask {
		if slot := t.slots[pos]; uint32(slot>>32) == hash {
			if e := t.at(int(uint32(slot)) - 1); e.Key == *k {
				return e
			}
		}
	}
	if t.n >= t.max {
		return nil
	}
	if 3*(t.n+1) > 2*len(t.slots) {
		t.grow()
		mask = uint32(len(t.slots) - 1)
		for pos = hash & mask; t.slots[pos] != 0; pos = (pos + 1) & mask {
		}
	}
	if t.n == len(t.chunks)*chunkSize {
		t.chunks = append(t.chunks, new([chunkSize]Entry))
	}
	t.n++
	t.slots[pos] = uint64(hash)<<32 | uint64(t.n)
	e := t.at(t.n - 1)
	e.Key, e.hash = *k, hash
	return e
}

// touch brings what find will need into the CPU's cache. Its loads do not depend on each other, so that many misses are
// under way at a time.
func (t *table) touch(hashes []uint32) (sum uint64) {
	mask := uint32(len(t.slots) - 1)
	for _, h := range hashes {
		sum += t.slots[h&mask]
	}
	for _, h := range hashes {
		if slot := t.slots[h&mask]; uint32(slot>>32) == h {
			sum += t.at(int(uint32(slot)) - 1).Packets
		}
	}
	return sum
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]uint64, 2*len(old))
	mask := uint32(len(t.slots) - 1)
	for _, slot := range old {
		if slot != 0 {
			pos := uint32(slot>>32) & mask
			for t.slots[pos] != 0 {
				pos = (pos + 1) & mask
			}
			t.slots[pos] = slot
		}
	}
}

// exceed counts what found no room.
func (t *table) exceed(n Tally, now time.Time) {
	t.exceeded.add(n)
	if t.incomplete.IsZero() {
		t.incomplete = now
	}
}

// merge adds a row that was kept elsewhere. Sums stop at the greatest number: files may say anything.
func (t *table) merge(e *Entry, hash uint32, now time.Time) {
	to := t.find(&e.Key, hash)
	if to == nil {
		t.exceed(Tally{e.Packets, e.Bytes}, now)
		return
	}
	sum := Tally{to.Packets, to.Bytes}
	sum.add(Tally{e.Packets, e.Bytes})
	to.Packets, to.Bytes = sum.Packets, sum.Bytes
}

func (n *Tally) add(m Tally) {
	n.Packets = saturate(n.Packets, m.Packets)
	n.Bytes = saturate(n.Bytes, m.Bytes)
}

func saturate(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func hashOf(seed maphash.Seed, k *Key) uint32 { return uint32(maphash.Comparable(seed, *k)) }
