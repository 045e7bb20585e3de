package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caprock-net/caprock/probe/capture"
)

const (
	// MaxWildcard is how many interfaces of all patterns are metered at a time, with one ring or two: so many packet sockets
	// of each kind, for each ring, are opened while there are privileges.
	MaxWildcard = 64

	// MaxWildcardRings is how many rings all of them have together. Each is two open files and a thread when it is used, and
	// the kernel takes 13 ms to close each of the sockets when the process is killed.
	MaxWildcardRings = 128

	// WildcardRingSize is the ring of an interface of a pattern unless Config.RingSize is another than the default: there may be
	// many such interfaces.
	WildcardRingSize = 8 << 20

	// wildcardNames bounds the interfaces that are told apart in the Summary. Further ones count under their pattern.
	wildcardNames = 1024

	wildcardEvery = time.Second // interfaces are looked at so often, though nothing was heard of a change
)

// IsPattern reports whether the name of an interface stands for all those that path.Match lets pass: ppp*, eth[0-3].
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// WildcardInterfaces is how many interfaces of all patterns are metered at a time.
func WildcardInterfaces(rings int) int { return min(MaxWildcard, MaxWildcardRings/max(rings, 1)) }

// comes reports whether what Interfaces has stands for interfaces that come and go.
func (c *Config) comes(name string) bool { return IsPattern(name) || c.Persist && name != "any" }

// matches returns by what of Interfaces an interface is metered when it comes: its name, or the first pattern that this
// matches; "" if by nothing.
func (c *Config) matches(name string) string {
	if slices.Contains(c.Interfaces, name) {
		if c.comes(name) {
			return name
		}
		return "" // it is metered already
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

// wildcards meters the interfaces that match a pattern as they come and go, and with Config.Persist those that are named. One
// that goes ends its flows. Each ring has a meter, which another one gets when it is gone.
type wildcards struct {
	p       *Probe
	log     *slog.Logger
	pool    *capture.Pool            // of all patterns; nil: there are none
	own     map[string]*capture.Pool // of those that are named
	changes *capture.Changes
	origins map[string]*origin // by name; one of each pattern has the names for which there is no more room
	told    map[int]bool       // ifIndex of those that could not be metered
	opened  []*life            // not yet running

	mu     sync.Mutex
	meters []*meter // all that were ever needed at a time
	idle   []*meter
	held   map[int]bool // ifIndex of those that are metered
}

// openWildcards opens what is needed to meter interfaces later, and those that are there. Those that are named have to be.
func (p *Probe) openWildcards() error {
	named := slices.DeleteFunc(slices.Clone(p.cfg.Interfaces), func(name string) bool { return IsPattern(name) || !p.cfg.comes(name) })
	patterns := slices.DeleteFunc(slices.Clone(p.cfg.Interfaces), func(name string) bool { return !IsPattern(name) })
	if len(named)+len(patterns) == 0 {
		return nil
	}
	w := &wildcards{
		p: p, log: p.cfg.Logger, own: map[string]*capture.Pool{}, origins: map[string]*origin{}, told: map[int]bool{}, held: map[int]bool{},
	}
	p.wild = w
	for _, name := range named {
		if err := w.openNamed(name); err != nil {
			return err
		}
	}
	var err error
	if len(patterns) > 0 {
		cfg := p.cfg.captureConfig("")
		if cfg.RingSize == 0 || cfg.RingSize == capture.DefaultRingSize {
			cfg.RingSize = WildcardRingSize
		}
		if w.pool, err = capture.NewPool(cfg, WildcardInterfaces(p.cfg.rings()), p.cfg.rings()); err != nil {
			return err
		}
	}
	if w.changes, err = capture.WatchInterfaces(); err != nil {
		return err
	}
	w.scan()
	if len(w.opened) == 0 {
		w.log.Info("no interface matches yet: waiting for one", "interface", strings.Join(patterns, " "))
	}
	return nil
}

// openNamed opens an interface that is there, and sockets for when it comes again. As long as it is the first of its name
// the kernel itself shares its packets out to several rings, which is quicker.
func (w *wildcards) openNamed(name string) error {
	n := w.p.cfg.rings()
	cfg := w.p.cfg.captureConfig(name)
	if err := w.open(name, name, func() ([]*capture.Live, error) { return capture.OpenRings(cfg, n) }); err != nil {
		return err
	}
	pool, err := capture.NewPool(cfg, 1, n)
	if err == nil {
		w.own[name] = pool
	}
	return err
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
		if pattern == "" || w.metered(i.Index) {
			continue
		}
		pool := w.pool
		if own := w.own[pattern]; own != nil {
			if !w.origins[pattern].gone() {
				continue // all it has is with the former one, which has not ended yet
			}
			pool = own
		}
		if err := w.open(i.Name, pattern, func() ([]*capture.Live, error) { return pool.Open(i) }); err == nil {
			delete(w.told, i.Index)
		} else if !w.told[i.Index] {
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

func (w *wildcards) metered(index int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held[index]
}

// open opens one interface.
func (w *wildcards) open(name, pattern string, rings func() ([]*capture.Live, error)) error {
	if err := w.p.checkTap(name); err != nil {
		return err
	}
	o, known := w.origins[name], true
	if o == nil && len(w.origins) >= wildcardNames {
		o, known = w.origins[pattern], false
		name = pattern
	}
	if o == nil {
		o, known = w.p.origin(name), false
		o.comes = true
	}
	meters, err := w.take(o)
	if err != nil {
		return err
	}
	live, err := rings()
	if err != nil {
		w.give(meters)
		return err
	}
	if w.origins[name] = o; known {
		o.returns.Add(1)
	}
	o.lives.Add(1)
	l := newLife(o, meters, live)
	w.mu.Lock()
	w.held[l.index] = true
	w.mu.Unlock()
	w.opened = append(w.opened, l)
	return nil
}

// take returns a meter for each ring: those that are idle, if it can be those that have metered the same before, and new ones.
func (w *wildcards) take(o *origin) ([]*meter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.idle, func(a, b *meter) int { return cmp.Compare(a.knows(o), b.knows(o)) })
	n := w.p.cfg.rings()
	from := max(len(w.idle)-n, 0)
	meters := slices.Clone(w.idle[from:])
	w.idle = w.idle[:from]
	for _, m := range meters {
		m.live, m.told = true, capture.Stats{}
	}
	for len(meters) < n {
		m, err := w.p.newMeter(n)
		if err != nil {
			w.idle = append(w.idle, meters...)
			return nil, err
		}
		w.meters = append(w.meters, m)
		meters = append(meters, m)
	}
	return meters, nil
}

// knows is 1 when the meter has metered some of an origin, else 0.
func (m *meter) knows(o *origin) int {
	if slices.ContainsFunc(m.sources, func(s *sourceState) bool { return s.origin == o }) {
		return 1
	}
	return 0
}

// give returns the meters of an interface that is gone.
func (w *wildcards) give(meters []*meter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, meters...)
}

// run meters until ctx ends.
func (w *wildcards) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.changes.Stop)
	defer stop()
	var running sync.WaitGroup
	for ctx.Err() == nil {
		for _, l := range w.opened {
			running.Go(func() { w.meter(ctx, l) })
		}
		w.opened = w.opened[:0]
		w.changes.Wait(wildcardEvery)
		if ctx.Err() == nil {
			w.scan()
		}
	}
	for _, l := range w.opened { // to an end, without having begun
		running.Go(func() { w.meter(ctx, l) })
	}
	running.Wait()
}

// meter meters an interface until it is gone or ctx ends. When one of its rings fails, all end, to be opened again.
func (w *wildcards) meter(ctx context.Context, l *life) {
	w.log.Info("metering", "interface", l.name, "index", l.index, "rings", len(l.rings))
	ctx, end := context.WithCancel(ctx)
	defer end()
	err := l.run(ctx, func(_ *sourceState, err error) {
		if !errors.Is(err, capture.ErrGone) {
			end()
		}
	})
	switch {
	case errors.Is(err, capture.ErrGone):
		w.log.Info("the interface is gone, its flows have ended", "interface", l.name, "index", l.index)
	case err != nil:
		w.log.Error("the interface is no longer metered", "interface", l.name, "index", l.index, "err", err)
	}
	for i, s := range l.rings {
		l.meters[i].mu.Lock()
		if errors.Is(s.err, capture.ErrGone) {
			s.err = nil // that is what these do
		}
		l.meters[i].mu.Unlock()
	}
	w.give(l.meters) // before it is gone: who comes next may have them
	if err != nil {
		l.lives.Add(-1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, l.index)
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
	for _, pool := range w.own {
		err = errors.Join(err, pool.Close())
	}
	if w.pool != nil {
		err = errors.Join(err, w.pool.Close())
	}
	return err
}
