package probe_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/probe/export"
)

// TestReload: packets come through a veth pair while everything that can be changed changes, again and again: none is lost.
func TestReload(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	index, _ := capturetest.Veth(t, "in0", "sender")
	one, two := collect(t), collect(t)
	cfg := probe.DefaultConfig()
	cfg.Interfaces = []string{"in0", "ppp*"}
	cfg.RingSize = 8 << 20
	cfg.Cache.MaxFlows = 5000
	cfg.Cache.Active, cfg.Cache.Inactive = 300*time.Millisecond, 100*time.Millisecond
	cfg.Export.Destinations = []string{one.address()}
	cfg.Archive.Dir = t.TempDir()
	p, stop := start(t, cfg)

	const rounds, each, sources = 20, 2000, 50
	reload := func(round int) {
		cfg.Cache.Active = time.Duration(100+round*50%400) * time.Millisecond
		cfg.Cache.Inactive = time.Duration(20+round*70%300) * time.Millisecond
		cfg.Cache.TCPExpiry = round%2 == 0
		cfg.Export.Destinations = []string{one.address()}
		if round%2 == 0 {
			cfg.Export.Destinations = []string{two.address(), one.address()}
		}
		cfg.Export.MaxRate = []int{0, 5000, 20_000}[round%3]
		cfg.Export.TemplateEvery, cfg.Export.TemplatePackets = time.Duration(1+round%3)*time.Second, 1+round%7
		cfg.Archive.MaxFiles = 2 + round%5
		if err := p.Reload(cfg); err != nil {
			t.Error(err)
		}
	}
	sent := make(chan bool)
	go func() {
		defer close(sent)
		for round := range rounds {
			for n := range each / 100 {
				var frames [][]byte
				for i := range 100 {
					frames = append(frames, frameOf(byte(1+(n*100+i)%sources), uint32(round), 100))
				}
				capturetest.Send(t, "sender", frames...)
			}
		}
	}()
	for round := range rounds {
		reload(round)
		summaryOf(t, p)
		time.Sleep(10 * time.Millisecond)
	}
	<-sent
	capturetest.Veth(t, "ppp0", "far0") // its meter goes by what is in force now
	eventually(t, "everything is read", func() bool {
		s := summaryOf(t, p)
		return s.Packets.Read+s.Packets.Dropped >= rounds*each-arrivedLess(s)
	})

	// What is wrong changes nothing.
	for what, spoil := range map[string]func(*probe.Config){
		"timeout":     func(c *probe.Config) { c.Cache.Active = 1 },
		"name":        func(c *probe.Config) { c.Export.Destinations = []string{"nowhere.invalid:9"} },
		"none":        func(c *probe.Config) { c.Export.Destinations = nil },
		"archive":     func(c *probe.Config) { c.Archive.MaxFiles = 1 },
		"certificate": func(c *probe.Config) { c.Export.Destinations = []string{"tls://127.0.0.1:9"} },
	} {
		bad := cfg
		spoil(&bad)
		if err := p.Reload(bad); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	stop()
	if err := p.Reload(cfg); !errors.Is(err, probe.ErrEnded) {
		t.Errorf("after the end: %v", err)
	}

	s := summaryOf(t, p)
	missing := arrivedLess(s)
	if s.Packets.Read != rounds*each-missing || s.Packets.Dropped != 0 || s.Flows.Ended.Packets != s.Packets.Metered || s.Archive.Archived != s.Packets.Read {
		t.Errorf("%d packets sent, %d of them lost before the interface; %+v %+v %+v", rounds*each, missing, s.Packets, s.Flows, s.Archive)
	}
	var got uint64
	for key, n := range one.stop(t, s.Packets.Metered) {
		if key[0] != index {
			t.Errorf("interface %d", key[0])
		}
		got += n
	}
	if got != s.Packets.Metered {
		t.Errorf("the collector has %d packets of %d", got, s.Packets.Metered)
	}
	got = 0
	c := s.Export.Collectors
	for _, n := range two.stop(t, c[1].Exported.Packets) {
		got += n
	}
	if len(c) != 2 || c[0].Missed.Flows != 0 || c[1].Missed.Packets == 0 || got != c[1].Exported.Packets || got+c[1].Missed.Packets != s.Packets.Metered || !c[1].Removed {
		t.Errorf("%d packets at the second; %+v", got, c)
	}
}

// arrivedLess is what the wire lost, that is the kernel's backlog on a busy machine.
func arrivedLess(s probe.Summary) uint64 {
	in0 := source(s, "in0")
	if in0.Interface == nil {
		return 0
	}
	return 20*2000 - in0.Interface.RxPackets
}

// TestReloadWithout: a probe without collectors does not get any, and one of files takes over what it can too.
func TestReloadWithout(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "sender")
	cfg := probe.DefaultConfig()
	cfg.Interfaces = []string{"in0"}
	cfg.RingSize = 2 << 20
	p, stop := start(t, cfg)
	defer stop()
	cfg.Cache.Active = time.Second
	if err := p.Reload(cfg); err != nil {
		t.Error(err)
	}
	cfg.Export = export.Config{Destinations: []string{"127.0.0.1:9"}}
	if err := p.Reload(cfg); err == nil {
		t.Error("a collector: no error")
	}
}
