package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// MaxRings bounds Config.Rings.
const MaxRings = 64

func (c *Config) rings() int { return max(c.Rings, 1) }

func (c *Config) validateRings() error {
	flows := cmp.Or(c.Cache.MaxFlows, flowcache.DefaultMaxFlows)
	switch {
	case c.Rings < 0 || c.Rings > MaxRings:
		return fmt.Errorf("rings: %d, must be 1 to %d", c.Rings, MaxRings)
	case c.Rings > 1 && c.Rings > flows:
		return fmt.Errorf("rings: %d, which have a table each, of %d flows together: there must be one for each", c.Rings, flows)
	}
	return nil
}

// shareOfCache is what each of n tables holds, so that all together hold no more than one would.
func (c *Config) shareOfCache(n int) flowcache.Config {
	share := c.Cache
	share.MaxFlows = cmp.Or(share.MaxFlows, flowcache.DefaultMaxFlows) / n
	return share
}

// captureConfig says how to capture from an interface.
func (c *Config) captureConfig(name string) capture.LiveConfig {
	return capture.LiveConfig{Interface: name, RingSize: c.RingSize, SnapLen: c.snapLen(), Promiscuous: c.Promiscuous, Filter: c.Filter}
}

// life is an interface from when it is metered until it is gone: its rings, each with a meter.
type life struct {
	*origin
	index  int
	meters []*meter
	rings  []*sourceState
}

// newLife gives the rings to the meters.
func newLife(o *origin, meters []*meter, rings []*capture.Live) *life {
	l := &life{origin: o, index: rings[0].Index(), meters: meters}
	for i, ring := range rings {
		s := &sourceState{origin: o, ring: i, source: ring}
		m := meters[i]
		m.mu.Lock()
		m.sources = append(merge(m.sources, o), s)
		m.mu.Unlock()
		l.rings = append(l.rings, s)
	}
	return l
}

// openInterface opens the rings of an interface, with a meter for each.
func (p *Probe) openInterface(name string) error {
	n := p.cfg.rings()
	rings, err := capture.OpenRings(p.cfg.captureConfig(name), n)
	if err != nil {
		return err
	}
	var meters []*meter
	for range rings {
		m, err := p.addMeter(n)
		if err != nil {
			return errors.Join(err, closeAll(rings))
		}
		meters = append(meters, m)
	}
	p.lives = append(p.lives, newLife(p.origin(name), meters, rings))
	return nil
}

func closeAll(rings []*capture.Live) error {
	var err error
	for _, ring := range rings {
		err = errors.Join(err, ring.Close())
	}
	return err
}

// run meters until all rings have ended, and ends their flows. failed is told what ends one of them early, at that time.
func (l *life) run(ctx context.Context, failed func(*sourceState, error)) error {
	errs := make([]error, len(l.rings))
	var running sync.WaitGroup
	for i, s := range l.rings {
		running.Go(func() {
			runtime.LockOSThread() // the ring's pages stay near one CPU for as long as the scheduler lets the thread
			defer runtime.UnlockOSThread()
			stop := context.AfterFunc(ctx, s.source.Stop)
			defer stop()
			if errs[i] = l.meters[i].run(s); errs[i] != nil {
				failed(s, errs[i])
			}
			l.meters[i].flush()
		})
	}
	running.Wait()
	return distinct(errs)
}

// distinct joins errors, of which several rings may say the same.
func distinct(errs []error) error {
	said := map[string]bool{}
	var list []error
	for _, err := range errs {
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			list = append(list, err)
		}
	}
	return errors.Join(list...)
}

// complain logs what ended an interface while others go on, or a ring, whose packets the kernel then gives to the others.
func (p *Probe) complain(s *sourceState, err error) {
	switch {
	case p.cfg.rings() > 1 && !errors.Is(err, capture.ErrGone):
		p.cfg.Logger.Error("a ring of this interface is no longer read", "interface", s.name, "err", err)
	case s.ring == 0 && len(p.cfg.Interfaces) > 1:
		p.cfg.Logger.Error("this interface is no longer metered", "interface", s.name, "err", err)
	}
}

// openReader makes the meter of files; with several rings it reads and dissects, and has workers that keep the flows.
func (p *Probe) openReader() error {
	n := p.cfg.rings()
	if n == 1 {
		m, err := p.addMeter(1)
		if err == nil {
			m.outlet = p.outlet
		}
		return err
	}
	cfg := p.cfg
	reader := newReader(&cfg)
	p.equip(reader)
	cfg.Filter, cfg.FragmentPorts = nil, false // of the reader
	cfg.Cache = cfg.shareOfCache(n)
	w := &workers{split: flowcache.NewSplit(cfg.Cache, n), clock: flowcache.NewClock(cfg.Cache)}
	reader.workers = w
	p.meters = append(p.meters, reader)
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
