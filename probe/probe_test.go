package probe_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
	"github.com/caprock-net/caprock/test/trace"
)

// run meters files to their end.
func run(t *testing.T, cfg probe.Config) (probe.Summary, error) {
	t.Helper()
	p, err := probe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(context.Background())
	s := p.Summary()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	return s, err
}

func filesConfig(files ...string) probe.Config {
	cfg := probe.DefaultConfig()
	cfg.Files = files
	return cfg
}

// writeTrace writes a synthetic capture into a folder of the test.
func writeTrace(t *testing.T, c trace.Config) (name string, totals trace.Totals) {
	t.Helper()
	var b bytes.Buffer
	totals, err := trace.Write(&b, c)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "trace.pcap", b.Bytes()), totals
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func smallTrace() trace.Config {
	c := trace.DefaultConfig()
	c.Packets, c.Flows, c.Span = 20_000, 500, 40*time.Second
	return c
}

// sink is a collector that counts.
type sink struct {
	conn             *net.UDPConn
	done             chan struct{}
	datagrams, bytes uint64
	longest          int
	first            []byte // datagram
}

func newSink(t *testing.T) *sink {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(8 << 20)
	s := &sink{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		b := make([]byte, 1<<16)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			s.datagrams++
			s.bytes += uint64(n)
			s.longest = max(s.longest, n)
			if s.first == nil {
				s.first = bytes.Clone(b[:n])
			}
		}
	}()
	t.Cleanup(func() { conn.Close() })
	return s
}

func (s *sink) address() string { return s.conn.LocalAddr().String() }

// stop takes in what has arrived.
func (s *sink) stop() {
	s.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	<-s.done
}

// TestCorpora: of every capture, damaged ones included, each packet becomes what independent tools say, and all adds up.
func TestCorpora(t *testing.T) {
	for _, c := range dissecttest.Captures(t) {
		s, err := run(t, filesConfig(c.Path))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		want := c.Expected
		if s.Packets.Read != uint64(want.Packets) {
			t.Errorf("%s: %d packets read, want %d", c.Name, s.Packets.Read, want.Packets)
		}
		if !c.Malformed && (s.Packets.Metered != uint64(want.IPv4+want.IPv6) || s.Packets.IPBytes != want.IPBytes) {
			t.Errorf("%s: %d packets and %d bytes metered, want %d and %d", c.Name, s.Packets.Metered, s.Packets.IPBytes, want.IPv4+want.IPv6, want.IPBytes)
		}
		if s.Flows.Held.Flows != 0 {
			t.Errorf("%s: %d flows are still held", c.Name, s.Flows.Held.Flows)
		}
	}
}

// TestExport: every collector gets every datagram.
func TestExport(t *testing.T) {
	name, totals := writeTrace(t, smallTrace())
	for _, protocol := range []string{"ipfix", "v9", "v5", "v1"} {
		t.Run(protocol, func(t *testing.T) {
			one, two := newSink(t), newSink(t)
			cfg := filesConfig(name)
			cfg.Export.Destinations = []string{one.address(), two.address()}
			cfg.Export.Protocol = protocol
			cfg.Export.MTU = 1000
			s, err := run(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if s.Packets.Metered != totals.Packets || s.Packets.IPBytes != totals.Bytes {
				t.Errorf("%+v, want %+v", s.Packets, totals)
			}
			e := s.Export
			if e.Given != s.Flows.Ended || e.Underway != (probe.Tally{}) || e.QueueFull != (probe.Tally{}) || len(e.Collectors) != 2 {
				t.Errorf("%+v, want all %+v given", e, s.Flows.Ended)
			}
			for i, sink := range []*sink{one, two} {
				sink.stop()
				c := e.Collectors[i]
				if c.Datagrams != sink.datagrams || c.DatagramBytes != sink.bytes || sink.datagrams < 10 || sink.longest > 1000 {
					t.Errorf("collector %d: sent %d datagrams, %d bytes; arrived %d, %d, the longest %d", i, c.Datagrams, c.DatagramBytes, sink.datagrams, sink.bytes, sink.longest)
				}
				if v5 := protocol == "v5" || protocol == "v1"; v5 != (e.IPv6.Flows > 0) || c.Exported.Flows+e.IPv6.Flows != e.Given.Flows {
					t.Errorf("collector %d: %d exported and %d not carried of %d", i, c.Exported.Flows, e.IPv6.Flows, e.Given.Flows)
				}
			}
		})
	}
}

// TestSamplingIsTold: rate and method are in what the collectors get first.
func TestSamplingIsTold(t *testing.T) {
	name, totals := writeTrace(t, smallTrace())
	for _, c := range []struct{ protocol, sample, want string }{
		{"ipfix", "10", "\x00\x00\x00\x0a\x01"}, {"v9", "10", "\x00\x00\x00\x0a\x01"}, {"v5", "10", "\x40\x0a"},
		{"ipfix", "random:10", "\x00\x00\x00\x0a\x02"}, {"v9", "random:10", "\x00\x00\x00\x0a\x02"}, {"v5", "random:10", "\x80\x0a"},
		{"ipfix", "hash:10", "\x00\x00\x00\x0a\x02"}, {"v5", "hash:10", "\x80\x0a"},
	} {
		sink := newSink(t)
		cfg := filesConfig(name)
		cfg.Export.Destinations = []string{sink.address()}
		cfg.Export.Protocol = c.protocol
		var err error
		if cfg.Sample, err = probe.ParseSample(c.sample); err != nil {
			t.Fatal(err)
		}
		s, err := run(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		sink.stop()
		if s.Packets.Metered+s.Packets.NotSampled != totals.Packets || s.Packets.NotSampled < totals.Packets/2 {
			t.Errorf("%s, %s: %+v", c.protocol, c.sample, s.Packets)
		}
		if !bytes.Contains(sink.first, []byte(c.want)) || c.protocol == "v5" && string(sink.first[22:24]) != c.want {
			t.Errorf("%s, %s: %x is not in %x", c.protocol, c.sample, c.want, sink.first)
		}
	}
}

// TestNobodyListens: flows are lost, counted, and the probe ends as usual.
func TestNobodyListens(t *testing.T) {
	name, _ := writeTrace(t, smallTrace())
	gone := newSink(t)
	gone.conn.Close()
	cfg := filesConfig(name)
	cfg.Export.Destinations = []string{gone.address()}
	s, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Export.Collectors[0]
	if c.Exported.Flows+c.TotalLost().Flows != s.Export.Given.Flows {
		t.Errorf("%+v of %+v", c, s.Export.Given)
	}
	if len(c.Errors) != 1 || c.Errors["refused"] == 0 {
		t.Errorf("errors %v, want some of a collector that refuses", c.Errors)
	}
}

// TestCutIntoFiles: a capture in two files gives the flows of the whole.
func TestCutIntoFiles(t *testing.T) {
	name, _ := writeTrace(t, smallTrace())
	whole, err := run(t, filesConfig(name))
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapfile.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var parts [2]bytes.Buffer
	for i := range parts {
		w, err := pcapfile.NewWriter(&parts[i], 1)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; i == 1 || n < 7_777; n++ {
			f, err := r.Next()
			if err == io.EOF {
				break
			}
			if err := errors.Join(err, w.Write(f)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cut, err := run(t, filesConfig(writeFile(t, "one.pcap", parts[0].Bytes()), writeFile(t, "two.pcap", parts[1].Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	if cut.Packets != whole.Packets || cut.Flows != whole.Flows {
		t.Errorf("in two files\n%+v %+v\nin one\n%+v %+v", cut.Packets, cut.Flows, whole.Packets, whole.Flows)
	}
	if len(cut.Sources) != 2 || cut.Sources[0].Packets != 7_777 {
		t.Errorf("sources %+v", cut.Sources)
	}
}

// TestDamagedFile: what was good is kept, what comes after is read, and the error names the place.
func TestDamagedFile(t *testing.T) {
	name, totals := writeTrace(t, smallTrace())
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damaged := writeFile(t, "damaged.pcap", content[:len(content)-1])
	s, err := run(t, filesConfig(damaged, name))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), damaged) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if want := 2*totals.Packets - 1; s.Packets.Metered != want {
		t.Errorf("%d packets, want %d", s.Packets.Metered, want)
	}
	if len(s.Sources) != 2 || s.Sources[0].Error == "" || s.Sources[1].Error != "" {
		t.Errorf("sources %+v", s.Sources)
	}
	if s.Packets.ClockSteps == 0 && s.Packets.Backwards == 0 {
		t.Error("the second file begins earlier than the first one ends, and nobody noticed")
	}
}

// TestBadFile: nothing is metered of the good file when another is no capture at all.
func TestBadFile(t *testing.T) {
	name, _ := writeTrace(t, smallTrace())
	for _, bad := range []string{writeFile(t, "text.pcap", []byte("hello, world")), filepath.Join(t.TempDir(), "missing.pcap"), t.TempDir()} {
		if _, err := probe.New(filesConfig(name, bad)); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("error %v, want one about %s", err, bad)
		}
	}
}

// TestStop: a probe that waits for standard input ends when told to, its flows exported.
func TestStop(t *testing.T) {
	name, totals := writeTrace(t, smallTrace())
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last := content[24:] // behind the file's header
	for n := 0; n < len(last); n = 16 + int(binary.LittleEndian.Uint32(last[8:])) {
		last = last[n:]
	}
	late := bytes.Clone(last)
	binary.LittleEndian.PutUint32(late, binary.LittleEndian.Uint32(late)+2)
	content, totals.Packets = append(content, late...), totals.Packets+1 // two seconds later no packet waits for more
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func(old *os.File) { os.Stdin = old }(os.Stdin)
	os.Stdin = in
	defer in.Close()
	defer out.Close()
	go out.Write(content)

	collector := newSink(t)
	cfg := filesConfig("-")
	cfg.Export.Destinations = []string{collector.address()}
	p, err := probe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); p.Progress().Packets < totals.Packets; time.Sleep(time.Millisecond) {
		s := p.Summary() // adds up at any time
		if err := s.Balance(); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d packets of %d", p.Progress().Packets, totals.Packets)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s := p.Summary()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if s.Packets.Metered != totals.Packets || s.Export.Collectors[0].Exported != s.Flows.Ended || s.Flows.Ended.Packets != totals.Packets {
		t.Errorf("%+v %+v, want %d packets exported", s.Packets, s.Export, totals.Packets)
	}
}

// TestFullTable: the bound of the table holds and what it costs is said.
func TestFullTable(t *testing.T) {
	name, totals := writeTrace(t, smallTrace())
	cfg := filesConfig(name)
	cfg.Cache.MaxFlows = 100
	s, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s.Flows.Peak > 100 || s.Flows.Resources == 0 || s.Flows.Ended.Packets != totals.Packets {
		t.Errorf("%+v", s.Flows)
	}
}

func TestConfig(t *testing.T) {
	cfg := probe.DefaultConfig()
	cfg.Interfaces, cfg.Files = []string{"a", "a"}, []string{"b"}
	cfg.Cache.MaxFlows, cfg.Export.MTU, cfg.SnapLen = -1, 1, 1
	cfg.Export.Protocol = "v7"
	err := cfg.Validate()
	for _, want := range []string{"interfaces or files", "given twice", "flow table", "mtu", "snap length", `"v7"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\ndoes not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "localhost") {
		t.Errorf("error %v speaks of a destination that nobody gave", err)
	}
	cfg = probe.DefaultConfig()
	if err := cfg.Validate(); err == nil {
		t.Error("no source, no complaint")
	}
	cfg.Interfaces = []string{"any", "eth0"}
	if err := cfg.Validate(); err == nil {
		t.Error("any and another: no complaint")
	}
	cfg.Interfaces = []string{"eth0"}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

// TestSummaryWrites: both forms of a summary have its figures.
func TestSummaryWrites(t *testing.T) {
	name, totals := writeTrace(t, smallTrace())
	s, err := run(t, filesConfig(name))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := s.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{name, "20000    metered", "no collector was given"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again probe.Summary
	if err := json.Unmarshal(b, &again); err != nil || again.Packets != s.Packets || again.Packets.Metered != totals.Packets || again.Flows != s.Flows {
		t.Errorf("%s\nread again: %+v, error %v", b, again, err)
	}
}

// TestBalance: each sum that is wrong is found.
func TestBalance(t *testing.T) {
	name, _ := writeTrace(t, smallTrace())
	collector := newSink(t)
	cfg := filesConfig(name)
	cfg.Export.Destinations = []string{collector.address()}
	good, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*probe.Summary){
		"source":    func(s *probe.Summary) { s.Sources[0].Packets++ },
		"read":      func(s *probe.Summary) { s.Packets.NonIP++ },
		"filtered":  func(s *probe.Summary) { s.Packets.Filtered++ },
		"metered":   func(s *probe.Summary) { s.Flows.Held.Packets++ },
		"bytes":     func(s *probe.Summary) { s.Packets.IPBytes++ },
		"reasons":   func(s *probe.Summary) { s.Flows.Idle++ },
		"given":     func(s *probe.Summary) { s.Export.QueueFull.Flows++ },
		"exported":  func(s *probe.Summary) { s.Export.Collectors[0].Exported.Bytes++ },
		"lost":      func(s *probe.Summary) { s.Export.Collectors[0].Lost = map[string]probe.Tally{"x": {Flows: 1}} },
		"no source": func(s *probe.Summary) { s.Sources = nil },
	} {
		b, err := json.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		var s probe.Summary
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if err := s.Balance(); err != nil {
			t.Fatal(err)
		}
		spoil(&s)
		if err := s.Balance(); err == nil {
			t.Errorf("%s: not noticed", what)
		}
	}
}

func TestNoInterface(t *testing.T) {
	cfg := probe.DefaultConfig()
	cfg.Interfaces = []string{"nowhere0"}
	_, err := probe.New(cfg)
	if err == nil || !strings.Contains(err.Error(), "nowhere0") {
		t.Errorf("error %v", err)
	}
	if errors.Is(err, capture.ErrUnsupported) {
		t.Skip(err)
	}
}

// BenchmarkFile meters a generated capture, without a collector and with one that takes nothing. The profile of the second is what
// the compiler goes by (cmd/probe/default.pgo): scripts/profile makes it.
func BenchmarkFile(b *testing.B) {
	c := trace.DefaultConfig()
	c.Packets, c.Flows = 500_000, 50_000
	var content bytes.Buffer
	if _, err := trace.Write(&content, c); err != nil {
		b.Fatal(err)
	}
	name := filepath.Join(b.TempDir(), "trace.pcap")
	if err := os.WriteFile(name, content.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	deaf, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer deaf.Close()
	for what, collectors := range map[string][]string{"alone": nil, "ipfix": {deaf.LocalAddr().String()}} {
		b.Run(what, func(b *testing.B) {
			cfg := filesConfig(name)
			cfg.Export.Destinations = collectors
			for b.Loop() {
				p, err := probe.New(cfg)
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Run(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*c.Packets)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
