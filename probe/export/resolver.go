package export

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// A name is looked up again every resolveEvery, and when sending to its address keeps failing; then after resolveAgain at
// the earliest, so that a dead collector does not become a flood of questions.
const (
	resolveEvery = 5 * time.Minute
	resolveAgain = 10 * time.Second
	resolveFor   = 10 * time.Second // at most, that one look-up may take
)

// resolver keeps the addresses of a name. Look-ups after the first run in a goroutine of their own.
type resolver struct {
	host, network string
	port          uint16
	lookup        func(ctx context.Context, host string) ([]netip.Addr, error)
	log           *slog.Logger
	found         atomic.Pointer[[]netip.AddrPort] // never empty
	asked         chan struct{}
	stop          context.CancelFunc
	every, again  time.Duration
}

// newResolver looks the name up for the first time.
func newResolver(e endpoint, cfg *Config) (*resolver, error) {
	network := "udp"
	if e.stream() {
		network = "tcp"
	}
	r := &resolver{
		host: e.host, network: network, lookup: cfg.Resolve, log: cfg.Logger.With("destination", e.host), asked: make(chan struct{}, 1),
		stop: func() {}, every: resolveEvery, again: resolveAgain,
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveFor)
	defer cancel()
	port, err := net.DefaultResolver.LookupPort(ctx, network, e.port)
	if err != nil {
		return nil, err
	}
	r.port = uint16(port)
	if e.host == "" { // this machine, as for net.Dial
		r.host = "localhost"
	}
	if r.lookup == nil {
		r.lookup = lookup
	}
	found, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	r.found.Store(&found)
	return r, nil
}

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func (r *resolver) resolve(ctx context.Context) ([]netip.AddrPort, error) {
	if a, err := netip.ParseAddr(r.host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), r.port)}, nil
	}
	addrs, err := r.lookup(ctx, r.host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", r.host)
	}
	found := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		found[i] = netip.AddrPortFrom(a.Unmap(), r.port)
	}
	return found, nil
}

// start lets names be looked up again, until stop.
func (r *resolver) start() {
	if _, err := netip.ParseAddr(r.host); err == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.run(ctx)
}

func (r *resolver) run(ctx context.Context) {
	last, silent := time.Now(), time.Time{}
	for {
		select {
		case <-time.After(r.every):
		case <-r.asked:
			if !sleep(ctx, r.again-time.Since(last)) {
				return
			}
		case <-ctx.Done():
			return
		}
		once, cancel := context.WithTimeout(ctx, resolveFor)
		found, err := r.resolve(once)
		cancel()
		last = time.Now()
		switch {
		case err != nil && ctx.Err() == nil && last.After(silent):
			silent = last.Add(complainEvery)
			r.log.Warn("the name cannot be looked up now: its last address stays in use", "err", err)
		case err == nil && !slices.Equal(found, *r.found.Load()):
			r.log.Info("the name has other addresses now", "addresses", fmt.Sprint(found))
			r.found.Store(&found)
		}
	}
}

// ask has the name looked up soon. It does not wait for that.
func (r *resolver) ask() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// addresses returns what was found last.
func (r *resolver) addresses() []netip.AddrPort { return *r.found.Load() }

// after returns the address to try after a.
func (r *resolver) after(a netip.AddrPort) netip.AddrPort {
	all := r.addresses()
	return all[(slices.Index(all, a)+1)%len(all)]
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
