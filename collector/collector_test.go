package collector_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caprock-net/caprock/collector"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/test/flowblast/blast"
)

// running is a collector at work.
type running struct {
	*collector.Collector
	t    *testing.T
	dir  string
	stop func() error // ends it, waits, and returns what Run returned
	log  *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs a collector on loopback, with a buffer that a whole test fits into; set changes the configuration.
func start(t *testing.T, set func(*collector.Config)) *running {
	t.Helper()
	log := &syncBuffer{}
	cfg := collector.DefaultConfig()
	cfg.Dir = filepath.Join(t.TempDir(), "flows")
	cfg.Listen = []string{"127.0.0.1:0"}
	cfg.ReceiveBuffer = 4 << 20
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	if set != nil {
		set(&cfg)
	}
	c, err := collector.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("does not end")
		}
	})
	t.Cleanup(func() { stop() })
	return &running{Collector: c, t: t, dir: cfg.Dir, stop: stop, log: log}
}

// end stops the collector and checks the sums that must always be exact.
func (r *running) end() collector.Stats {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Fatal(err)
	}
	s := r.Stats()
	if s.Datagrams != s.Refused+s.Unusable()+s.Used() || s.Decode.Flows != s.Stored+s.Lost.Total() || s.Pending != 0 {
		r.t.Errorf("datagrams %d = %d refused + %d unusable + %d used? flows %d = %d stored + %+v lost? %d pending",
			s.Datagrams, s.Refused, s.Unusable(), s.Used(), s.Decode.Flows, s.Stored, s.Lost, s.Pending)
	}
	if got := total(r.t, r.dir); got.flows != s.Stored {
		r.t.Errorf("%d flows in files, %d stored", got.flows, s.Stored)
	}
	return s
}

// totals is what files hold.
type totals struct {
	flows, packets, octets, reversePackets, reverseOctets uint64
	first, last                                           netflow.Timestamp // over starts and ends that are told
	byVersion                                             map[uint64]uint64
}

func total(t *testing.T, paths ...string) totals {
	t.Helper()
	s, err := storage.OpenSnapshot(paths, storage.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sum := totals{byVersion: map[uint64]uint64{}}
	var v column.Vector
	each := func(chunk column.Chunk, c netflow.Column, f func(uint64)) {
		if err := chunk.Read(c, &v); err != nil {
			t.Fatal(err)
		}
		for i := range chunk.Rows() {
			if v.Coded {
				f(v.Num[v.Codes[i]])
			} else {
				f(v.Num[i])
			}
		}
	}
	for chunk, err := range s.Chunks() {
		if err != nil {
			t.Fatal(err)
		}
		sum.flows += uint64(chunk.Rows())
		each(chunk, netflow.Packets, func(n uint64) { sum.packets += n })
		each(chunk, netflow.Bytes, func(n uint64) { sum.octets += n })
		each(chunk, netflow.ReversePackets, func(n uint64) { sum.reversePackets += n })
		each(chunk, netflow.ReverseBytes, func(n uint64) { sum.reverseOctets += n })
		each(chunk, netflow.ExportVersion, func(n uint64) { sum.byVersion[n]++ })
		for _, c := range []netflow.Column{netflow.Start, netflow.End} {
			each(chunk, c, func(n uint64) {
				at := netflow.Timestamp(n)
				if at == 0 {
					return
				}
				if sum.first == 0 || at < sum.first {
					sum.first = at
				}
				sum.last = max(sum.last, at)
			})
		}
		chunk.Close()
	}
	return sum
}

func send(t *testing.T, cfg blast.Config) blast.Stats {
	t.Helper()
	s, err := blast.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stats, err := s.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// Three versions at once to one port, over IPv4 and IPv6: every flow is stored, and its counters with it.
func TestAllVersionsOnOnePort(t *testing.T) {
	r := start(t, func(c *collector.Config) { c.Listen = []string{":0"} })
	port := r.Addrs()[0].Port()
	if len(r.Addrs()) > 1 {
		t.Skip("one port for both families only where one socket takes both")
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var sent blast.Stats
	versions := map[string]uint64{"v5": 5, "v9": 9, "ipfix": 10}
	flows := map[uint64]uint64{}
	for _, host := range []string{"127.0.0.1", "::1"} {
		for protocol, version := range versions {
			wg.Go(func() {
				s := send(t, blast.Config{Destination: netip.AddrPortFrom(netip.MustParseAddr(host), port).String(), Protocol: protocol,
					Rate: 50_000, Flows: 20_000, Distinct: 64, Domain: 7})
				mu.Lock()
				defer mu.Unlock()
				flows[version] += s.Flows
				sent.Flows += s.Flows
				sent.Datagrams += s.Datagrams
				sent.Packets += s.Packets
				sent.Octets += s.Octets
			})
		}
	}
	wg.Wait()
	s := r.end()
	got := total(t, r.dir)
	if s.Datagrams != sent.Datagrams || got.flows != sent.Flows || got.packets != sent.Packets || got.octets != sent.Octets {
		t.Errorf("stored %+v, sent %+v", got, sent)
	}
	for version, n := range flows {
		if got.byVersion[version] != n {
			t.Errorf("version %d: %d flows, sent %d", version, got.byVersion[version], n)
		}
	}
	if len(s.Decode.Exporters) != 6 {
		t.Fatalf("%d exporters, want 6", len(s.Decode.Exporters))
	}
	for _, e := range s.Decode.Exporters {
		if e.Lost != 0 || e.Gaps != 0 || e.Reordered != 0 || e.Duplicates != 0 || e.Resets != 0 || e.Domain != 7 {
			t.Errorf("exporter %v version %d: %+v", e.Exporter, e.Version, e.Counters)
		}
	}
	if age := time.Since(got.last.Time()); age < 0 || age > time.Minute {
		t.Errorf("the last flow ended %v ago", age)
	}
}

// With a tiny receive buffer the kernel drops. What it says it dropped, what was received and what was sent agree to the
// datagram, and so do the flows; the gaps in the sequence numbers tell the same story from the other side.
func TestKernelDropsAccountForEverything(t *testing.T) {
	r := start(t, func(c *collector.Config) { c.ReceiveBuffer = 8192 })
	cfg := blast.Config{Destination: r.Addrs()[0].String(), Protocol: "v5", Flows: 600_000, Distinct: 512}
	b, err := blast.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	sent, err := b.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := r.end()
	if s.KernelDrops == 0 {
		t.Skip("no drops on this system, or they are not told")
	}
	if s.Datagrams+s.KernelDrops != sent.Datagrams {
		t.Errorf("%d sent, %d received, %d dropped by the kernel", sent.Datagrams, s.Datagrams, s.KernelDrops)
	}
	perDatagram := b.FlowsPerDatagram()
	if want := sent.Flows - s.KernelDrops*perDatagram; s.Stored != want {
		t.Errorf("%d flows stored, want %d", s.Stored, want)
	}
	if !strings.Contains(r.log.String(), "stopped") {
		t.Errorf("log: %s", r.log)
	}
	t.Logf("%d of %d datagrams dropped by the kernel, sequence numbers tell %d flows", s.KernelDrops, sent.Datagrams, s.Decode.Lost)
}

// What waits in the sockets when the stop comes is stored.
func TestStopStoresWhatHasArrived(t *testing.T) {
	cfg := collector.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.Listen = []string{"127.0.0.1:0", "127.0.0.1:0"}
	cfg.ReceiveBuffer = 4 << 20
	c, err := collector.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var flows uint64
	for _, a := range c.Addrs() {
		flows += send(t, blast.Config{Destination: a.String(), Protocol: "ipfix", Rate: 1e6, Flows: 5000, Distinct: 32}).Flows
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	begin := time.Now()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if got := total(t, cfg.Dir); got.flows != flows {
		t.Errorf("%d stored of %d", got.flows, flows)
	}
	// The same exporter sent to both sockets; it is one account.
	if s := c.Stats(); len(s.Decode.Exporters) != 1 || s.Decode.Exporters[0].Flows != flows {
		t.Errorf("exporters: %+v", s.Decode.Exporters)
	}
}

// A flow can be read within a second of its arrival, while the collector runs.
func TestFlowsAreReadableAtOnce(t *testing.T) {
	r := start(t, nil)
	sent := send(t, blast.Config{Destination: r.Addrs()[0].String(), Protocol: "v9", Rate: 1e6, Flows: 24, Distinct: 4})
	begin := time.Now()
	waitFor(t, "flows", func() bool {
		if _, err := os.Stat(r.dir); err != nil {
			return false
		}
		return total(t, r.dir).flows == sent.Flows
	})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("readable after %v", took)
	}
	r.end()
}

func TestAllowedExporters(t *testing.T) {
	r := start(t, func(c *collector.Config) {
		c.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.8/29"), netip.MustParsePrefix("2001:db8::/32")}
	})
	to := r.Addrs()[0].String()
	allowed, err := blast.New(blast.Config{Destination: to, Source: netip.MustParseAddr("127.0.0.9"), Protocol: "v5", Rate: 1e6, Flows: 300, Distinct: 4})
	if err != nil {
		t.Skip(err) // only on Linux all of 127/8 is ours
	}
	defer allowed.Close()
	sent, err := allowed.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	other := send(t, blast.Config{Destination: to, Source: netip.MustParseAddr("127.0.0.16"), Protocol: "v5", Rate: 1e6, Flows: 600, Distinct: 4})
	if s := r.end(); s.Refused != other.Datagrams || s.Stored != sent.Flows {
		t.Errorf("refused %d, stored %d; want %d, %d", s.Refused, s.Stored, other.Datagrams, sent.Flows)
	}
}

func TestNonsenseIsCounted(t *testing.T) {
	r := start(t, nil)
	conn, err := net.Dial("udp", r.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, payload := range []string{"", "x", "\x00\xf0 private block", "\x00\x09short", "\x00\x05", strings.Repeat("\xff", 1400)} {
		if _, err := conn.Write([]byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "datagrams", func() bool { return r.Stats().Datagrams == 6 })
	if s := r.end(); s.Unusable() != 6 || s.Used() != 0 || s.Stored != 0 {
		t.Errorf("unusable %d, used %d", s.Unusable(), s.Used())
	}
}

func TestOneCollectorAFolder(t *testing.T) {
	r := start(t, nil)
	cfg := collector.DefaultConfig()
	cfg.Dir, cfg.Listen = r.dir, []string{"127.0.0.1:0"}
	if _, err := collector.New(context.Background(), cfg); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("a second collector for the same folder: %v", err)
	}
	r.end()
	c, err := collector.New(context.Background(), cfg)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfigurationComplaints(t *testing.T) {
	cfg := collector.DefaultConfig()
	cfg.Listen = []string{"2055"}
	cfg.Rotate = 7 * time.Minute
	cfg.Nesting = 4
	cfg.ReceiveBuffer = -1
	cfg.Sync = 0
	_, err := collector.New(context.Background(), cfg)
	if err == nil {
		t.Fatal("no complaint")
	}
	for _, want := range []string{`"2055"`, "rotation of 7m", "nesting of 4", "receive buffer", "sync interval", "no folder"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in: %v", want, err)
		}
	}
}
