package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caprock-net/caprock/probe/capture"
)

const (
	// MaxWildcard is how many interfaces of all patterns are metered at a time: so many packet sockets of each kind are opened
	// while there are privileges.
	MaxWildcard = 64

	// WildcardRingSize is the ring of an interface of a pattern unless Config.RingSize is another than the default: there may be
	// many such interfaces.
	WildcardRingSize = 8 << 20

	// wildcardNames bounds the interfaces that are told apart in the Summary. Further ones count under their pattern.
	wildcardNames = 1024

	wildcardEvery = time.Second // interfaces are looked at so often, though nothing was heard of a change
)

// IsPattern reports whether the name of an interface stands for all those that path.Match lets pass: ppp*, eth[0-3].
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// matches returns the first pattern that a name matches; "" if none does.
func (c *Config) matches(name string) string {
	if slices.Contains(c.Interfaces, name) {
		return "" // it is metered by its name
	}
	for _, pattern := range c.Interfaces {
		if ok, err := path.Match(pattern, name); IsPattern(pattern) && ok && err == nil {
			return pattern
		}
	}
	return ""
}

// validatePatterns reports those that are none.
func (c *Config) validatePatterns() error {
	var errs []error
	for _, name := range c.Interfaces {
		if _, err := path.Match(name, ""); err != nil && IsPattern(name) {
			errs = append(errs, fmt.Errorf("interface %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// wildcards meters the interfaces that match a pattern as they come and go. One that goes ends its flows. Each has a meter,
// which another one gets when it is gone.
type wildcards struct {
	p       *Probe
	log     *slog.Logger
	pool    *capture.Pool
	changes *capture.Changes
	seen    map[string]bool // names that have sources of their own
	told    map[int]bool    // ifIndex of those that could not be metered
	opened  []wild          // not yet running

	mu     sync.Mutex
	meters []*meter // all that were ever needed at a time
	idle   []*meter
	held   map[int]bool // ifIndex of those that are metered
}

// wild is an interface to be metered.
type wild struct {
	capture.Interface
	m *meter
	s *sourceState
}

// openWildcards opens what is needed to meter interfaces later, and those that are there.
func (p *Probe) openWildcards() error {
	patterns := slices.DeleteFunc(slices.Clone(p.cfg.Interfaces), func(name string) bool { return !IsPattern(name) })
	if len(patterns) == 0 {
		return nil
	}
	w := &wildcards{p: p, log: p.cfg.Logger, seen: map[string]bool{}, told: map[int]bool{}, held: map[int]bool{}}
	ring := p.cfg.RingSize
	if ring == 0 || ring == capture.DefaultRingSize {
		ring = WildcardRingSize
	}
	var err error
	w.pool, err = capture.NewPool(capture.LiveConfig{
		RingSize: ring, SnapLen: p.cfg.snapLen(), Promiscuous: p.cfg.Promiscuous, Filter: p.cfg.Filter,
	}, MaxWildcard)
	if err != nil {
		return err
	}
	p.wild = w
	if w.changes, err = capture.WatchInterfaces(); err != nil {
		return err
	}
	w.scan()
	if len(w.opened) == 0 {
		w.log.Info("no interface matches yet: waiting for one", "interface", strings.Join(patterns, " "))
	}
	return nil
}

// scan opens the interfaces that match and are not metered.
func (w *wildcards) scan() {
	all, err := capture.Interfaces()
	if err != nil {
		w.log.Debug("interfaces cannot be listed now", "err", err) // next time
		return
	}
	exist := map[int]bool{}
	for _, i := range all {
		exist[i.Index] = true
		pattern := w.p.cfg.matches(i.Name)
		w.mu.Lock()
		held := w.held[i.Index]
		w.mu.Unlock()
		if pattern == "" || held {
			continue
		}
		if err := w.open(i, pattern); err != nil && !w.told[i.Index] {
			w.told[i.Index] = true
			w.log.Error("an interface that matches is not metered", "interface", i.Name, "pattern", pattern, "err", err)
		}
	}
	for index := range w.told {
		if !exist[index] {
			delete(w.told, index)
		}
	}
}

// open opens one interface.
func (w *wildcards) open(i capture.Interface, pattern string) error {
	if err := w.p.checkTap(i.Name); err != nil {
		return err
	}
	source, err := w.pool.Open(i)
	if err != nil {
		return err
	}
	name, returned := i.Name, w.seen[i.Name]
	if !returned && len(w.seen) >= wildcardNames {
		name = pattern
	}
	m, err := w.meter(name)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	delete(w.told, i.Index)
	w.seen[name] = true
	s := &sourceState{name: name, source: source, feed: w.p.feed(name), wild: true, returned: returned}
	m.mu.Lock()
	m.sources = append(merge(m.sources, name), s)
	m.mu.Unlock()
	w.mu.Lock()
	w.held[i.Index] = true
	w.mu.Unlock()
	w.opened = append(w.opened, wild{i, m, s})
	return nil
}

// meter returns one that is idle, if it can be the one that has metered an interface of this name; or a new one.
func (w *wildcards) meter(name string) (*meter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		at := slices.IndexFunc(w.idle, func(m *meter) bool {
			return slices.ContainsFunc(m.sources, func(s *sourceState) bool { return s.name == name })
		})
		if at < 0 {
			at = n - 1
		}
		m := w.idle[at]
		w.idle = slices.Delete(w.idle, at, at+1)
		m.live, m.told = true, capture.Stats{}
		return m, nil
	}
	m, err := w.p.newMeter(1)
	if err == nil {
		w.meters = append(w.meters, m)
	}
	return m, err
}

// merge makes one of the sources of a name, which have ended.
func merge(sources []*sourceState, name string) []*sourceState {
	var first *sourceState
	return slices.DeleteFunc(sources, func(s *sourceState) bool {
		if s.name != name {
			return false
		}
		if first == nil {
			first = s
			return false
		}
		first.counts.add(s.counts)
		first.stats.Add(s.stats)
		if s.returned {
			first.stats.Returns++
		}
		if s.err != nil {
			first.err = s.err
		}
		return true
	})
}

// run meters until ctx ends.
func (w *wildcards) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.changes.Stop)
	defer stop()
	var running sync.WaitGroup
	for ctx.Err() == nil {
		for _, i := range w.opened {
			running.Go(func() { w.take(ctx, i) })
		}
		w.opened = w.opened[:0]
		w.changes.Wait(wildcardEvery)
		if ctx.Err() == nil {
			w.scan()
		}
	}
	for _, i := range w.opened { // to an end, without having begun
		running.Go(func() { w.take(ctx, i) })
	}
	running.Wait()
}

// take meters an interface until it is gone or ctx ends.
func (w *wildcards) take(ctx context.Context, i wild) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.log.Info("metering", "interface", i.Name, "index", i.Index)
	stop := context.AfterFunc(ctx, i.s.source.Stop)
	defer stop()
	err := i.m.run(i.s)
	i.m.flush()
	switch {
	case errors.Is(err, capture.ErrGone):
		w.log.Info("the interface is gone, its flows have ended", "interface", i.Name, "index", i.Index)
	case err != nil:
		w.log.Error("the interface is no longer metered", "interface", i.Name, "index", i.Index, "err", err)
	}
	i.m.mu.Lock()
	if i.s.gone = err != nil; errors.Is(err, capture.ErrGone) {
		i.s.err = nil // that is what these do
	}
	i.m.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, i.Index)
	w.idle = append(w.idle, i.m)
}

// all returns the meters there are; of patterns there may be more later.
func (p *Probe) all() []*meter {
	if p.wild == nil {
		return p.meters
	}
	p.wild.mu.Lock()
	defer p.wild.mu.Unlock()
	return append(slices.Clone(p.meters), p.wild.meters...)
}

// close closes what Open has opened; the sources are closed.
func (w *wildcards) close() error {
	if w == nil {
		return nil
	}
	var err error
	if w.changes != nil {
		err = w.changes.Close()
	}
	return errors.Join(err, w.pool.Close())
}

// addWild adds a source of a pattern to those of the same name.
func (s *Summary) addWild(sum SourceSummary) {
	at := slices.IndexFunc(s.Sources, func(o SourceSummary) bool { return o.wild && o.Name == sum.Name })
	if at < 0 {
		s.Sources = append(s.Sources, sum)
		return
	}
	o := &s.Sources[at]
	o.Packets += sum.Packets
	o.WireBytes += sum.WireBytes
	o.Dropped += sum.Dropped
	o.Copies += sum.Copies
	o.Downs += sum.Downs
	o.Returns += sum.Returns
	o.Gone = o.Gone && sum.Gone
	if sum.Error != "" {
		o.Error = sum.Error
	}
	if o.Interface == nil || sum.Interface == nil {
		o.Interface = nil // not known of all the time
	} else {
		o.Interface.add(sum.Interface)
	}
}

func (i *InterfaceSummary) add(j *InterfaceSummary) {
	i.RxPackets += j.RxPackets
	i.RxBytes += j.RxBytes
	i.RxErrors += j.RxErrors
	i.RxDropped += j.RxDropped
	i.RxMissed += j.RxMissed
	i.TxPackets += j.TxPackets
	i.TxBytes += j.TxBytes
}
