package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// hasty shortens the patience of an exporter's streams.
func hasty(e *Exporter, more ...func(*patience)) {
	for _, d := range e.destinations {
		if s, ok := d.(*stream); ok {
			s.patience.backoff, s.patience.longest = 10*time.Millisecond, 100*time.Millisecond
			s.patience.drain, s.patience.goodbye, s.patience.write = 20*time.Second, 10*time.Second, 500*time.Millisecond
			s.patience.settleTLS, s.patience.complain = 50*time.Millisecond, 0
			for _, f := range more {
				f(&s.patience)
			}
		}
	}
}

// open makes an exporter whose streams are not patient.
func open(t *testing.T, cfg Config, more ...func(*patience)) *Exporter {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	cfg = cfg.withDefaults()
	e := &Exporter{cfg: cfg, version: versions[cfg.Protocol], balance: cfg.Balance}
	if err := e.open(&cfg); err != nil {
		t.Fatal(err)
	}
	hasty(e, more...)
	for _, d := range e.destinations {
		d.start()
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// numbered is a flow of so many packets: its number.
func numbered(i int) *netflow.Record {
	return &netflow.Record{
		IPVersion: 4, Proto: netflow.ProtoUDP, SrcAddr: netflow.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), DstAddr: netflow.AddrFrom4([4]byte{192, 0, 2, 1}),
		SrcPort: 1024, DstPort: 53, Packets: uint64(i), Bytes: 100, Start: second, End: 2 * second,
	}
}

func give(t *testing.T, e *Exporter, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := e.Export(second, numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// finish closes an exporter and checks that its figures add up.
func finish(t *testing.T, e *Exporter) Stats {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	s := e.Stats()
	balanced(t, s, e.balance)
	for _, d := range s.Destinations {
		if d.Buffered != (Tally{}) && d.Stream {
			t.Errorf("%s: %+v buffered at the end", d.Destination, d.Buffered)
		}
	}
	return s
}

func balanced(t *testing.T, s Stats, balance string) {
	t.Helper()
	var sum Tally
	for _, d := range s.Destinations {
		of := d.Exported
		of.add(d.Buffered)
		of.add(d.TotalLost().Tally)
		of.add(s.NotCarried())
		if sum.add(of); balance == "none" && of != s.Given {
			t.Errorf("%s: %+v given, %+v accounted for", d.Destination, s.Given, of)
		}
	}
	if balance != "none" && sum != s.Given {
		t.Errorf("%+v given, %+v accounted for in all", s.Given, sum)
	}
}

func TestTCP(t *testing.T) {
	s := startServer(t, "127.0.0.1:0", nil).run()
	e := open(t, Config{Destinations: []string{"tcp://" + s.addr()}, Sampling: 10})
	const n = 5000
	give(t, e, 1, n)
	if err := e.Flush(second); err != nil {
		t.Fatal(err)
	}
	s.wait("all flows after a flush", func(c serverCounts) bool { return c.flows == n-1 })
	stats := finish(t, e)
	s.wait("the end", func(c serverCounts) bool { return c.closed == 1 })
	c, d := s.counts(), stats.Destinations[0]
	if c.conns != 1 || c.options != 1 || c.cut != 0 || len(c.seen) != n-1 {
		t.Errorf("the collector has %d connections, %d options, %d cut messages, %d different flows", c.conns, c.options, c.cut, len(c.seen))
	}
	if d.Exported != (Tally{n - 1, c.packets, c.bytes}) || d.Datagrams != uint64(c.messages) || d.Records != n-1 || d.Connections != 1 {
		t.Errorf("the collector has %d messages, %d packets, %d bytes; the figures are %+v", c.messages, c.packets, c.bytes, d)
	}
}

// TestSilentCollector: one that reads all but never closes its side is not waited for long, and what it acknowledged is
// not in doubt.
func TestSilentCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	end := make(chan struct{})
	defer close(end)
	go func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(io.Discard, c)
			<-end
			c.Close()
		}
	}()
	e := open(t, Config{Destinations: []string{"tcp://" + l.Addr().String()}}, func(p *patience) { p.goodbye = 500 * time.Millisecond })
	give(t, e, 0, 1000)
	d := finish(t, e).Destinations[0]
	if d.Exported.Flows != 1000 || d.Unconfirmed.Flows != 0 {
		t.Errorf("%d flows exported, %d unconfirmed", d.Exported.Flows, d.Unconfirmed.Flows)
	}
}

// What is left at the end is sent without a flush too.
func TestCloseDrains(t *testing.T) {
	s := startServer(t, "127.0.0.1:0", nil)
	s.pause = time.Millisecond
	s.run()
	e := open(t, Config{Destinations: []string{"tcp://" + s.addr()}})
	give(t, e, 0, 3000)
	stats := finish(t, e)
	if c := s.counts(); c.flows != 3000 || c.closed != 1 || stats.Destinations[0].Exported.Flows != 3000 {
		t.Errorf("%d flows arrived, %d connections closed: %+v", c.flows, c.closed, stats.Destinations[0])
	}
}

// unread is the bytes that the collector of the tests may have received and not read when it is killed: the receive buffer
// that it asks for, which Linux doubles.
const unread = 2 * receiveBuffer

// TestRestart kills the collector again and again amid the stream. What it misses is at most what is counted as lost or
// unconfirmed, and what it had not read.
func TestRestart(t *testing.T) {
	first := startServer(t, "127.0.0.1:0", nil).run()
	addr := first.addr()
	e := open(t, Config{Destinations: []string{"tcp://" + addr}, QueueFlows: 1000, Wait: 10 * time.Second})
	const rounds, each = 5, 20_000
	seen := map[uint64]int{}
	var received serverCounts
	collect := func(s *server) {
		c := s.counts()
		received.conns += c.conns
		received.templates += c.templates
		received.flows += c.flows
		for k, v := range c.seen {
			seen[k] += v
		}
	}
	s := first
	for round := range rounds {
		done := make(chan struct{})
		go func() { give(t, e, round*each, (round+1)*each); close(done) }()
		s.wait("half of the flows", func(c serverCounts) bool { return c.flows > each/2 })
		s.kill()
		collect(s)
		time.Sleep(20 * time.Millisecond)
		s = startServer(t, addr, nil).run()
		<-done
		s.wait("the connection", func(c serverCounts) bool { return c.templates > 0 })
		e.Flush(second)
	}
	stats := finish(t, e)
	s.kill()
	collect(s)
	d := stats.Destinations[0]
	for k, v := range seen {
		if v > 1 {
			t.Fatalf("flow %d arrived %d times", k, v)
		}
	}
	if d.Connections < rounds+1 || received.templates < received.conns*20 {
		t.Errorf("%d connections, want more than %d; %d templates over %d connections", d.Connections, rounds, received.templates, received.conns)
	}
	lost := d.TotalLost().Flows
	missing := int(rounds*each) - received.flows
	unconfirmed := int(d.Unconfirmed.Flows)
	bound := unconfirmed + rounds*unread/59 // bytes of the least record
	if lost != 0 || missing < 0 || missing > bound {
		t.Errorf("%d flows are missing, %d counted as lost, %d unconfirmed, want none, and at most %d missing", missing, lost, unconfirmed, bound)
	}
	if runtime.GOOS == "linux" && unconfirmed > rounds*2*sendBuffer/59 {
		t.Errorf("%d flows unconfirmed: more than the send buffer holds", unconfirmed)
	}
	if int(d.Exported.Flows)-received.flows != missing-int(lost) {
		t.Errorf("%d exported and %d received, but %d missing and %d lost", d.Exported.Flows, received.flows, missing, lost)
	}
	t.Logf("%d connections, %d flows given, %d missing, %d unconfirmed, bound %d", d.Connections, rounds*each, missing, unconfirmed, bound)
}

// TestSlowCollector: metering goes on, the queue stays at its bound, what finds it full is counted.
func TestSlowCollector(t *testing.T) {
	s := startServer(t, "127.0.0.1:0", nil)
	s.stall = make(chan struct{})
	s.run()
	e := open(t, Config{Destinations: []string{"tcp://" + s.addr()}, QueueFlows: 500})
	stream := e.destinations[0].(*stream)
	began, given := time.Now(), 0
	for lost := uint64(0); lost == 0; given += 1000 { // until all buffers are full
		give(t, e, given, given+1000)
		lost = stream.snapshot().Lost[FaultQueueFull].Flows
		if given > 3e6 {
			t.Fatal("no queue was ever full")
		}
	}
	full := time.Now()
	give(t, e, given, given+100_000)
	given += 100_000
	if took := time.Since(full); took > 5*time.Second {
		t.Errorf("100,000 flows took %v with the queue full, after %v", took, full.Sub(began))
	}
	e.Flush(second)
	d := e.Stats().Destinations[0]
	if d.Buffered.Flows > 500 {
		t.Errorf("%d flows are buffered, want at most 500", d.Buffered.Flows)
	}
	balanced(t, e.Stats(), "none")
	close(s.stall)
	stats := finish(t, e)
	d = stats.Destinations[0]
	if d.Lost[FaultQueueFull].Flows == 0 || d.Given().Flows != uint64(given) {
		t.Errorf("%+v", d)
	}
	if c := s.counts(); d.Connections == 1 && uint64(c.flows) != d.Exported.Flows {
		t.Errorf("%d flows arrived, %d were exported", c.flows, d.Exported.Flows)
	}
}

// TestWriteDeadline: a collector that takes nothing at all is left, and connected to again; nothing of the queue is lost by that.
func TestWriteDeadline(t *testing.T) {
	s := startServer(t, "127.0.0.1:0", nil)
	s.stall = make(chan struct{})
	s.run()
	e := open(t, Config{Destinations: []string{"tcp://" + s.addr()}, QueueFlows: 100})
	st := e.destinations[0].(*stream)
	for i := 0; st.snapshot().Errors[FaultBlocked] == 0; i++ {
		give(t, e, i, i+1)
		if i > 3e6 {
			t.Fatal("no deadline")
		}
		if i%1000 == 0 && st.snapshot().Lost[FaultQueueFull].Flows > 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	close(s.stall)
	finish(t, e)
}

// TestWaitIsBounded: reading files waits for the collector, but not for ever, and not once for each flow.
func TestWaitIsBounded(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	const wait = 300 * time.Millisecond
	e := open(t, Config{Destinations: []string{"tcp://" + dead.Addr().String()}, QueueFlows: 100, Wait: wait},
		func(p *patience) { p.drain = 200 * time.Millisecond })
	began := time.Now()
	give(t, e, 0, 10_000)
	if took := time.Since(began); took < wait || took > 20*wait {
		t.Errorf("took %v, want a little more than %v", took, wait)
	}
	began = time.Now()
	s := finish(t, e)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	d := s.Destinations[0]
	if d.Lost[FaultUnsent].Flows != 100 || d.Lost[FaultQueueFull].Flows != 9900 || d.Errors[FaultRefused] == 0 || d.Errors[FaultRefused] > 100 {
		t.Errorf("lost %+v, errors %v", d.Lost, d.Errors)
	}
}

// TestAcceptsOnlyToClose: a proxy with nothing behind it swallows no flows.
func TestAcceptsOnlyToClose(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	e := open(t, Config{Destinations: []string{"tcp://" + l.Addr().String()}}, func(p *patience) { p.drain, p.settle = 50*time.Millisecond, 10*time.Second })
	give(t, e, 0, 1000)
	e.Flush(second)
	for st := e.destinations[0].(*stream); st.snapshot().Errors[FaultClosed] < 3; {
		time.Sleep(5 * time.Millisecond)
	}
	d := finish(t, e).Destinations[0]
	if d.Exported.Flows != 0 || d.Lost[FaultUnsent].Flows != 1000 || d.Errors[FaultClosed] < 2 {
		t.Errorf("%+v", d)
	}
}

// TestNameChange: a name that moves is followed, over UDP and TCP, in both address families, and questions are few.
func TestNameChange(t *testing.T) {
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			var hosts atomic.Pointer[[]netip.Addr]
			var questions atomic.Int64
			point := func(to ...string) {
				var addrs []netip.Addr
				for _, a := range to {
					addrs = append(addrs, netip.MustParseAddr(a))
				}
				hosts.Store(&addrs)
			}
			point("127.0.0.1")
			one := startServer(t, "127.0.0.1:0", nil).run()
			_, port, _ := net.SplitHostPort(one.addr())
			if l, err := net.Listen("tcp", "[::1]:"+port); err != nil {
				t.Skip(err)
			} else {
				l.Close()
			}
			two := startServer(t, "[::1]:"+port, nil).run()
			udp := map[string]*net.UDPConn{}
			for _, a := range []string{"127.0.0.1", "::1"} {
				c, err := net.ListenPacket("udp", net.JoinHostPort(a, port))
				if err != nil {
					t.Skip(err)
				}
				defer c.Close()
				udp[a] = c.(*net.UDPConn)
			}
			cfg := Config{Destinations: []string{transport + "://collector.example:" + port}, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
				questions.Add(1)
				if host != "collector.example" {
					return nil, fmt.Errorf("asked for %s", host)
				}
				if a := *hosts.Load(); len(a) > 0 {
					return a, nil
				}
				return nil, errors.New("no server answers")
			}}
			cfg = cfg.withDefaults()
			e := &Exporter{version: versions["ipfix"], balance: "none"}
			if err := e.open(&cfg); err != nil {
				t.Fatal(err)
			}
			hasty(e)
			quick := func(r *resolver) { r.every, r.again = 50*time.Millisecond, 20*time.Millisecond }
			switch d := e.destinations[0].(type) {
			case *stream:
				quick(d.resolver)
			case *destination:
				quick(d.resolver)
			}
			e.destinations[0].start()
			arrives := func(addr string, s *server, i int) {
				t.Helper()
				if transport == "udp" {
					udp[addr].SetReadDeadline(time.Now().Add(5 * time.Second))
					if n, err := udp[addr].Read(make([]byte, 2000)); err != nil || n < 70 {
						t.Fatalf("%d bytes at %s, %v", n, addr, err)
					}
					return
				}
				s.wait("a flow", func(c serverCounts) bool { return c.seen[uint64(i)] == 1 })
			}
			send := func(i int) { give(t, e, i, i+1); e.Flush(second) }
			send(1)
			arrives("127.0.0.1", one, 1)
			point() // the name server is away: nothing changes
			time.Sleep(120 * time.Millisecond)
			send(2)
			arrives("127.0.0.1", one, 2)
			point("::1")
			time.Sleep(120 * time.Millisecond)
			one.kill()
			for i := 3; e.Stats().Destinations[0].Remote != "[::1]:"+port; i++ {
				if i > 500 {
					t.Fatalf("still at %s", e.Stats().Destinations[0].Remote)
				}
				time.Sleep(10 * time.Millisecond)
				send(i)
			}
			send(1000)
			arrives("::1", two, 1000)
			finish(t, e)
			if n := questions.Load(); n > 200 {
				t.Errorf("%d questions", n)
			}
		})
	}
}

func TestRing(t *testing.T) {
	q := flowRing{bound: 1000}
	in, out := 0, 0
	for step := range 5000 {
		for n := step * 7 % 300; n > 0 && !q.full(); n-- {
			q.push(numbered(in))
			in++
		}
		n := min(q.len(), step*11%290)
		for i := range n {
			if got := q.at(i).Packets; got != uint64(out+i) {
				t.Fatalf("flow %d, want %d", got, out+i)
			}
		}
		q.drop(n)
		out += n
	}
	if q.len() != in-out || len(q.slots) > 1024 {
		t.Errorf("%d flows in %d slots, want %d", q.len(), len(q.slots), in-out)
	}
}
