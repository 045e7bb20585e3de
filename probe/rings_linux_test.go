package probe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

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
