package probe

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/dissect"
)

// fake is a live source that plays steps: a number of packets of as many flows, or 0 for a while without any.
type fake struct {
	steps []int
	sent  int // of the first step
	flow  uint32
	at    func() time.Time
	data  [28]byte
}

func (s *fake) Next(f *capture.Frame) error {
	if len(s.steps) == 0 {
		return io.EOF
	}
	if s.sent >= s.steps[0] {
		idle := s.steps[0] == 0
		s.steps, s.sent = s.steps[1:], 0
		if idle {
			return capture.ErrIdle
		}
		return s.Next(f)
	}
	s.sent++
	s.flow++
	s.data = [28]byte{0x45, 2: 0, 3: 28, 9: 17, 12: 10, 13: byte(s.flow >> 16), 14: byte(s.flow >> 8), 15: byte(s.flow), 25: 8}
	*f = capture.Frame{Time: netflow.TimestampOf(s.at()), WireLen: 60, Data: s.data[:], Interface: 3, Link: dissect.LinkRaw}
	return nil
}

func (s *fake) Stop()                {}
func (s *fake) Stats() capture.Stats { return capture.Stats{Dropped: 7} }
func (s *fake) Close() error         { return nil }

// fakeProbe is a live probe of a fake, its queue without an exporter.
func fakeProbe(t *testing.T, f *fake) (*Probe, *meter) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Interfaces = []string{"fake0"}
	cfg.Logger = slog.New(slog.DiscardHandler)
	q := newQueue()
	m, err := newMeter(&cfg, q)
	if err != nil {
		t.Fatal(err)
	}
	m.sources = []*sourceState{{origin: &origin{name: "fake0"}, source: f}}
	return &Probe{cfg: cfg, queue: q, meters: []*meter{m}}, m
}

// drain counts the flows of the queue, as the exporter would take them.
func drain(q *queue) (flows uint64) {
	for chunks := q.Take(nil); len(chunks) > 0; chunks = q.Take(chunks) {
		for _, c := range chunks {
			flows += uint64(len(c.flows))
			q.Release(c)
		}
	}
	return flows
}

// TestIdleInterface: without packets the clock of the machine ends flows and hands them on.
func TestIdleInterface(t *testing.T) {
	past := time.Now().Add(-time.Minute)
	p, m := fakeProbe(t, &fake{steps: []int{5, 0}, at: func() time.Time { return past }})
	if err := m.run(m.sources[0]); err != io.EOF && err != nil {
		t.Fatal(err)
	}
	s := p.Summary()
	if s.Flows.Idle != 5 || s.Flows.Held.Flows != 0 || s.Packets.Dropped != 7 || s.Sources[0].Dropped != 7 {
		t.Errorf("%+v %+v, want 5 idle flows", s.Flows, s.Packets)
	}
	p.queue.Close()
	if n := drain(p.queue); n != 5 {
		t.Errorf("%d flows in the queue, want 5", n)
	}
}

// TestQueueFull: a live meter does not wait for the exporter; it loses flows, and says so to the flow. At the end it waits.
func TestQueueFull(t *testing.T) {
	const flows = QueueFlows + 1000
	at := time.Now().Add(-time.Hour)
	p, m := fakeProbe(t, &fake{steps: []int{flows, 0, 10}, at: func() time.Time { return at }})
	_ = m.run(m.sources[0]) // with ErrIdle all flows are over, and nobody takes them
	s := p.Summary()
	lost := m.refused
	if lost.Flows < flows-QueueFlows || lost.Flows > flows-QueueFlows+2*chunkFlows || lost.Packets != lost.Flows || lost.Bytes != lost.Flows*28 {
		t.Errorf("lost %+v of %d flows, want what does not fit into %d", lost, flows, QueueFlows)
	}
	if s.Flows.Ended.Flows != flows {
		t.Errorf("%d flows ended, want %d", s.Flows.Ended.Flows, flows)
	}
	taken := make(chan uint64)
	go func() { taken <- drain(p.queue) }()
	m.flush()
	p.queue.Close()
	if n := <-taken; n+m.refused.Flows != flows+10 || m.refused != lost {
		t.Errorf("%d flows taken and %d lost, want %d in all and none lost at the end", n, m.refused.Flows, flows+10)
	}
}

// TestAllocations: a packet of a known flow allocates nothing.
func TestAllocations(t *testing.T) {
	at := time.Now()
	f := &fake{steps: []int{1 << 30}, at: func() time.Time { return at }}
	_, m := fakeProbe(t, f)
	var frame capture.Frame
	if n := testing.AllocsPerRun(10_000, func() {
		f.flow = 0
		_ = f.Next(&frame)
		m.take(m.sources[0], &frame)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// feed is a live source of frames at given times, which never come to an end of their own: the machine's clock is not used.
type feed struct {
	fake
	next func() (netflow.Timestamp, []byte, bool)
}

func (s *feed) Next(f *capture.Frame) error {
	at, data, ok := s.next()
	if !ok {
		return io.EOF
	}
	*f = capture.Frame{Time: at, WireLen: 60, Data: data, Interface: 3, Link: dissect.LinkEthernet}
	return nil
}

// TestIdleFlowLeaves: whatever comes from the interface, a flow is on its way to the collectors two seconds after its
// timeout, in the time of the packets, and flows do not leave in bursts.
func TestIdleFlowLeaves(t *testing.T) {
	const flows, spread = 2000, 20 * second // flows of one packet in the first seconds
	arp := make([]byte, 60)
	arp[12], arp[13] = 8, 6
	udp := func(n int) []byte {
		b := make([]byte, 60)
		copy(b[12:], []byte{8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, byte(n >> 8), byte(n), 192, 0, 2, 1, 4, 0, 0, 53, 0, 8})
		return b
	}
	for name, c := range map[string]struct {
		after  netflow.Timestamp // between the frames behind them
		frame  []byte
		sample string
	}{
		"one flow that goes on, slowly": {after: 90_000, frame: udp(1 << 15)}, // never idle long enough for the machine's clock
		"one flow that goes on, fast":   {after: 100, frame: udp(1 << 15)},
		"not IP":                        {after: 50_000, frame: arp},
		"hardly any is sampled":         {after: 1000, frame: udp(1 << 15), sample: "100000"},
		"no flow is sampled":            {after: 20_000, frame: udp(1 << 15), sample: "hash:4294967295"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &feed{}
			p, m := fakeProbe(t, &f.fake)
			m.sources[0].source = f
			const begin = 1_700_000_000 * second
			at := netflow.Timestamp(begin)
			i := 0
			f.next = func() (netflow.Timestamp, []byte, bool) {
				if i++; i <= flows {
					at += spread / flows
					return at, udp(i), true
				}
				if i == flows+1 && c.sample != "" {
					s, _ := ParseSample(c.sample)
					m.sampler, m.flows = newSampler(&s), newFlowSampler(&s)
				}
				at += c.after
				return at, c.frame, at < begin+40*second
			}
			var late, burst netflow.Timestamp
			seen := 0
			var inSecond [60]int
			done := make(chan struct{})
			go func() {
				defer close(done)
				for chunks := p.queue.Take(nil); len(chunks) > 0; chunks = p.queue.Take(chunks) {
					for _, chunk := range chunks {
						for j := range chunk.flows {
							r := &chunk.flows[j]
							if r.SrcAddr[14]&0x80 != 0 || r.EndReason != netflow.EndReasonIdle {
								continue
							}
							seen++
							late = max(late, chunk.now-r.End-15*second)
							inSecond[(chunk.now-begin)/second%60]++
						}
						p.queue.Release(chunk)
					}
				}
			}()
			if err := m.run(m.sources[0]); err != nil {
				t.Fatal(err)
			}
			m.flush()
			p.queue.Close()
			<-done
			for _, n := range inSecond {
				burst = max(burst, netflow.Timestamp(n))
			}
			if late > 2*second || seen < flows-1 {
				t.Errorf("%d of %d flows left, at most %d µs after their timeout, want 2 s", seen, flows, late)
			}
			if want := netflow.Timestamp(flows/int(spread/second)) * 5 / 2; burst > want {
				t.Errorf("%d flows left in a second, want at most %d", burst, want)
			}
		})
	}
}
