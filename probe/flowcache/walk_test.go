package flowcache_test

import (
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// TestWalk: whatever the parts, all flows are seen once, and nothing ends or is counted.
func TestWalk(t *testing.T) {
	c, err := flowcache.New(flowcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	none := func(*netflow.Record) { t.Error("a flow ended") }
	if next := c.Walk(0, 10, none); next != 0 {
		t.Errorf("an empty cache: next %d", next)
	}
	const flows = 1000
	for i := range flows {
		p := dissect.Packet{Proto: 17, IPVersion: 4, SrcPort: uint16(i), IPBytes: 100}
		c.Add(netflow.Timestamp(i), 1, &p, none)
	}
	before := c.Stats()
	for _, part := range []int{1, 7, 999, 1000, 1001, 1 << 30} {
		seen := map[uint16]int{}
		for next, first := uint32(0), true; first || next != 0; first = false {
			next = c.Walk(next, part, func(r *netflow.Record) {
				seen[r.SrcPort]++
				if r.Packets != 1 || r.Bytes != 100 || r.EndReason != 0 {
					t.Errorf("%+v", r)
				}
			})
		}
		if len(seen) != flows {
			t.Errorf("parts of %d: %d flows, want %d", part, len(seen), flows)
		}
		for port, n := range seen {
			if n != 1 {
				t.Errorf("parts of %d: flow %d seen %d times", part, port, n)
			}
		}
	}
	if after := c.Stats(); after != before {
		t.Errorf("counted %+v, want %+v", after, before)
	}
}
