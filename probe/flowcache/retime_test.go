package flowcache_test

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// TestSetTimeouts: with timeouts that change again and again no packet is lost, no flow lasts longer than the longest of them
// allows, and none is forgotten in the wheel.
func TestSetTimeouts(t *testing.T) {
	timeouts := []time.Duration{5 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second, 40 * time.Second, 1000 * time.Hour}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		cfg := flowcache.Config{MaxFlows: 400, Active: 20 * time.Second, Inactive: 3 * time.Second, TCPExpiry: true, Biflow: seed%2 == 1}
		pkts := traffic(rng, 10_000, 1+rng.IntN(1000), []netflow.Timestamp{1, 100, 5_000, 50_000}[seed%4])
		c := newCache(t, cfg)
		want, got := map[flowID]uint64{}, map[flowID]uint64{}
		emit := func(r *netflow.Record) {
			p := flowcache.Packet{Packet: dissect.Packet{Src: r.SrcAddr, Dst: r.DstAddr, SrcPort: r.SrcPort, DstPort: r.DstPort,
				Proto: r.Proto, TOS: r.TOS, IPVersion: r.IPVersion}, Input: r.Input}
			got[defaultID(&p)] += r.Bytes + r.ReverseBytes
		}
		var now netflow.Timestamp
		for i := range pkts {
			want[defaultID(&pkts[i])] += uint64(pkts[i].IPBytes)
			now = max(now, pkts[i].Time)
			c.AddBatch(pkts[i:i+1], emit)
			if rng.IntN(200) != 0 {
				continue
			}
			cfg.Active, cfg.Inactive, cfg.TCPExpiry = timeouts[rng.IntN(len(timeouts))], timeouts[rng.IntN(len(timeouts))], rng.IntN(2) == 0
			if err := c.SetTimeouts(cfg.Active, cfg.Inactive, cfg.TCPExpiry); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(10) == 0 {
				now += netflow.Timestamp(min(cfg.Active, cfg.Inactive).Microseconds()) + 300e6 // the longest tick, and those that are ending
				c.Expire(now, emit)
				if s := c.Stats(); s.Flows != 0 {
					t.Fatalf("seed %d: %d flows are held that nothing was seen of for longer than %v", seed, s.Flows, min(cfg.Active, cfg.Inactive))
				}
			}
		}
		c.Flush(emit)
		if s := c.Stats(); !cfg.Biflow && !maps.Equal(got, want) || s.EmittedBytes != s.Bytes || s.Flows != 0 || s.EmittedPackets != uint64(len(pkts)) {
			t.Fatalf("seed %d: bytes by flow differ; %+v", seed, s)
		}
	}
}

// TestSetTimeoutsIdle: a flow that has been idle for longer than the new timeout leaves at once, and one that has not stays.
func TestSetTimeoutsIdle(t *testing.T) {
	m := newMeter(t, flowcache.Config{MaxFlows: 10, Active: time.Hour, Inactive: time.Hour, TCPExpiry: true})
	m.tcp(10e6, 1, 0)
	m.tcp(18e6, 2, 0)
	m.tcp(20e6, 3, netflow.TCPFin)
	if err := m.SetTimeouts(time.Hour, 5*time.Second, true); err != nil {
		t.Fatal(err)
	}
	m.Expire(epoch+20.2e6, m.emit)
	m.want("soon", "1 1 1")
	m.Expire(epoch+22e6, m.emit)
	m.want("the ending", "3 1 3")
	m.Expire(epoch+24e6, m.emit)
	m.want("then", "2 1 1")
	if err := m.SetTimeouts(time.Nanosecond, time.Second, true); err == nil {
		t.Error("a timeout of a nanosecond: no complaint")
	}
}

func BenchmarkSetTimeouts(b *testing.B) {
	c, err := flowcache.New(flowcache.Config{MaxFlows: 1 << 20, Active: time.Hour, Inactive: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	pkts := traffic(rand.New(rand.NewPCG(1, 1)), 400_000, 200_000, 1)
	c.AddBatch(pkts, func(*netflow.Record) {})
	held := c.Stats().Flows
	for b.Loop() {
		if err := c.SetTimeouts(time.Hour, time.Minute, false); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/float64(held), "ns/flow")
}
