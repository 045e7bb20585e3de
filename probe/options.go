package probe

import (
	"slices"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/export"
)

// describe gives the exporter what it may tell collectors about this system: of captures that are read from files nothing,
// for they may be of another one.
func (p *Probe) describe(e *export.Config) {
	if len(p.cfg.Files) > 0 {
		return
	}
	e.Interfaces = p.interfaces
	e.Ignored = p.ignored
	e.Boot = capture.BootTime()
}

// ignoredTries is how often ignored tries a meter that is busy, which mostly is for some microseconds.
const ignoredTries = 20

// ignored counts the packets that were dropped or malformed. It is the exporter who asks, and he must not wait for a meter's
// lock: one that ends its flows has it while it waits for him. Of a meter that stays busy it tells what was known last.
func (p *Probe) ignored() (n uint64) {
	for _, m := range p.all() {
		for range ignoredTries {
			if m.mu.TryLock() {
				m.ignored.Store(m.countIgnored())
				m.mu.Unlock()
				break
			}
			time.Sleep(50 * time.Microsecond)
		}
		n += m.ignored.Load()
	}
	return n
}

// countIgnored is for who has the lock.
func (m *meter) countIgnored() (n uint64) {
	for _, t := range totals([]*meter{m}) {
		n += t.stats.Dropped + t.counts.malformed
	}
	return n
}

// interfaces lists the interfaces that are metered, as they are now.
func (p *Probe) interfaces() []netflow.Interface {
	return slices.DeleteFunc(capture.Names(), func(i netflow.Interface) bool { return !p.metered(i.Name) })
}

func (p *Probe) metered(name string) bool {
	return slices.Contains(p.cfg.Interfaces, "any") || slices.Contains(p.cfg.Interfaces, name) || p.cfg.matches(name) != ""
}
