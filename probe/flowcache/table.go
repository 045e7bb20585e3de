package flowcache

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// The table of slots: open addressing with linear probing, a power of two in size, at most two thirds full. It starts small, so
// that few flows stay in the CPU's cache, and doubles; it never shrinks. Deleting shifts the slots behind back, there are
// no tombstones to pile up.

// minSlots is the size a table starts with, unless fewer are enough.
const minSlots = 1 << 12

// maxProbe bounds how far from its home a slot is put. With secret hashes and a table at most two thirds full a slot that
// far away is to be expected once in ten thousand times that a table fills with a million flows (the chance falls by a
// factor of e every 14 slots); beyond the bound the flow at home is ended to make room (EndReasonResources).
const maxProbe = 320

// slotsFor is the size of the table for n flows: at least half as many slots again.
func slotsFor(n int) int { return 1 << bits.Len(uint(n+(n+1)/2-1)) }

// find returns the entry with the key k, or 0.
func (c *Cache) find(hash uint32, k *key) uint32 {
	mask := uint32(len(c.slots) - 1)
	for pos := hash & mask; ; pos = (pos + 1) & mask {
		slot := c.slots[pos]
		if slot == 0 {
			return 0
		}
		if uint32(slot>>32) == hash {
			if i := uint32(slot); same(&c.slab[i].key, k, &c.mask, c.hasher.l2) {
				return i
			}
		}
	}
}

// putSlot enters an entry that is not in the table.
func (c *Cache) putSlot(hash, i uint32, emit func(*netflow.Record)) {
	if 3*c.stats.Flows > 2*len(c.slots) {
		c.grow()
	}
	mask := uint32(len(c.slots) - 1)
	home := hash & mask
	pos := home
	for c.slots[pos] != 0 {
		pos = (pos + 1) & mask
		if (pos-home)&mask == maxProbe {
			victim := uint32(c.slots[home])
			c.remove(victim, c.reason(&c.slab[victim], netflow.EndReasonResources), emit)
			pos = home // deleting has moved slots
		}
	}
	c.slots[pos] = uint64(hash)<<32 | uint64(i)
}

// deleteSlot takes an entry out of the table.
func (c *Cache) deleteSlot(hash, i uint32) {
	mask := uint32(len(c.slots) - 1)
	hole := hash & mask
	for slot := uint64(hash)<<32 | uint64(i); c.slots[hole] != slot; {
		hole = (hole + 1) & mask
	}
	for pos := (hole + 1) & mask; c.slots[pos] != 0; pos = (pos + 1) & mask {
		// A slot may move to the hole unless that lies before its home.
		home := uint32(c.slots[pos]>>32) & mask
		if (pos-home)&mask >= (pos-hole)&mask {
			c.slots[hole] = c.slots[pos]
			hole = pos
		}
	}
	c.slots[hole] = 0
}

// grow doubles the table. The home of a slot is in its hash, so no entry is touched.
func (c *Cache) grow() {
	old := c.slots
	c.slots = make([]uint64, 2*len(old))
	hugePages(c.slots)
	populate(c.slots)
	mask := uint32(len(c.slots) - 1)
	for _, slot := range old {
		if slot != 0 {
			pos := uint32(slot>>32) & mask
			for c.slots[pos] != 0 {
				pos = (pos + 1) & mask
			}
			c.slots[pos] = slot
		}
	}
	release(old)
}
