package flowcache_test

import (
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// TestCorpora meters every capture without timeouts: the flows must be as many as independent tools count. The
// destination port of ICMP is type and code in our records, and so in the key.
func TestCorpora(t *testing.T) {
	for _, c := range dissecttest.Captures(t) {
		cache := newCache(t, flowcache.Config{MaxFlows: 20_000, Key: flowcache.KeyFiveTuple, Active: 25e5 * time.Hour, Inactive: 25e5 * time.Hour})
		var batch [flowcache.BatchSize]flowcache.Packet
		var flows, packets, bytes uint64
		emit := func(r *netflow.Record) {
			flows++
			packets += r.Packets
			bytes += r.Bytes
			if r.Start > r.End || r.EndReason != netflow.EndReasonForced {
				t.Errorf("%s: %+v", c.Name, *r)
			}
		}
		n := 0
		c.Each(t, func(f pcapfile.Frame) {
			p := &batch[n]
			if dissect.Dissect(dissect.LinkType(f.LinkType), f.Data, f.WireLen, &p.Packet) != dissect.OK {
				return
			}
			p.Time, p.Input = netflow.Timestamp(f.Time/1000), f.Interface
			if n++; n == len(batch) {
				cache.AddBatch(batch[:], emit)
				n = 0
			}
		})
		cache.AddBatch(batch[:n], emit)
		cache.Flush(emit)
		want := c.Expected
		if got := cache.Stats(); got.Packets != packets || got.Bytes != bytes || got.Flows != 0 {
			t.Errorf("%s: %d packets, %d bytes came out: %+v", c.Name, packets, bytes, got)
		}
		if packets != uint64(want.IPv4+want.IPv6) || bytes != want.IPBytes || flows != uint64(want.Flows.ICMP) {
			report := t.Errorf
			if c.Malformed {
				report = t.Logf
			}
			report("%s: %d packets, %d bytes, %d flows; want %d, %d, %d", c.Name, packets, bytes, flows,
				want.IPv4+want.IPv6, want.IPBytes, want.Flows.ICMP)
		}
	}
}
