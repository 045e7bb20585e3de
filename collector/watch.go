package collector

import (
	"context"
	"time"
)

const (
	watchEvery = time.Second
	// complainEvery is how often at most the same kind of loss is logged.
	complainEvery = time.Minute
)

// watch logs a summary after each slot, and losses when they happen.
func (c *Collector) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	slot := time.Now().Truncate(c.cfg.Rotate)
	last := c.Stats()
	var kernel, queue complaint
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			kernel.look(now, c.kernelDrops(), func(n uint64) {
				c.log.Warn("the kernel drops datagrams: the receive buffer is full; --receive-buffer asks for a larger one",
					"datagrams", n)
			})
			queue.look(now, c.queueDrops(), func(n uint64) {
				c.log.Warn("flows are dropped: the storage does not keep up", "flows", n)
			})
			if s := now.Truncate(c.cfg.Rotate); len(c.sockets) > 0 && s.After(slot) {
				slot = s
				stats := c.Stats()
				c.logSummary("slot is over", stats.since(&last))
				last = stats
			}
		}
	}
}

func (c *Collector) kernelDrops() (n uint64) {
	for _, s := range c.sockets {
		n += s.Stats().KernelDrops
	}
	return n
}

func (c *Collector) queueDrops() (n uint64) {
	for _, l := range c.lanes {
		n += l.queueFull.Load()
	}
	return n
}

// complaint follows a counter of losses.
type complaint struct {
	said uint64
	at   time.Time
}

// look says how much was lost since it last said so, at once and then at most every complainEvery.
func (c *complaint) look(now time.Time, total uint64, say func(n uint64)) {
	if total != c.said && now.Sub(c.at) >= complainEvery {
		say(total - c.said)
		c.said, c.at = total, now
	}
}

func (c *Collector) logSummary(event string, s Stats) {
	malformed := uint64(0)
	for _, n := range s.Decode.Malformed {
		malformed += n
	}
	c.log.Info(event, "datagrams", s.Datagrams, "kernel_drops", s.KernelDrops, "refused", s.Refused, "unusable", s.Unusable(),
		"flows", s.Decode.Flows, "stored", s.Stored, "lost", s.Lost.Total(), "options", s.Decode.Options,
		"sets_without_template", s.Decode.SetsWithoutTemplate, "malformed", malformed, "sequence_lost", s.Decode.Lost,
		"exporters", len(s.Decode.Exporters))
}
