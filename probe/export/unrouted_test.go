package export

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestLateRoute: a route that comes later is found within a second, the first datagram has the
// templates, and what was lost until then is counted.
func TestLateRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netip.MustParseAddrPort("192.0.2.1:9"), netip.MustParseAddrPort("[2001:db8::1]:9")
		s := &script{}
		d := scripted(nil, Config{})
		d.resolver = &resolver{asked: make(chan struct{}, 1)}
		d.resolver.found.Store(&[]netip.AddrPort{a, b})
		d.seen = d.resolver.found.Load()
		var dials int
		d.dial = func(to netip.AddrPort) (socket, error) {
			if dials++; dials == 6 && to == b {
				return unnamed{s}, nil
			}
			return nil, syscall.ENETUNREACH
		}
		d.await(syscall.ENETUNREACH)
		if d.stats.Remote != a.String() {
			t.Errorf("to %s, want %v", d.stats.Remote, a)
		}
		for range 20 {
			d.sendOne()
			time.Sleep(250 * time.Millisecond)
		}
		const lost = 9 // the third try, of both addresses, is after 2 s
		if dials != 6 || len(s.sent) != 20-lost || d.remote != b || len(d.resolver.asked) == 0 {
			t.Errorf("%d tries, %d datagrams sent to %v", dials, len(s.sent), d.remote)
		}
		if l := d.stats.Lost[FaultUnreachable]; l.Datagrams != lost || l.Flows != lost || d.stats.Errors[FaultUnreachable] != lost+5 {
			t.Errorf("lost %+v, errors %v", l, d.stats.Errors)
		}
		if given := d.stats.Given(); given.Flows != 20 || d.stats.Exported.Flows != 20-lost {
			t.Errorf("given %+v: %+v", given, d.stats)
		}
		if len(s.sent) > 0 && s.sent[0][17] != 2 { // RFC 7011 section 3.3.2
			t.Errorf("the first set is %d, want templates", s.sent[0][17])
		}
	})
}

// unnamed is a script whose addresses may be asked for.
type unnamed struct{ *script }

func (unnamed) LocalAddr() net.Addr  { return &net.UDPAddr{} }
func (unnamed) RemoteAddr() net.Addr { return &net.UDPAddr{} }

// TestNoRouteAtTheStart: it is an error unless it may come later.
func TestNoRouteAtTheStart(t *testing.T) {
	for _, err := range []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL} {
		if !mayBeRouted(err) {
			t.Errorf("%v: not waited for", err)
		}
	}
	for _, err := range []error{syscall.EACCES, syscall.EPERM, syscall.EAFNOSUPPORT, errors.New("another")} {
		if mayBeRouted(err) {
			t.Errorf("%v: waited for", err)
		}
	}
}
