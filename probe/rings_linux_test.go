package probe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/test/trace"
)

// traceFrames makes the frames of a trace.
func traceFrames(t *testing.T, c trace.Config) ([][]byte, trace.Totals) {
	t.Helper()
	var b bytes.Buffer
	totals, err := trace.Write(&b, c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapfile.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for {
		p, err := r.Next()
		if err == io.EOF {
			return frames, totals
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, bytes.Clone(p.Data))
	}
}

// TestRingsLive: what two rings see of an interface adds up to what arrived, as one source, with the accounting table and
// the archive beside.
func TestRingsLive(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "near", "far")
	cfg := probe.DefaultConfig()
	cfg.Interfaces, cfg.Rings = []string{"near"}, 2
	cfg.Cache.Biflow = true
	cfg.Archive.Dir = t.TempDir()
	cfg.Accounting.On = true
	cfg.Accounting.Console.Control = t.TempDir() + "/control"
	p, stop := start(t, cfg)
	c := trace.DefaultConfig()
	c.Packets, c.Flows, c.Snaplen = 20_000, 2000, 1600
	frames, totals := traceFrames(t, c)
	capturetest.Send(t, "far", frames...)
	var s probe.Summary
	eventually(t, "all that arrived is read", func() bool {
		s = summaryOf(t, p)
		return len(s.Sources) == 1 && s.Sources[0].Interface.RxPackets == s.Packets.Read+s.Packets.Dropped
	})
	stop()
	// On a busy machine some may be lost on the wire, that is in the kernel's backlog: those never arrived.
	arrived := s.Sources[0].Interface.RxPackets
	s = summaryOf(t, p)
	if s.Packets.Metered+s.Packets.Dropped != arrived || arrived > totals.Packets || arrived < totals.Packets/2 {
		t.Errorf("%+v, want %d packets of %d", s.Packets, arrived, totals.Packets)
	}
	if s.Packets.Metered == totals.Packets && s.Packets.IPBytes != totals.Bytes {
		t.Errorf("%+v, want %d bytes", s.Packets, totals.Bytes)
	}
	if len(s.Sources) != 1 || s.Sources[0].Name != "near" || s.Sources[0].Packets != s.Packets.Read {
		t.Errorf("%+v, want one source", s.Sources)
	}
	if s.Archive.Archived+s.Archive.QueueFull != s.Packets.Read || s.Archive.Archived == 0 {
		t.Errorf("archive: %+v of %+v", s.Archive, s.Packets)
	}
}

// TestRingsGone: that an interface is gone is said once.
func TestRingsGone(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "near", "far")
	cfg := probe.DefaultConfig()
	cfg.Interfaces, cfg.Rings, cfg.RingSize = []string{"near"}, 3, 8<<20
	p, err := probe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- p.Run(context.Background()) }()
	capturetest.IP(t, "link", "del", "near")
	if err := <-done; !errors.Is(err, capture.ErrGone) || strings.Count(err.Error(), "near") != 1 {
		t.Errorf("%v, want %v once", err, capture.ErrGone)
	}
	if s := summaryOf(t, p); len(s.Sources) != 1 || s.Sources[0].Error == "" || s.Sources[0].Downs != 1 {
		t.Errorf("%+v", s.Sources)
	}
}

// conversations are packets of so many flows, of the same number of packets each, in turn.
func conversations(flows, packets int) [][]byte {
	var frames [][]byte
	for n := range packets {
		for from := range flows {
			frames = append(frames, frameOf(byte(from), uint32(n), 60+from))
		}
	}
	return frames
}

// transmit sends frames, few at a time, so that the kernel's backlog is never full, and returns when all have come by.
func transmit(t *testing.T, far string, arrivals *capturetest.Arrivals, frames [][]byte) {
	t.Helper()
	want := arrivals.Total(t)
	for part := range slices.Chunk(frames, 500) {
		capturetest.Send(t, far, part...)
		want += len(part)
		eventually(t, "all that was sent has arrived", func() bool { return arrivals.Total(t) >= want })
	}
}

// patientConfig ends flows at the end of their interface only.
func patientConfig(rings int, interfaces ...string) probe.Config {
	cfg := probe.DefaultConfig()
	cfg.Interfaces, cfg.Rings = interfaces, rings
	cfg.Cache.Active, cfg.Cache.Inactive = time.Hour, time.Hour
	return cfg
}

// TestRingsComeBack: all rings of an interface end with it, and begin again with the next one of its name; they stay when it
// is down. Each packet is metered or counted as dropped, and each flow is one while the interface lives.
func TestRingsComeBack(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	const flows, packets, lives = 100, 30, 3
	capturetest.Veth(t, "near", "far")
	cfg := patientConfig(3, "near", "fixed")
	capturetest.Veth(t, "fixed", "other")
	cfg.Persist = true
	cfg.RingSize = 24 << 20
	p, stop := start(t, cfg)
	near := func() (probe.SourceSummary, probe.Summary) {
		s := summaryOf(t, p)
		return source(s, "near"), s
	}
	for life := range lives {
		if life > 0 {
			capturetest.Veth(t, "near", "far")
			eventually(t, "it is back", func() bool { src, _ := near(); return !src.Gone && src.Returns == uint64(life) })
		}
		arrivals := capturetest.Count(t, "near")
		transmit(t, "far", arrivals, conversations(flows, packets))
		capturetest.IP(t, "link", "set", "near", "down")
		eventually(t, "it is down", func() bool { src, _ := near(); return src.Downs == uint64(2*life+1) })
		capturetest.IP(t, "link", "set", "near", "up")
		capturetest.Up(t, "near", "far")
		transmit(t, "far", arrivals, conversations(flows, packets))
		capturetest.IP(t, "link", "del", "near") // with packets in the rings
		eventually(t, "it is gone", func() bool { src, s := near(); return src.Gone && s.Flows.Held.Flows == 0 })
	}
	stop()
	src, s := near()
	if sent := uint64(2 * lives * flows * packets); s.Packets.Metered+s.Packets.Dropped != sent || src.Packets+src.Dropped != sent {
		t.Errorf("%d packets sent: %+v %+v", sent, s.Packets, src)
	}
	if s.Flows.Ended.Flows != lives*flows {
		t.Errorf("%d flows, want %d", s.Flows.Ended.Flows, lives*flows)
	}
	if len(s.Sources) != 2 || src.Returns != lives-1 || src.Downs != 2*lives || src.Error != "" {
		t.Errorf("%+v", s.Sources)
	}
}

// TestWildcardRings: interfaces that match have several rings each, also those that come while others go.
func TestWildcardRings(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	const flows, packets, lives, interfaces = 50, 40, 3, 4
	cfg := patientConfig(2, "ppp*", "near")
	cfg.Persist = true
	cfg.Cache.MaxFlows = 1001 // 500 in each table
	capturetest.Veth(t, "near", "far")
	p, stop := start(t, cfg)
	t.Run("all", func(t *testing.T) {
		for i := range interfaces {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				name, far := fmt.Sprintf("ppp%d", i), fmt.Sprintf("far%d", i)
				for life := range lives {
					capturetest.Veth(t, name, far)
					eventually(t, "it is metered", func() bool {
						src := source(p.Summary(), name)
						return src.Name != "" && !src.Gone && src.Returns == uint64(life)
					})
					transmit(t, far, capturetest.Count(t, name), conversations(flows, packets))
					capturetest.IP(t, "link", "del", name)
					eventually(t, "it is gone", func() bool { return source(p.Summary(), name).Gone })
				}
			})
		}
		t.Run("named", func(t *testing.T) {
			t.Parallel()
			transmit(t, "far", capturetest.Count(t, "near"), conversations(flows, lives*packets))
		})
	})
	eventually(t, "all is read", func() bool {
		s := summaryOf(t, p)
		return s.Packets.Read+s.Packets.Dropped == (interfaces+1)*lives*flows*packets
	})
	stop()
	s := summaryOf(t, p)
	if sent := uint64((interfaces + 1) * lives * flows * packets); s.Packets.Metered+s.Packets.Dropped != sent {
		t.Errorf("%d packets sent: %+v", sent, s.Packets)
	}
	if want := uint64(interfaces*lives*flows + flows); s.Flows.Ended.Flows != want {
		t.Errorf("%d flows, want %d", s.Flows.Ended.Flows, want)
	}
	if len(s.Sources) != interfaces+1 {
		t.Errorf("%+v", s.Sources)
	}
	for _, src := range s.Sources {
		if src.Packets+src.Dropped != lives*flows*packets || src.Name != "near" && src.Returns != lives-1 || src.Error != "" {
			t.Errorf("%+v", src)
		}
	}
}

// TestRingsUnderway: an interface goes in the midst of traffic, again and again, which ends no sooner: what was read is
// metered.
func TestRingsUnderway(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	cfg := patientConfig(4, "near", "ppp*")
	cfg.Persist = true
	names := map[string]string{"near": "far", "ppp0": "far0"}
	capturetest.Veth(t, "near", "far")
	p, stop := start(t, cfg)
	var sent atomic.Uint64
	for life := range 3 {
		for name, far := range names {
			if name != "near" || life > 0 {
				capturetest.Veth(t, name, far)
			}
			eventually(t, name+" is metered", func() bool {
				src := source(summaryOf(t, p), name)
				return src.Name != "" && !src.Gone && src.Returns == uint64(life)
			})
		}
		before := sent.Load()
		var sending sync.WaitGroup
		for _, far := range names {
			sending.Go(func() { flood(far, conversations(100, 1), &sent) })
		}
		eventually(t, "there is traffic", func() bool { return sent.Load()-before > 20_000 })
		for name := range names {
			capturetest.IP(t, "link", "del", name)
		}
		sending.Wait()
		eventually(t, "both are gone", func() bool {
			s := summaryOf(t, p)
			return source(s, "near").Gone && source(s, "ppp0").Gone && s.Flows.Held.Flows == 0
		})
		s := summaryOf(t, p)
		// What was under way in the kernel when the interface went, its backlog, has not come by.
		if got := s.Packets.Metered + s.Packets.Dropped; got > sent.Load() || got < 20_000 {
			t.Errorf("%d packets of %d", got, sent.Load())
		}
		if want := uint64(200 * (life + 1)); s.Flows.Ended.Flows != want {
			t.Errorf("%d flows, want %d", s.Flows.Ended.Flows, want)
		}
	}
	stop()
}

// flood sends until it cannot.
func flood(far string, frames [][]byte, sent *atomic.Uint64) {
	i, err := net.InterfaceByName(far)
	if err != nil {
		return
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for {
		for _, frame := range frames {
			if unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}) != nil {
				return
			}
			sent.Add(1)
		}
	}
}

// TestRingsNoFiles: what cannot be opened for want of descriptors is an error, and nothing stays open.
func TestRingsNoFiles(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "near", "far")
	opened := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := opened()
	for _, more := range []uint64{10, 30, 60, 100} { // 16 rings take 48, and as many sockets of each kind
		limit := unix.Rlimit{Cur: uint64(before) + more, Max: 1000}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		for _, interfaces := range [][]string{{"near"}, {"ne*"}, {"ppp*", "near"}} {
			cfg := patientConfig(16, interfaces...)
			cfg.Persist, cfg.RingSize = true, 32<<20
			if p, err := probe.New(cfg); err == nil && (more < 80 || len(interfaces) > 1) {
				t.Errorf("%v with %d descriptors: no error", interfaces, more)
			} else if err == nil {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if err := p.Run(ctx); err != nil {
					t.Error(err)
				}
			} else if !errors.Is(err, unix.EMFILE) {
				t.Errorf("%v with %d descriptors: %v, want %v", interfaces, more, err, unix.EMFILE)
			}
			if after := opened(); after > before+1 { // the runtime's own, of waiting
				t.Errorf("%v with %d descriptors: %d are open, %d were", interfaces, more, after, before)
			}
		}
	}
}

// TestRingsOtherKind: an interface may come back as one of another kind, here without link headers.
func TestRingsOtherKind(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "near", "far")
	cfg := patientConfig(2, "near")
	cfg.Persist, cfg.RingSize = true, 16<<20
	p, stop := start(t, cfg)
	transmit(t, "far", capturetest.Count(t, "near"), conversations(10, 10))
	capturetest.IP(t, "link", "del", "near")
	eventually(t, "it is gone", func() bool { return source(summaryOf(t, p), "near").Gone })
	capturetest.IP(t, "link", "add", "near", "type", "sit", "local", "127.0.0.1", "remote", "127.0.0.2")
	capturetest.IP(t, "link", "set", "near", "addrgenmode", "none", "up")
	eventually(t, "it is back", func() bool { return source(summaryOf(t, p), "near").Returns == 1 })
	for i := range 50 { // leaving, with no next header (RFC 8200 section 4.7)
		packet := append([]byte{0x60, 0, 0, 0, 0, 4, 59, 64, 0x20, 1, 0xd, 0xb8}, make([]byte, 32)...)
		packet[23], packet[39] = byte(i), 1
		capturetest.Send(t, "near", packet)
	}
	eventually(t, "what leaves is metered", func() bool { return summaryOf(t, p).Packets.Metered == 150 })
	stop()
	if s := summaryOf(t, p); s.Flows.Ended.Flows != 60 || len(s.Sources) != 1 || s.Sources[0].Packets != 150 {
		t.Errorf("%+v %+v", s.Flows, s.Sources)
	}
}
