package probe

import (
	"slices"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/export"
)

// TestDescribe: collectors are told of the interfaces that are metered, and nothing of this system when it reads a capture.
func TestDescribe(t *testing.T) {
	loopback := func(list []netflow.Interface) bool {
		return slices.ContainsFunc(list, func(i netflow.Interface) bool { return i.Name == "lo" || i.Name == "lo0" })
	}
	for _, tt := range []struct {
		interfaces []string
		want       bool
	}{{[]string{"lo", "lo0"}, true}, {[]string{"any"}, true}, {[]string{"l*"}, true}, {[]string{"ppp*"}, false}} {
		p := &Probe{cfg: Config{Interfaces: tt.interfaces}}
		var e export.Config
		p.describe(&e)
		if got := e.Interfaces(); loopback(got) != tt.want {
			t.Errorf("%v: %v", tt.interfaces, got)
		}
		if e.Boot == 0 || e.Ignored() != 0 {
			t.Errorf("booted at %d, %d packets ignored", e.Boot, e.Ignored())
		}
	}
	p := &Probe{cfg: Config{Files: []string{"a.pcap"}}}
	var e export.Config
	if p.describe(&e); e.Interfaces != nil || e.Boot != 0 || e.Ignored != nil {
		t.Errorf("of a file: %+v", e)
	}
}

// TestIgnored: what is dropped or malformed is counted, without waiting for a meter that is busy.
func TestIgnored(t *testing.T) {
	s := &sourceState{origin: &origin{name: "in0"}, counts: verdicts{malformed: 3}, stats: capture.Stats{Dropped: 2}}
	m := &meter{sources: []*sourceState{s}}
	p := &Probe{cfg: Config{Interfaces: []string{"in0"}}, meters: []*meter{m, {}}}
	if n := p.ignored(); n != 5 {
		t.Errorf("%d packets ignored, want 5", n)
	}
	m.mu.Lock()
	s.counts.malformed = 4
	if n := p.ignored(); n != 5 {
		t.Errorf("%d packets ignored, want 5 as before: the meter is busy", n)
	}
	m.mu.Unlock()
	if n := p.ignored(); n != 6 {
		t.Errorf("%d packets ignored, want 6", n)
	}
}
