package flowcache

import (
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// When packets are shared out between caches, each sees only some of them, but which packets make up which record depends
// on the clock, and that on all of them. Clock is that clock; a Cache learns by Follow what it cannot know by itself.

// Clock is the clock of one Cache that would get all packets. It must be made by NewClock.
type Clock struct {
	span    netflow.Timestamp // time that steps back by more is a new clock
	now     netflow.Timestamp
	running bool
}

// NewClock makes the clock of the caches of a configuration.
func NewClock(cfg Config) Clock {
	cfg = cfg.withDefaults()
	return Clock{span: netflow.Timestamp(cfg.Active.Microseconds())} // as in setClock: flows end no later than this
}

// SetTimeouts changes them, as for the caches.
func (c *Clock) SetTimeouts(active, inactive time.Duration) {
	c.span = NewClock(Config{Active: active, Inactive: inactive}).span
}

// Kind says how a packet's time compares with the clock.
type Kind uint8

// Kinds of time that a packet may have.
const (
	Forward Kind = iota // the packet is the newest one: its Cache finds the time out by itself
	Behind              // it is older: its Cache must Follow the clock first
	Step                // it is so much older that all flows end: all caches must Follow the clock, and then the packet's time
)

// Take moves the clock by a packet's time, and returns what it showed before.
func (c *Clock) Take(t netflow.Timestamp) (before netflow.Timestamp, kind Kind) {
	before = c.now
	switch {
	case !c.running:
		c.running, c.now = true, t
	case t >= c.now:
		c.now = t
	case c.now-t > c.span:
		c.now = t
		return before, Step
	default:
		return before, Behind
	}
	return before, Forward
}

// Now is the time that a Cache without packets must Follow, so that its flows end.
func (c *Clock) Now() netflow.Timestamp { return c.now }

// Follow does to the clock what a packet of the time t does, which is counted by another Cache. Flows end that do so by a
// step of the clock; others do with the next packet or Expire.
func (c *Cache) Follow(t netflow.Timestamp, emit func(*netflow.Record)) {
	backwards, steps := c.stats.Backwards, c.stats.ClockSteps
	c.setClock(t, emit)
	c.stats.Backwards, c.stats.ClockSteps = backwards, steps
}
