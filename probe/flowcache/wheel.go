package flowcache

import (
	"math"
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// wheel is a timing wheel: a ring of lists, one for each tick to come, of the flows that end at that tick unless they are
// seen again. A further list has the flows of TCP that are ending, in the order in which they go.
//
// Every flow in the ring is in the list of a tick >= both cursors, and less than the ring's size ahead of tick.
type wheel struct {
	heads  []uint32 // first entry of each list; the last list is that of the ending
	shift  uint     // a tick is 1 << shift microseconds
	tick   int64    // next tick to look at
	oldest int64    // next tick to look at for a flow to evict
	tail   uint32   // last of the ending
	ending int      // how many
	// due is the time at which sweep may have something to do; packets before it need not call.
	due netflow.Timestamp
}

const (
	headBit  = 1 << 31
	minShift = 13      // 8 ms
	maxTicks = 1 << 15 // for one timeout; a longer one has longer ticks
	late     = 1e6     // µs: by how much the sweep may be late before it stops working in small steps
)

// newWheel makes a wheel for flows that end when not seen for wait.
func newWheel(wait netflow.Timestamp) wheel {
	w := wheel{shift: minShift}
	for wait>>w.shift > maxTicks {
		w.shift++
	}
	ticks := int(wait>>w.shift) + (late >> w.shift) + 4
	w.heads = make([]uint32, 1<<bits.Len(uint(ticks))+1)
	return w
}

// list is the number of the list of a tick.
func (w *wheel) list(tick int64) uint32 { return uint32(tick & int64(len(w.heads)-2)) }

// tickOf is the first tick that begins after t.
func (w *wheel) tickOf(t netflow.Timestamp) int64 { return int64(t>>w.shift) + 1 }

// rewind sets the wheel to the clock. No flow may be in it.
func (c *Cache) rewind() {
	w := &c.wheel
	w.tick = w.tickOf(c.now)
	w.oldest = w.tick
	w.due = netflow.Timestamp(w.tick) << w.shift
}

// place puts a flow that is in no list into the ring, by when it was seen.
func (c *Cache) place(i uint32) {
	c.placeAt(i, c.wheel.tickOf(c.slab[i].seen+c.wait))
}

// placeAt puts a flow that is in no list into that of a tick.
func (c *Cache) placeAt(i uint32, tick int64) {
	w := &c.wheel
	e := &c.slab[i]
	w.oldest = min(w.oldest, tick)
	list := w.list(tick)
	e.setPrev(headBit | list)
	e.next = w.heads[list]
	if e.next != 0 {
		c.slab[e.next].setPrev(i)
	}
	w.heads[list] = i
}

// pushEnding appends a flow that is in no list to the ending ones.
func (c *Cache) pushEnding(i uint32) {
	w := &c.wheel
	e := &c.slab[i]
	e.next = 0
	if w.tail != 0 {
		e.setPrev(w.tail)
		c.slab[w.tail].next = i
	} else {
		last := uint32(len(w.heads) - 1)
		e.setPrev(headBit | last)
		w.heads[last] = i
		w.due = min(w.due, e.seen+1)
	}
	w.tail = i
	w.ending++
}

// unlink takes a flow out of its list.
func (c *Cache) unlink(i uint32) {
	w := &c.wheel
	e := &c.slab[i]
	prev := e.prev()
	if e.next != 0 {
		c.slab[e.next].setPrev(prev)
	} else if w.tail == i {
		w.tail = prev
		if prev&headBit != 0 {
			w.tail = 0
		}
	}
	if prev&headBit != 0 {
		w.heads[prev&^headBit] = e.next
	} else {
		c.slab[prev].next = e.next
	}
	if e.ending() {
		w.ending--
	}
}

// touchNeighbours reads the words that unlink changes.
func (c *Cache) touchNeighbours(i uint32) uint64 {
	e := &c.slab[i]
	touched := c.slab[e.next].key[6]
	if prev := e.prev(); prev&headBit == 0 {
		touched += uint64(c.slab[prev].next)
	}
	return touched
}

// sweepDue is sweep when there may be something to do.
func (c *Cache) sweepDue(limit int, emit func(*netflow.Record)) {
	if c.now >= c.wheel.due {
		c.sweep(limit, emit)
	}
}

// sweep emits flows that have ended and looks at no more than limit ones; without a bound if limit is negative or it has
// fallen behind by more than a second.
func (c *Cache) sweep(limit int, emit func(*netflow.Record)) {
	w := &c.wheel
	if w.tail != 0 && c.now-c.slab[w.heads[len(w.heads)-1]].seen > late || int64(c.now)-w.tick<<w.shift > late || limit < 0 {
		limit = math.MaxInt
	}
	for w.tail != 0 {
		i := w.heads[len(w.heads)-1]
		if c.slab[i].seen >= c.now {
			break
		}
		if limit == 0 {
			return
		}
		limit--
		c.remove(i, netflow.EndReasonEndOfFlow, emit)
	}
	for present := int64(c.now >> w.shift); w.tick <= present; w.tick++ {
		if c.stats.Flows == w.ending { // none in the ring
			w.tick = present + 1
			break
		}
		list := w.list(w.tick)
		for i := w.heads[list]; i != 0; i = w.heads[list] {
			if limit == 0 {
				return
			}
			limit--
			if e := &c.slab[i]; w.tickOf(e.seen+c.wait) > w.tick { // seen since
				c.unlink(i)
				c.place(i)
			} else {
				c.remove(i, c.waitReason, emit)
			}
		}
	}
	w.oldest = max(w.oldest, w.tick)
	w.due = netflow.Timestamp(w.tick) << w.shift
	if w.tail != 0 {
		w.due = min(w.due, c.slab[w.heads[len(w.heads)-1]].seen+1)
	}
}

// evictLooks bounds the flows that evict looks at, so that no packet waits long.
const evictLooks = 256

// evict ends a flow to make room: the first of the ending, else the one at the earliest tick that was not seen since it
// was put there, which is the least recently seen to the width of a tick. Flows seen since are put where they belong by
// the way; each such move is paid for by a packet, so the cost per packet is constant on average. After evictLooks moves
// the least recently seen of those goes.
func (c *Cache) evict(emit func(*netflow.Record)) {
	w := &c.wheel
	if w.tail != 0 {
		c.remove(w.heads[len(w.heads)-1], netflow.EndReasonEndOfFlow, emit)
		return
	}
	w.oldest = max(w.oldest, w.tick) // a sweep that stopped at its limit leaves it behind
	var victim uint32
	for range evictLooks {
		for w.heads[w.list(w.oldest)] == 0 {
			w.oldest++
		}
		i := w.heads[w.list(w.oldest)]
		e := &c.slab[i]
		if w.tickOf(e.seen+c.wait) <= w.oldest {
			victim = i
			break
		}
		c.unlink(i)
		c.place(i)
		if victim == 0 || e.seen < c.slab[victim].seen {
			victim = i
		}
	}
	c.remove(victim, c.reason(&c.slab[victim], netflow.EndReasonResources), emit)
}
