package flowcache_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// trace is synthetic traffic: Ethernet frames cut to what a meter captures, 80 bytes on average, one IPv6 packet in ten.
// About 200,000 flows are alive at a time; which one a packet belongs to follows Zipf's law, and flows come and go.
type trace struct {
	frames []byte // back to back
	ends   []uint32
	times  []netflow.Timestamp
}

const (
	traceFlows   = 200_000
	tracePackets = 1 << 20
)

var makeTrace = sync.OnceValue(func() *trace {
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.05, 30, traceFlows-1)
	t := &trace{frames: make([]byte, 0, tracePackets*84)}
	born := make([]uint32, traceFlows) // generation of the flow in each place
	for i := range tracePackets {
		var place uint64
		if i%2 == 0 {
			place = zipf.Uint64()
		} else {
			place = uint64(rng.IntN(traceFlows))
		}
		if rng.IntN(32) == 0 {
			born[place]++
		}
		id := place*0x9e3779b97f4a7c15 + uint64(born[place])*0xd1b54a32d192ed03
		t.frames = appendFrame(t.frames, id, id%10 == 0)
		t.ends = append(t.ends, uint32(len(t.frames)))
		t.times = append(t.times, 1_700_000_000_000_000+netflow.Timestamp(i)*8) // 125,000 packets/s
	}
	return t
})

// appendFrame appends the frame of a packet of flow id.
func appendFrame(b []byte, id uint64, v6 bool) []byte {
	b = append(b, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"...)
	proto := byte(netflow.ProtoTCP)
	if id>>8%4 == 0 {
		proto = netflow.ProtoUDP
	}
	if v6 {
		b = append(b, "\x86\xdd\x60\x00\x00\x00\x05\x00"...)
		b = append(b, proto, 64)
		b = append(b, "\x20\x01\x0d\xb8\x00\x00\x00\x00"...)
		b = binary.BigEndian.AppendUint64(b, id)
		b = append(b, "\x20\x01\x0d\xb8\x00\x01\x00\x00\x00\x00\x00\x00"...)
		b = binary.BigEndian.AppendUint32(b, uint32(id>>40))
	} else {
		b = append(b, "\x08\x00\x45\x00\x05\x00\x12\x34\x00\x00\x40"...)
		b = append(b, proto, 0, 0, 10)
		b = append(b, byte(id), byte(id>>8), byte(id>>16), 172, 16)
		b = binary.BigEndian.AppendUint16(b, uint16(id>>48))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(id>>24))
	b = binary.BigEndian.AppendUint16(b, uint16(id>>32)%1000)
	b = append(b, "\x00\x00\x00\x01\x00\x00\x00\x02\x50\x10\xff\xff\x00\x00\x00\x00"...)
	return append(b, "........................"...) // options and the first data
}

func (t *trace) frame(i int) []byte {
	i %= tracePackets
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.frames[start:t.ends[i]]
}

// time goes on when the trace repeats.
func (t *trace) time(i int) netflow.Timestamp {
	return t.times[i%tracePackets] + netflow.Timestamp(i/tracePackets)*tracePackets*8
}

func newCache(tb testing.TB, cfg flowcache.Config) *flowcache.Cache {
	tb.Helper()
	c, err := flowcache.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func report(b *testing.B, c *flowcache.Cache) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(c.Stats().PeakFlows), "flows")
}

// warm fills a cache with the trace once.
func warm(b *testing.B, t *trace, cfg flowcache.Config) *flowcache.Cache {
	c := newCache(b, cfg)
	var p dissect.Packet
	for i := range tracePackets {
		dissect.Dissect(dissect.LinkEthernet, t.frame(i), 1294, &p)
		c.Add(t.time(i), 1, &p, func(*netflow.Record) {})
	}
	return c
}

// BenchmarkDissect reads the frames of the trace.
func BenchmarkDissect(b *testing.B) {
	t := makeTrace()
	var p dissect.Packet
	i := 0
	for b.Loop() {
		dissect.Dissect(dissect.LinkEthernet, t.frame(i), 1294, &p)
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

// BenchmarkAdd dissects and counts packet by packet.
func BenchmarkAdd(b *testing.B) {
	t := makeTrace()
	c := warm(b, t, flowcache.DefaultConfig())
	emit := func(*netflow.Record) {}
	var p dissect.Packet
	i := tracePackets
	for b.Loop() {
		dissect.Dissect(dissect.LinkEthernet, t.frame(i), 1294, &p)
		c.Add(t.time(i), 1, &p, emit)
		i++
	}
	report(b, c)
}

// BenchmarkAddBatch dissects and counts in batches; an operation is a packet.
func BenchmarkAddBatch(b *testing.B) { benchmarkAddBatch(b, flowcache.DefaultConfig()) }

// The same with what is kept on request.
func BenchmarkAddBatchDetails(b *testing.B) {
	benchmarkAddBatch(b, flowcache.Config{TCPExpiry: true, Details: true})
}

func BenchmarkAddBatchTCPMetrics(b *testing.B) {
	benchmarkAddBatch(b, flowcache.Config{TCPExpiry: true, TCPMetrics: true})
}

func BenchmarkAddBatchBiflow(b *testing.B) {
	benchmarkAddBatch(b, flowcache.Config{TCPExpiry: true, Biflow: true})
}

func benchmarkAddBatch(b *testing.B, cfg flowcache.Config) {
	t := makeTrace()
	c := warm(b, t, cfg)
	emit := func(*netflow.Record) {}
	var batch [flowcache.BatchSize]flowcache.Packet
	n := 0
	i := tracePackets
	for b.Loop() {
		p := &batch[n]
		if dissect.Dissect(dissect.LinkEthernet, t.frame(i), 1294, &p.Packet) == dissect.OK {
			p.Time, p.Input = t.time(i), 1
			n++
		}
		if n == len(batch) {
			c.AddBatch(batch[:], emit)
			n = 0
		}
		i++
	}
	report(b, c)
}

// BenchmarkFlood adds packets to a full table, each of a flow of its own: every one of them evicts a flow. Between them
// run packets of flows that stay and must be passed over.
func BenchmarkFlood(b *testing.B) {
	c := newCache(b, flowcache.Config{MaxFlows: 1 << 18})
	var batch [flowcache.BatchSize]flowcache.Packet
	emit := func(*netflow.Record) {}
	i := 0
	packet := func() {
		p := &batch[i%len(batch)]
		*p = flowcache.Packet{Time: netflow.Timestamp(i)}
		p.IPVersion, p.Proto, p.IPBytes = 4, netflow.ProtoUDP, 60
		if i%2 == 0 {
			p.Src = netflow.AddrFrom4([4]byte{192, 0, byte(i >> 9), byte(i >> 1)}) // 65,536 that stay
		} else {
			binary.BigEndian.PutUint64(p.Src[:], uint64(i))
		}
		if i++; i%len(batch) == 0 {
			c.AddBatch(batch[:], emit)
		}
	}
	for range 1 << 20 {
		packet()
	}
	before := c.Stats()
	for b.Loop() {
		packet()
	}
	s := c.Stats()
	report(b, c)
	b.ReportMetric(float64(s.Evicted-before.Evicted)/float64(b.N), "evicted/packet")
}
