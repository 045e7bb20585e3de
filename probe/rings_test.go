package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
	"github.com/caprock-net/caprock/probe/filter"
	"github.com/caprock-net/caprock/probe/flowcache"
	"github.com/caprock-net/caprock/test/trace"
)

// metered reads files and returns the flows, each with how often it came, and the summary without what depends on rings.
func metered(t *testing.T, cfg Config, files ...string) (map[netflow.Record]int, Summary) {
	t.Helper()
	cfg.Files, cfg.Cache.MaxFlows = files, 1<<15 // quicker to make than the default
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.queue = newQueue()
	for _, m := range p.meters {
		if m.workers == nil {
			m.queue = p.queue
			p.queue.Grow()
		}
	}
	flows := map[netflow.Record]int{}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for chunks := p.queue.Take(nil); len(chunks) > 0; chunks = p.queue.Take(chunks) {
			for _, c := range chunks {
				for i := range c.flows {
					flows[c.flows[i]]++
				}
				p.queue.Release(c)
			}
		}
	}()
	err = p.runFiles(context.Background(), p.meters[0])
	p.queue.Close()
	<-drained
	s := p.Summary()
	if err := errors.Join(s.Balance(), p.close()); err != nil {
		t.Errorf("%d rings: %v", cfg.Rings, err)
	}
	s.Flows.Peak = 0
	if err != nil {
		s.Sources[len(s.Sources)-1].Error = err.Error()
	}
	return flows, s
}

// sameFlows meters files with one ring and with several, as many as are given or different numbers of them. It returns how many records there are.
func sameFlows(t *testing.T, cfg Config, files ...string) (records int) {
	t.Helper()
	numbers := []int{2, 3, 8}
	switch {
	case raced:
		numbers = []int{3}
	case cfg.Rings > 1:
		numbers = []int{cfg.Rings}
	}
	cfg.Rings = 1
	want, wantSummary := metered(t, cfg, files...)
	for _, rings := range numbers {
		cfg.Rings = rings
		got, s := metered(t, cfg, files...)
		for r, n := range want {
			if got[r] != n {
				t.Fatalf("%v, %d rings: %d times, want %d times %+v", files, rings, got[r], n, r)
			}
			delete(got, r)
		}
		for r, n := range got {
			t.Fatalf("%v, %d rings: %d times too often %+v", files, rings, n, r)
		}
		if a, b := fmt.Sprintf("%+v", s), fmt.Sprintf("%+v", wantSummary); a != b {
			t.Fatalf("%v, %d rings:\ngot  %s\nwant %s", files, rings, a, b)
		}
	}
	return len(want)
}

// TestRingsCorpora: the captures give the same flows whatever the number of rings is, all of them after each other too,
// which has the clock jump back and forth; also where a capture is damaged.
func TestRingsCorpora(t *testing.T) {
	var all []string
	records := 0
	for _, c := range dissecttest.Captures(t) {
		all = append(all, c.Path)
		records += sameFlows(t, DefaultConfig(), c.Path)
	}
	cfg := DefaultConfig()
	cfg.Cache.Active, cfg.Cache.Inactive = 2*time.Second, 100*time.Millisecond
	short := sameFlows(t, cfg, all...)
	cfg.Cache.Details, cfg.Cache.Outers, cfg.Cache.TCPMetrics, cfg.Cache.Biflow = true, true, true, true
	cfg.FragmentPorts, cfg.Decap = true, dissect.AllTunnels
	sameFlows(t, cfg, all...)
	t.Logf("%d captures: %d records, %d in one go with short timeouts", len(all), records, short)
}

// TestRingsTrace: a trace, with all kinds of timeouts and keys, with a filter, and shuffled.
func TestRingsTrace(t *testing.T) {
	c := trace.DefaultConfig()
	c.Packets, c.Flows, c.Span = 20_000, 1000, 50*time.Second
	var b bytes.Buffer
	if _, err := trace.Write(&b, c); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "trace.pcap")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	short := func(active, inactive time.Duration) Config {
		cfg := DefaultConfig()
		cfg.Cache.Active, cfg.Cache.Inactive = active, inactive
		return cfg
	}
	keyed := func(key flowcache.KeyFields) Config {
		cfg := short(3*time.Second, 700*time.Millisecond)
		cfg.Cache.Key = key
		return cfg
	}
	filtered := short(5*time.Second, time.Second)
	var err error
	if filtered.Filter, err = filter.Parse("tcp or ip6"); err != nil {
		t.Fatal(err)
	}
	detailed := short(5*time.Second, 500*time.Millisecond)
	detailed.Cache.Details, detailed.Cache.TCPMetrics = true, true
	both := detailed
	both.Cache.Biflow = true
	most := short(time.Second, 50*time.Millisecond) // more than patientChunks
	most.Rings = MaxRings
	detailed.FragmentPorts = true
	for name2, cfg := range map[string]Config{
		"defaults": DefaultConfig(), "short": short(time.Second, 50*time.Millisecond), "only active": short(time.Second, time.Hour), "filtered": filtered,
		"most": most, "details": detailed, "biflow": both,
		"source":    keyed(flowcache.KeySrcAddr),
		"addresses": keyed(flowcache.KeySrcAddr | flowcache.KeyDstAddr),
		"ports":     keyed(flowcache.KeySrcPort | flowcache.KeyProto),
		"MAC":       keyed(flowcache.KeySrcMAC),
		"version":   keyed(flowcache.KeyVLAN),
	} {
		t.Run(name2, func(t *testing.T) {
			for _, disorder := range []time.Duration{0, 300 * time.Millisecond, 4 * time.Second} {
				if raced && disorder == 0 {
					continue
				}
				file := name
				if disorder > 0 {
					file = shuffle(t, name, disorder)
				}
				if n := sameFlows(t, cfg, file); n < 2 {
					t.Errorf("%d flows", n)
				}
			}
		})
	}
}

// shuffle copies a capture with each packet's time off by up to span; some packets, seldom, by a great deal: a step of the clock.
func shuffle(t *testing.T, name string, span time.Duration) string {
	t.Helper()
	r, err := pcapfile.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	w, err := pcapfile.NewWriter(&b, 1)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(span)))
	step := int64(0)
	for {
		p, err := r.Next()
		if err != nil {
			break
		}
		if rnd.IntN(500) == 0 {
			step = rnd.Int64N(int64(10*time.Minute)) - int64(5*time.Minute)
		}
		at := p.Time + rnd.Int64N(int64(span)) + step
		if rnd.IntN(2000) == 0 {
			at -= int64(time.Hour) // one packet alone
		}
		p.Time = at
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "shuffled.pcap")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRingsMeanwhile: the summary adds up at any time, and the packets under way are in it.
func TestRingsMeanwhile(t *testing.T) {
	c := trace.DefaultConfig()
	c.Packets, c.Flows = 300_000, 5000
	var b bytes.Buffer
	totals, err := trace.Write(&b, c)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "trace.pcap")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Files, cfg.Rings, cfg.Logger = []string{name}, 3, slog.New(slog.DiscardHandler)
	cfg.Archive.Dir = t.TempDir()
	cfg.Accounting.On = true
	cfg.Accounting.Console.Control = filepath.Join(t.TempDir(), "control")
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- p.Run(context.Background()) }()
	looks, underway := 0, 0
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			running = false
		default:
			s := p.Summary()
			if err := s.Balance(); err != nil {
				t.Fatal(err)
			}
			if looks++; looks%8 == 0 {
				cfg.Cache.Active = time.Duration(1+looks%5) * time.Second
				if err := p.Reload(cfg); err != nil {
					t.Fatal(err)
				}
			}
			if s.Packets.Underway > 0 {
				underway++
			}
			p.Progress()
			(*consoleMeter)(p).Sources()
			(*consoleMeter)(p).Flows(func(src string, _ *netflow.Record) bool { return src == name })
		}
	}
	s := p.Summary()
	if s.Packets.Metered != totals.Packets || s.Packets.Underway != 0 || s.Archive.Archived != totals.Packets || len(s.Sources) != 1 {
		t.Errorf("%+v %+v, want %d packets", s.Packets, s.Archive, totals.Packets)
	}
	t.Logf("%d looks, %d with packets under way", looks, underway)
}

// TestRingsAllocations: sharing packets of known flows out, and metering them, allocates nothing.
func TestRingsAllocations(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Files, cfg.Rings, cfg.Logger = []string{"-"}, 2, slog.New(slog.DiscardHandler)
	p := &Probe{cfg: cfg, queue: newQueue()}
	if err := p.openReader(); err != nil {
		t.Fatal(err)
	}
	m := p.meters[0]
	m.workers.start()
	s := &sourceState{origin: &origin{name: "-"}}
	batch := make([]flowcache.Packet, flowcache.BatchSize)
	for i := range batch {
		batch[i].Time, batch[i].Src[15], batch[i].IPVersion = netflow.Timestamp(1e12), byte(i), 4
	}
	batch[7].Time -= 1000 // each time older than the clock
	share := func() {
		for range 64 {
			m.workers.share(s, 1e12, batch, nil)
		}
	}
	share()
	if n := testing.AllocsPerRun(50, share); n != 0 {
		t.Errorf("%v allocations for %d packets", n, 64*len(batch))
	}
	m.workers.end()
	var packets uint64
	for _, w := range m.workers.all {
		packets += w.meter.cache.Stats().Packets
	}
	if want := uint64(52 * 64 * len(batch)); packets != want {
		t.Errorf("%d packets metered, want %d", packets, want)
	}
}

// TestRingsConfig: what cannot be is said, and everything else can.
func TestRingsConfig(t *testing.T) {
	for _, test := range []struct {
		rings, flows int
		want         string
	}{{-1, 0, "must be 1 to"}, {MaxRings + 1, 0, "must be 1 to"}, {0, 0, ""}, {2, 1, "one for each"}, {1, 1, ""}, {MaxRings, MaxRings, ""}} {
		for _, name := range []string{"eth0", "ppp*", "any"} {
			for _, persist := range []bool{false, true} {
				cfg := DefaultConfig()
				cfg.Interfaces, cfg.Rings, cfg.Persist, cfg.Cache.MaxFlows = []string{name}, test.rings, persist, test.flows
				if err := cfg.Validate(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s, %d rings, persist %v: %v, want %q", name, test.rings, persist, err, test.want)
				}
			}
		}
	}
}

// TestShareOfCache: the tables of an interface's rings hold no more flows together than one table would.
func TestShareOfCache(t *testing.T) {
	cfg := DefaultConfig()
	for _, flows := range []int{64, 100, 1 << 20} {
		cfg.Cache.MaxFlows = flows
		for n := 1; n <= MaxRings; n++ {
			if got := cfg.shareOfCache(n).MaxFlows; got < 1 || got*n > flows || (got+1)*n <= flows {
				t.Errorf("%d of %d tables: %d flows", flows, n, got)
			}
		}
	}
}
