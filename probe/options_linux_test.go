package probe_test

import (
	"encoding/binary"
	"testing"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/probe/export"
)

// TestStatisticsAtTheEnd: a meter that gives away more flows than fit into the queue waits for the exporter, which is about
// to tell the collector what meters have dropped.
func TestStatisticsAtTheEnd(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "far0")
	collector := collect(t)
	cfg := probe.DefaultConfig()
	cfg.Interfaces = []string{"in0"}
	cfg.Export.Destinations = []string{collector.address()}
	cfg.Export.Options = []string{export.OptionStatistics}
	p, stop := start(t, cfg)
	const flows = 20000 // several times what waits in the queue when a meter does
	frames := make([][]byte, flows)
	for i := range frames {
		frames[i] = frameOf(1, 0, 60)
		binary.BigEndian.PutUint16(frames[i][34:], uint16(i))
	}
	capturetest.Send(t, "far0", frames...)
	eventually(t, "all flows are held", func() bool { return p.Summary().Flows.Held.Flows == flows })
	stop()
	if s := summaryOf(t, p); s.Export.Given.Flows != flows {
		t.Errorf("the exporter was given %d flows, want %d", s.Export.Given.Flows, flows)
	}
}
