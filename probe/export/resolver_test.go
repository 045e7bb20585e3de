package export

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnotherAddress: over UDP errors that do not cease lead to the name's next address, or to a new socket, but not often.
func TestAnotherAddress(t *testing.T) {
	a, b := netip.MustParseAddrPort("127.0.0.1:9"), netip.MustParseAddrPort("[::1]:9")
	tests := []struct {
		name  string
		addrs []netip.AddrPort
		err   error
		every time.Duration // between errors
		dials []netip.AddrPort
	}{
		{"no route", []netip.AddrPort{a, b}, syscall.ENETUNREACH, time.Second, []netip.AddrPort{b, a, b, a}},
		{"no route to the only address", []netip.AddrPort{a}, syscall.ENETUNREACH, time.Second, []netip.AddrPort{a, a}},
		{"refused", []netip.AddrPort{a, b}, syscall.ECONNREFUSED, time.Second, []netip.AddrPort{b, b}},
		{"refused by the only address", []netip.AddrPort{a}, syscall.ECONNREFUSED, time.Second, nil},
		{"now and then", []netip.AddrPort{a, b}, syscall.ENETUNREACH, time.Minute, nil},
		{"many at once", []netip.AddrPort{a, b}, syscall.ENETUNREACH, time.Millisecond, []netip.AddrPort{b, a}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := scripted(&script{errs: repeat(test.err, 1000)}, Config{})
				d.remote = a
				d.resolver = &resolver{asked: make(chan struct{}, 1)}
				d.resolver.found.Store(&test.addrs)
				d.seen = &test.addrs
				var dials []netip.AddrPort
				d.dial = func(to netip.AddrPort) (socket, error) { // as without a route
					dials = append(dials, to)
					return nil, syscall.ENETUNREACH
				}
				for range 20 {
					d.sendOne()
					time.Sleep(test.every)
				}
				if len(dials) != len(test.dials) {
					t.Fatalf("tried %v, want %v", dials, test.dials)
				}
				for i := range dials {
					if dials[i] != test.dials[i] {
						t.Fatalf("tried %v, want %v", dials, test.dials)
					}
				}
				if asked := len(d.resolver.asked) > 0; asked != (len(test.dials) > 0 || test.every == time.Second) {
					t.Errorf("asked for the name: %v", asked)
				}
			})
		})
	}
}

// TestResolver: a name is looked up every five minutes, sooner when asked to, and never more often than each ten seconds;
// what fails changes nothing.
func TestResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		questions, answer, failure := 0, "192.0.2.1", error(nil)
		now := func(text string, err error) { mu.Lock(); answer, failure = text, err; mu.Unlock() }
		asked := func() int { mu.Lock(); defer mu.Unlock(); return questions }
		cfg := Config{Logger: slog.New(slog.DiscardHandler), Resolve: func(context.Context, string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			questions++
			return []netip.Addr{netip.MustParseAddr(answer)}, failure
		}}
		r, err := newResolver(endpoint{"udp", "collector.example", "4739"}, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.start()
		defer r.stop()
		expect := func(n int, addr string) {
			t.Helper()
			synctest.Wait()
			if got := r.addresses(); asked() != n || got[0].String() != addr {
				t.Errorf("%d questions, %v; want %d, %s", asked(), got, n, addr)
			}
		}
		expect(1, "192.0.2.1:4739")
		time.Sleep(time.Hour + time.Second)
		expect(13, "192.0.2.1:4739")
		now("2001:db8::1", nil)
		for range 100 { // a hundred seconds of failures
			r.ask()
			time.Sleep(time.Second)
		}
		n := asked()
		if n < 20 || n > 24 {
			t.Errorf("%d questions, want about 10 more than 13", n)
		}
		expect(n, "[2001:db8::1]:4739")
		now("192.0.2.9", errors.New("no server answers"))
		time.Sleep(time.Hour)
		if got := r.addresses()[0].String(); got != "[2001:db8::1]:4739" {
			t.Errorf("%s after failures", got)
		}
	})
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]endpoint{
		"a:1": {"udp", "a", "1"}, "udp://a:1": {"udp", "a", "1"}, "tcp://[2001:db8::1]:4739": {"tcp", "2001:db8::1", "4739"},
		"tls://[fe80::1%eth0]:ipfix": {"tls", "fe80::1%eth0", "ipfix"}, ":9": {"udp", "", "9"},
	} {
		if got, err := parseEndpoint(text); err != nil || got != want {
			t.Errorf("%s: %+v, error %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "a", "a:", "tcp://a", "tcp://a:", "tcp://a:1/", "tcp://:1", "sctp://a:1", "://a:1", "TCP://a:1", "tcp://tcp://a:1", "a:1?x"} {
		if got, err := parseEndpoint(bad); err == nil {
			t.Errorf("%q: %+v, want an error", bad, got)
		}
	}
}
