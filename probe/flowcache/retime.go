package flowcache

import (
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// SetTimeouts changes Config's Active, Inactive and TCPExpiry. Flows that are held go by the new timeouts from now on: those
// that have been idle for too long already leave with the next packets, or Expire, and one whose end was seen goes as it
// would have. Every flow held is looked at, which takes some 25 ns each.
func (c *Cache) SetTimeouts(active, inactive time.Duration, tcpExpiry bool) error {
	cfg := Config{Active: active, Inactive: inactive}
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	c.active = netflow.Timestamp(cfg.Active.Microseconds())
	c.wait, c.waitReason = netflow.Timestamp(min(cfg.Active, cfg.Inactive).Microseconds()), netflow.EndReasonIdle
	if cfg.Inactive > cfg.Active {
		c.waitReason = netflow.EndReasonActive
	}
	five := KeyFiveTuple.mask()
	c.tcp = tcpExpiry && c.mask.and(&five) == five

	old := c.wheel
	w := newWheel(c.wait)
	last := uint32(len(w.heads) - 1)
	first := old.heads[len(old.heads)-1]
	w.heads[last], w.tail, w.ending = first, old.tail, old.ending // the ending keep their order
	if first != 0 {
		c.slab[first].setPrev(headBit | last)
	}
	c.wheel = w
	c.rewind()
	for i := uint32(1); i < c.used; i++ {
		if e := &c.slab[i]; e.packets != 0 && !e.ending() {
			c.placeAt(i, max(c.wheel.tickOf(e.seen+c.wait), c.wheel.tick))
		}
	}
	if first != 0 {
		c.wheel.due = min(c.wheel.due, c.slab[first].seen+1)
	}
	return nil
}
