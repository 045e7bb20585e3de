package flowcache

import "github.com/caprock-net/caprock/netflow"

// Walk calls f with the flows held in a part of the table: it looks at n entries from one on, 0 at first, and returns where
// the next part begins; 0: that was the last. Between the parts packets may be added; a flow that ends meanwhile may be
// left out, one that stays is seen once. Records are valid during the call of f, which must not call the Cache; those of
// flows that have not ended have no EndReason.
func (c *Cache) Walk(from uint32, n int, f func(*netflow.Record)) (next uint32) {
	from = max(from, 1)
	end := min(uint64(from)+uint64(n), uint64(c.used))
	counted := c.stats // emit counts what it is given: here nothing ends
	for i := uint64(from); i < end; i++ {
		if c.slab[i].packets != 0 {
			c.emit(uint32(i), 0, f)
		}
	}
	c.stats = counted
	if end == uint64(c.used) {
		return 0
	}
	return uint32(end)
}
