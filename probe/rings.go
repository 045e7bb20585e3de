package probe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// MaxRings bounds Config.Rings.
const MaxRings = 64

func (c *Config) rings() int { return max(c.Rings, 1) }

func (c *Config) validateRings() error {
	switch {
	case c.Rings < 0 || c.Rings > MaxRings:
		return fmt.Errorf("rings: %d, must be 1 to %d", c.Rings, MaxRings)
	case c.Rings > 1 && c.Persist:
		return errors.New("rings: the kernel joins several rings to one interface for as long as that lives: with --persist there is one ring")
	case c.Rings > 1 && slices.ContainsFunc(c.Interfaces, IsPattern):
		return errors.New("rings: an interface that is given by a pattern has one ring")
	}
	return nil
}

// shareOfCache is what each of n tables holds: all together as much as one.
func (c *Config) shareOfCache(n int) flowcache.Config {
	share := c.Cache
	share.MaxFlows = (cmp.Or(share.MaxFlows, flowcache.DefaultMaxFlows) + n - 1) / n
	return share
}

// openInterface opens the rings of an interface, with a meter for each.
func (p *Probe) openInterface(name string) error {
	n := p.cfg.rings()
	rings, err := capture.OpenRings(capture.LiveConfig{
		Interface: name, RingSize: p.cfg.RingSize, SnapLen: p.cfg.snapLen(), Promiscuous: p.cfg.Promiscuous, Persist: p.cfg.Persist, Filter: p.cfg.Filter,
	}, n)
	if err != nil {
		return err
	}
	var first *sourceState
	for i, ring := range rings {
		m, err := p.addMeter(n)
		if err != nil {
			for _, ring := range rings[i:] {
				err = errors.Join(err, ring.Close())
			}
			return err
		}
		s := &sourceState{name: name, whole: first, source: ring, feed: p.feed(name)}
		if i == 0 {
			first = s
		}
		m.sources = []*sourceState{s}
	}
	return nil
}

// addPart adds what a ring has seen to the interface that it is a part of, the last one.
func (s *Summary) addPart(part *SourceSummary) {
	all := &s.Sources[len(s.Sources)-1]
	all.Packets += part.Packets
	all.WireBytes += part.WireBytes
	all.Dropped += part.Dropped
	all.Copies += part.Copies
	all.Downs, all.Returns = max(all.Downs, part.Downs), max(all.Returns, part.Returns) // every ring sees each
	all.Error = cmp.Or(all.Error, part.Error)
}

// complain logs what ended an interface while others go on, or a ring, whose packets the kernel then gives to the others.
func (p *Probe) complain(s *sourceState, err error) {
	switch {
	case p.cfg.rings() > 1 && !errors.Is(err, capture.ErrGone):
		p.cfg.Logger.Error("a ring of this interface is no longer read", "interface", s.name, "err", err)
	case s.whole == nil && len(p.cfg.Interfaces) > 1:
		p.cfg.Logger.Error("this interface is no longer metered", "interface", s.name, "err", err)
	}
}

// distinct leaves out what another ring of the same interface says too.
func (p *Probe) distinct(errs []error) []error {
	for i, m := range p.meters {
		for j := range i {
			if s := m.sources[0]; s.whole != nil && p.meters[j].sources[0].name == s.name &&
				errs[i] != nil && errs[j] != nil && errs[i].Error() == errs[j].Error() {
				errs[i] = nil
			}
		}
	}
	return errs
}

// openReader makes the meter of files; with several rings it reads and dissects, and has workers that keep the flows.
func (p *Probe) openReader() error {
	n := p.cfg.rings()
	if n == 1 {
		_, err := p.addMeter(1)
		return err
	}
	cfg := p.cfg
	cfg.Filter, cfg.FragmentPorts = nil, false // of the reader
	cfg.Cache = cfg.shareOfCache(n)
	w := &workers{split: flowcache.NewSplit(cfg.Cache, n), clock: flowcache.NewClock(cfg.Cache)}
	reader, err := p.addMeter(cmp.Or(p.cfg.Cache.MaxFlows, flowcache.DefaultMaxFlows)) // for one flow: its table stays empty
	if err != nil {
		return err
	}
	reader.queue, reader.workers = nil, w
	for range n {
		m, err := newMeter(&cfg, p.queue)
		if err != nil {
			return err
		}
		p.meters = append(p.meters, m)
		w.all = append(w.all, newWorker(m))
		if p.queue != nil {
			p.queue.Grow()
		}
	}
	return nil
}
