package probe_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/capture/capturetest"
)

// source returns the figures of one source.
func source(s probe.Summary, name string) probe.SourceSummary {
	for _, src := range s.Sources {
		if src.Name == name {
			return src
		}
	}
	return probe.SourceSummary{}
}

// start runs a probe; stop ends it, and is wanted to.
func start(t *testing.T, cfg probe.Config) (p *probe.Probe, stop func()) {
	t.Helper()
	p, err := probe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("does not end")
		}
	}
}

// TestWildcard: interfaces that match are metered from the moment they come to that they go, under their own numbers, and
// when they come again; others are not.
func TestWildcard(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	collector := collect(t)
	cfg := probe.DefaultConfig()
	cfg.Interfaces = []string{"ppp*", "fixed0"}
	cfg.RingSize = 2 << 20
	cfg.Export.Destinations = []string{collector.address()}
	cfg.Accounting.On = true
	cfg.Accounting.Console.Control = t.TempDir() + "/control"
	cfg.Accounting.Table.PortsOf = map[string]bool{"ppp*": true}
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	capturetest.Veth(t, "fixed0", "otherend0")
	p, stop := start(t, cfg) // none matches
	read := func(name string, packets uint64) {
		t.Helper()
		eventually(t, "packets of "+name, func() bool { return source(summaryOf(t, p), name).Packets == packets })
	}
	metered := func(name string) func() bool {
		return func() bool {
			s := source(summaryOf(t, p), name)
			return s.Name != "" && !s.Gone
		}
	}
	want := map[[2]int]uint64{}
	sendFrom := func(far string, index int, from byte, n int) {
		for i := range n {
			capturetest.Send(t, far, frameOf(from, uint32(i), 100))
		}
		want[[2]int{index, int(from)}] += uint64(n)
	}

	zero, _ := capturetest.Veth(t, "ppp0", "far0")
	eventually(t, "ppp0 is metered", metered("ppp0"))
	one, _ := capturetest.Veth(t, "ppp1", "far1")
	eventually(t, "ppp1 is metered", metered("ppp1"))
	capturetest.Veth(t, "eth7", "far7")
	sendFrom("far0", zero, 10, 7)
	sendFrom("far1", one, 11, 5)
	capturetest.Send(t, "far7", frameOf(17, 0, 100))
	read("ppp0", 7)
	read("ppp1", 5)

	// Gone: its flows end at once, long before a timeout.
	capturetest.IP(t, "link", "del", "ppp0")
	eventually(t, "ppp0 is gone", func() bool { s := summaryOf(t, p); return source(s, "ppp0").Gone && s.Flows.Ended.Packets == 7 })
	sendFrom("far1", one, 11, 1)
	read("ppp1", 6)

	// Back, under another number; and one that is renamed into the pattern.
	again, _ := capturetest.Veth(t, "ppp0", "far0")
	eventually(t, "ppp0 is back", metered("ppp0"))
	sendFrom("far0", again, 20, 3)
	read("ppp0", 10)
	renamed, _ := capturetest.Veth(t, "tmp", "far2")
	capturetest.IP(t, "link", "set", "tmp", "name", "ppp2")
	eventually(t, "ppp2 is metered", metered("ppp2"))
	sendFrom("far2", renamed, 12, 2)
	read("ppp2", 2)
	stop()

	s := summaryOf(t, p)
	if len(s.Sources) != 4 || s.Packets.Read != 18 || s.Packets.Metered != 18 || again == zero {
		t.Errorf("%+v %+v", s.Sources, s.Packets)
	}
	if ppp0 := source(s, "ppp0"); ppp0.Returns != 1 || ppp0.Dropped != 0 || ppp0.Error != "" {
		t.Errorf("%+v", ppp0)
	}
	if s.Flows.Peak > 6 || s.Flows.Forced != s.Flows.Ended.Flows {
		t.Errorf("%+v", s.Flows)
	}
	got := collector.stop(t, 18)
	if len(got) != len(want) {
		t.Errorf("packets by interface and source: %v, want %v", got, want)
	}
	for key, n := range want {
		if got[key] != n {
			t.Errorf("packets by interface and source: %v, want %v", got, want)
		}
	}
}

// TestWildcardMany: sockets are used again and again, and as many interfaces as there are sockets are metered at a time.
func TestWildcardMany(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	cfg := probe.DefaultConfig()
	cfg.Interfaces = []string{"p[0-9]*"}
	cfg.RingSize = 2 << 20
	cfg.Cache.MaxFlows = 16
	p, stop := start(t, cfg)
	defer stop()
	present := func() (n int) {
		for _, s := range summaryOf(t, p).Sources {
			if !s.Gone {
				n++
			}
		}
		return n
	}
	add := func(name string) {
		capturetest.IP(t, "link", "add", name, "type", "veth", "peer", "name", "q"+name[1:])
	}
	name := func(round, i int) string {
		return "p" + string(rune('0'+round)) + "x" + string(rune('a'+i/26)) + string(rune('a'+i%26))
	}
	for round := range 2 {
		for i := range probe.MaxWildcard + 1 {
			add(name(round, i))
		}
		eventually(t, "all but one are metered", func() bool { return present() == probe.MaxWildcard })
		capturetest.IP(t, "link", "del", name(round, 0))
		eventually(t, "the last one gets the socket of the first", func() bool {
			return present() == probe.MaxWildcard && !source(summaryOf(t, p), name(round, probe.MaxWildcard)).Gone
		})
		for i := 1; i <= probe.MaxWildcard; i++ {
			capturetest.IP(t, "link", "del", name(round, i))
		}
		eventually(t, "none is left", func() bool { return present() == 0 })
	}
	if n := len(summaryOf(t, p).Sources); n != 2*(probe.MaxWildcard+1) {
		t.Errorf("%d sources", n)
	}
}

func TestBadPattern(t *testing.T) {
	cfg := probe.DefaultConfig()
	cfg.Interfaces = []string{"ppp["}
	if err := cfg.Validate(); err == nil {
		t.Error("no complaint")
	}
}
