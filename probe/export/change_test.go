package export

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
)

// counted is a collector over UDP that adds up the packets of the flows it gets, and checks sequence numbers.
type counted struct {
	conn *net.UDPConn
	done chan struct{}

	packets, datagrams uint64
	templates          int
	gaps               int
}

func count(t *testing.T) *counted {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(8 << 20)
	c := &counted{conn: conn, done: make(chan struct{})}
	t.Cleanup(func() { conn.Close() })
	go func() {
		defer close(c.done)
		domain := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, netflow.VersionIPFIX)
		batch := netflow.NewBatch(2000)
		next := uint32(0)
		for b := make([]byte, 1<<16); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			var report template.Report
			batch.Reset()
			if err := ipfix.Decode(batch, domain, b[:n], &report); err != nil || !report.Complete() {
				c.gaps++
			}
			c.datagrams++
			if n > 20 && b[16] == 0 && b[17] == 2 {
				c.templates++
			}
			for i := range batch.Len() {
				c.packets += batch.Record(i).Packets
			}
			if seq := uint32(b[8])<<24 | uint32(b[9])<<16 | uint32(b[10])<<8 | uint32(b[11]); seq != next && seq != 0 {
				c.gaps++
			} else {
				next = seq + uint32(batch.Len())
			}
		}
	}()
	return c
}

func (c *counted) stop() {
	c.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-c.done
}

func (c *counted) address() string { return c.conn.LocalAddr().String() }

// TestChange: collectors come and go; each gets every flow of its time, once, and the sums hold.
func TestChange(t *testing.T) {
	one, two, three := count(t), count(t), count(t)
	cfg := Config{Destinations: []string{one.address(), two.address()}, TemplatePackets: 1 << 30, TemplateEvery: time.Hour}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var given, forTwo, forThree uint64
	n := 1
	give := func(withTwo, withThree bool) {
		for range 500 {
			r := numbered(n)
			n++
			if err := e.Export(r.End, r); err != nil {
				t.Fatal(err)
			}
			given += r.Packets
			if withTwo {
				forTwo += r.Packets
			}
			if withThree {
				forThree += r.Packets
			}
		}
		check(t, e)
	}
	change := func(to ...*counted) {
		t.Helper()
		cfg.Destinations = nil
		for _, c := range to {
			cfg.Destinations = append(cfg.Destinations, c.address())
		}
		c, err := e.Prepare(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.Apply(2*second, c)
		if err := c.Finish(); err != nil {
			t.Fatal(err)
		}
		check(t, e)
	}
	give(true, false)
	change(one, three) // two goes, three comes
	give(false, true)
	change(three, two, one) // two comes back
	give(true, true)
	change(two, one)
	give(true, false)
	change(three, one)
	give(false, true)

	// What cannot be opened changes nothing.
	bad := cfg
	bad.Destinations = []string{"127.0.0.1:9", "tls://127.0.0.1:10"}
	bad.TLS = TLS{Cert: "a", Key: "b"}
	if _, err := e.Prepare(bad); err == nil {
		t.Error("no certificate, and no error")
	}
	bad.Destinations, bad.TLS = nil, TLS{}
	if _, err := e.Prepare(bad); err == nil {
		t.Error("no destination, and no error")
	}
	give(false, true)

	// Templates, and a rate.
	before := one.templates
	cfg.TemplatePackets, cfg.MaxRate = 1, 5000
	change(one, three)
	if i := e.destinations[0].(*destination).pacer.interval; i != time.Second/5000 {
		t.Errorf("%v between datagrams, with at most 5000 a second", i)
	}
	give(false, true)
	if err := e.Flush(2 * second); err != nil {
		t.Fatal(err)
	}
	check(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for i, c := range []*counted{one, two, three} {
		c.stop()
		if want := []uint64{given, forTwo, forThree}[i]; c.packets != want || c.gaps != 0 {
			t.Errorf("collector %d: packets %d, want %d; %d gaps or faults", i+1, c.packets, want, c.gaps)
		}
	}
	if one.templates < before+5 {
		t.Errorf("%d templates, and then with every datagram %d", before, one.templates)
	}
	s := e.Stats()
	if len(s.Destinations) != 3 || !s.Destinations[1].Removed || s.Destinations[0].Removed || s.Destinations[2].Removed {
		t.Errorf("%+v", s.Destinations)
	}
}

// check wants every flow to be accounted for, at every destination.
func check(t *testing.T, e *Exporter) {
	t.Helper()
	e.publish()
	s := e.Stats()
	for _, d := range s.Destinations {
		sum := d.Given()
		sum.add(d.Missed)
		sum.add(s.NotCarried())
		if sum != s.Given {
			t.Fatalf("%s: %+v of %+v given: %+v", d.Destination, sum, s.Given, d)
		}
	}
}

// TestChangeStream: a collector over TCP that is removed gets what it had been given, and one that stays keeps its connection.
func TestChangeStream(t *testing.T) {
	one, two := listenTCP(t), listenTCP(t)
	cfg := Config{Destinations: []string{"tcp://" + one.Addr().String(), "tcp://" + two.Addr().String()}}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	give(t, e, 0, 300)
	cfg.Destinations = cfg.Destinations[:1]
	c, err := e.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.Apply(2*second, c)
	finished := make(chan error, 1)
	go func() { finished <- c.Finish() }()
	give(t, e, 300, 400)
	check(t, e)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	_ = e.Flush(2 * second)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, e)
	s := e.Stats().Destinations
	if s[0].Connections != 1 || s[1].Connections != 1 || s[0].Exported.Flows != 400 || s[1].Exported.Flows != 300 || s[1].Missed.Flows != 100 {
		t.Errorf("%+v", s)
	}
	if !slices.Equal([]bool{s[0].Removed, s[1].Removed}, []bool{false, true}) {
		t.Errorf("%+v", s)
	}
}

// listenTCP accepts connections, and reads them to their end.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for b := make([]byte, 4096); ; {
					if _, err := conn.Read(b); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l
}
