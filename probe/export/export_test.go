package export_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/export"
)

var protocols = []string{"ipfix", "v9", "v5", "v1"}

var present = netflow.TimestampOf(time.Date(2026, 11, 21, 16, 0, 0, 123456e3, time.UTC))

// collector keeps the datagrams that arrive at a port of the loopback.
type collector struct {
	conn      *net.UDPConn
	addr      string
	datagrams chan []byte
	sources   chan string
}

func listen(t testing.TB) *collector {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, conn)
}

func serve(t testing.TB, conn *net.UDPConn) *collector {
	c := &collector{conn, conn.LocalAddr().String(), make(chan []byte, 10000), make(chan string, 10000)}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadBuffer(8 << 20); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			buf := make([]byte, 65536)
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			c.datagrams <- buf[:n]
			c.sources <- from.String()
		}
	}()
	return c
}

// next waits for n datagrams.
func (c *collector) next(t testing.TB, n int) [][]byte {
	t.Helper()
	var got [][]byte
	for range n {
		select {
		case d := <-c.datagrams:
			got = append(got, d)
		case <-time.After(5 * time.Second):
			t.Fatalf("%d datagrams arrived, want %d", len(got), n)
		}
	}
	return got
}

func newExporter(t testing.TB, cfg export.Config) *export.Exporter {
	t.Helper()
	e, err := export.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// flow number i of a mixed bag: both families, TCP, UDP, ICMP, some with VLAN and MAC addresses, one to two years old.
func flow(i int) netflow.Record {
	r := netflow.Record{
		IPVersion: 4, Proto: [...]uint8{netflow.ProtoTCP, netflow.ProtoUDP, netflow.ProtoICMP}[i%3], TOS: uint8(i),
		SrcAddr: netflow.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), DstAddr: netflow.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
		Packets: uint64(1 + i%7), Bytes: uint64(100 + i), Input: uint32(1 + i%3), Output: 9, EndReason: netflow.EndReasonIdle,
		Start: present - netflow.Timestamp(20e6+i*1000), End: present - netflow.Timestamp(15e6+i*500),
	}
	if r.Proto == netflow.ProtoICMP {
		r.ICMPType, r.DstPort = 8, 8<<8
	} else {
		r.SrcPort, r.DstPort = uint16(1024+i), 443
	}
	if r.Proto == netflow.ProtoTCP {
		r.TCPFlags = netflow.TCPSyn | netflow.TCPAck
	}
	if i%5 == 0 {
		r.IPVersion, r.SrcAddr, r.DstAddr = 6, netflow.Addr{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}, netflow.Addr{0x20, 1, 0xd, 0xb8, 15: 1}
		if r.Proto == netflow.ProtoICMP {
			r.Proto, r.ICMPType, r.DstPort = netflow.ProtoICMPv6, 128, 128<<8
		}
	}
	if i%11 == 0 {
		r.VLAN, r.SrcMAC, r.DstMAC = 100, netflow.MAC{2, 0, 0, 0, 0, 1}, netflow.MAC{2, 0, 0, 0, 0, 2}
	}
	return r
}

func sum(t *testing.T, s export.Stats, d export.DestinationStats) {
	t.Helper()
	lost, not := d.TotalLost(), s.NotCarried()
	flows := not.Flows + d.Exported.Flows + lost.Flows + d.Buffered.Flows
	packets := not.Packets + d.Exported.Packets + lost.Packets + d.Buffered.Packets + s.Cut.Packets
	bytes := not.Bytes + d.Exported.Bytes + lost.Bytes + d.Buffered.Bytes + s.Cut.Bytes
	if flows != s.Given.Flows || packets != s.Given.Packets || bytes != s.Given.Bytes {
		t.Errorf("%s: given %+v, but accounted for %d flows, %d packets, %d bytes: %+v", d.Destination, s.Given, flows, packets, bytes, s)
	}
}

func TestEveryCollectorGetsEveryFlow(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			a, b := listen(t), listen(t)
			e := newExporter(t, export.Config{Destinations: []string{a.addr, b.addr}, Protocol: protocol, MTU: 600})
			const flows = 1000
			for i := range flows {
				r := flow(i)
				if err := e.Export(present, &r); err != nil {
					t.Fatal(err)
				}
				if i%10 == 0 {
					s := e.Stats()
					for _, d := range s.Destinations {
						sum(t, s, d)
					}
				}
			}
			if err := e.Flush(present); err != nil {
				t.Fatal(err)
			}
			s := e.Stats()
			if s.Given.Flows != flows {
				t.Errorf("given %d, want %d", s.Given.Flows, flows)
			}
			for i, c := range []*collector{a, b} {
				d := s.Destinations[i]
				sum(t, s, d)
				size, records := 0, 0
				for _, msg := range c.next(t, int(d.Datagrams)) {
					size += len(msg)
					if len(msg) > 600 {
						t.Errorf("a datagram of %d bytes, want at most 600", len(msg))
					}
					if protocol == "v5" || protocol == "v1" {
						records += int(binary.BigEndian.Uint16(msg[2:]))
					}
					if from := <-c.sources; from != d.Local {
						t.Errorf("a datagram from %s, want %s", from, d.Local)
					}
				}
				if d.Destination != c.addr || d.Remote != c.addr || d.Buffered.Flows != 0 || d.TotalLost().Flows != 0 || uint64(size) != d.DatagramBytes {
					t.Errorf("%d bytes arrived, sent was %+v", size, d)
				}
				switch protocol {
				case "v5", "v1": // every fifth flow is IPv6
					if records != flows*4/5 || d.Exported.Flows != flows*4/5 || s.IPv6.Flows != flows/5 {
						t.Errorf("%d records arrived, %d exported, %d not carried, want %d, %d, %d",
							records, d.Exported.Flows, s.IPv6.Flows, flows*4/5, flows*4/5, flows/5)
					}
				default:
					if d.Exported.Flows != flows || d.Records != flows {
						t.Errorf("exported %d flows in %d records, want %d", d.Exported.Flows, d.Records, flows)
					}
				}
			}
		})
	}
}

// Stats may be read at any time, and adds up at any time.
func TestStatsWhileExporting(t *testing.T) {
	a, b := listen(t), listen(t)
	e := newExporter(t, export.Config{Destinations: []string{a.addr, b.addr}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 5000 {
			r := flow(i)
			e.Export(present, &r)
		}
		e.Flush(present)
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		s := e.Stats()
		for _, d := range s.Destinations {
			sum(t, s, d)
		}
	}
}

// Hostile counters, two-way flows and flows without addresses add up too.
func TestFlowsThatDoNotFitAddUp(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			c := listen(t)
			e := newExporter(t, export.Config{Destinations: []string{c.addr}, Protocol: protocol})
			rnd := rand.New(rand.NewPCG(1, 2))
			var want struct{ split, uniflows, interfaces, as uint64 }
			for i := range 300 {
				r := flow(i)
				v4 := r.IPVersion == 4
				switch i % 6 {
				case 1:
					r.IPVersion = 0
					v4 = false
				case 2:
					r.Bytes, r.Packets = 1<<32+rnd.Uint64N(1<<36), 1+rnd.Uint64N(1<<33)
				case 3:
					r.ReverseBytes, r.ReversePackets = 5000, 5
				case 4:
					r.Output, r.SrcAS = 1<<20, 1<<20
				}
				if i%6 == 2 && v4 {
					want.split++
				}
				if i%6 == 3 && (v4 || protocol == "v9") {
					want.uniflows++
				}
				if i%6 == 4 && v4 {
					want.interfaces++
					want.as++
				}
				if err := e.Export(present, &r); err != nil {
					t.Fatal(err)
				}
			}
			r := flow(1)
			r.Bytes = 1 << 60
			e.Export(present, &r)
			e.Flush(present)
			s := e.Stats()
			sum(t, s, s.Destinations[0])
			switch protocol {
			case "ipfix":
				want.split, want.uniflows, want.interfaces, want.as = 0, 0, 0, 0
			case "v9":
				want.split, want.interfaces, want.as = 0, 0, 0
			case "v1":
				want.as = 0
				fallthrough
			case "v5":
				want.split++
				if s.Cut.Flows != 1 || s.Cut.Bytes != 1<<60-1024*(1<<32-1) {
					t.Errorf("cut %+v, want one flow's bytes beyond 1024 records", s.Cut)
				}
				if s.NoAddress.Flows != 50 || s.IPv6.Flows != 50 {
					t.Errorf("%d without address, %d IPv6, want 50, 50", s.NoAddress.Flows, s.IPv6.Flows)
				}
			}
			if s.Split != want.split || s.Uniflows != want.uniflows || s.Interfaces != want.interfaces || s.ASNumbers != want.as {
				t.Errorf("got %d split, %d uniflows, %d interfaces, %d AS, want %+v", s.Split, s.Uniflows, s.Interfaces, s.ASNumbers, want)
			}
		})
	}
}

// An ICMP answer means that an earlier datagram found nobody. It must neither stop the exporter nor cost the next
// datagram, and a collector that starts finds templates in the first datagram it gets.
func TestRefusedDestination(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			before := listen(t)
			before.conn.Close()
			other := listen(t)
			e := newExporter(t, export.Config{Destinations: []string{before.addr, other.addr}, Protocol: protocol, TemplatePackets: 1000})
			began := time.Now()
			for i := range 2000 {
				r := flow(1 + 5*i%1000) // no IPv6
				if err := e.Export(present, &r); err != nil {
					t.Fatal(err)
				}
			}
			e.Flush(present)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("2000 flows took %v", took)
			}
			s := e.Stats()
			d := s.Destinations[0]
			sum(t, s, d)
			if d.Errors[export.FaultRefused] == 0 {
				t.Skip("this system does not report ICMP errors on the loopback")
			}
			if d.Exported.Flows != 2000 || s.Destinations[1].Exported.Flows != 2000 {
				t.Errorf("sent %d flows to nobody and %d to the other, want 2000: %+v", d.Exported.Flows, s.Destinations[1].Exported.Flows, d)
			}
			if d.Errors[export.FaultRefused] > int64(d.Datagrams) {
				t.Errorf("%d errors for %d datagrams", d.Errors[export.FaultRefused], d.Datagrams)
			}

			addr, err := net.ResolveUDPAddr("udp", before.addr)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.ListenUDP("udp", addr)
			if err != nil {
				t.Skip("the port was taken meanwhile: ", err)
			}
			c := serve(t, conn)
			r := flow(1)
			e.Export(present, &r)
			e.Flush(present)
			first := c.next(t, 1)[0]
			if protocol == "ipfix" && binary.BigEndian.Uint16(first[16:]) != 2 || protocol == "v9" && binary.BigEndian.Uint16(first[20:]) != 0 {
				t.Errorf("the first datagram after a start has no templates: %x", first)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	ok := export.Config{Destinations: []string{"192.0.2.1:4739", "[2001:db8::1]:2055", "collector.example:2055"}}
	if err := ok.Validate(); err != nil {
		t.Errorf("got %v", err)
	}
	bad := export.Config{
		Destinations: []string{"192.0.2.1", "a:1", "a:1"}, Protocol: "v7", MTU: 100, MaxRate: -1, TemplateEvery: -1, TemplatePackets: -1,
	}
	err := bad.Validate()
	for _, want := range []string{`"192.0.2.1": want host:port`, `"a:1": given twice`, `protocol "v7"`, "mtu 100", "rate -1", "-1ns", "-1 datagrams"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("complaints lack %q: %v", want, err)
		}
	}
	for _, cfg := range []export.Config{
		{},
		{Destinations: []string{"a:1"}, Protocol: "v5", Sampling: 1 << 14},
		{Destinations: []string{"a:1"}, Protocol: "v5", Domain: 1 << 16},
		{Destinations: []string{"a:1"}, Protocol: "v5", Options: []string{"statistics"}},
		{Destinations: []string{"a:1"}, Options: []string{"none", "sampling"}},
		{Destinations: []string{"a:1"}, Options: []string{"sampling,flows"}},
	} {
		if cfg.Validate() == nil {
			t.Errorf("%+v passed", cfg)
		}
		if _, err := export.New(cfg); err == nil {
			t.Errorf("New took %+v", cfg)
		}
	}
}

func TestClosed(t *testing.T) {
	e := newExporter(t, export.Config{Destinations: []string{listen(t).addr}})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	r := flow(1)
	if e.Export(present, &r) != net.ErrClosed || e.Flush(present) != net.ErrClosed || e.Close() != nil {
		t.Error("want net.ErrClosed after Close, and a second Close to do nothing")
	}
}

func TestExportDoesNotAllocate(t *testing.T) {
	for _, protocol := range protocols {
		c := listen(t)
		e := newExporter(t, export.Config{Destinations: []string{c.addr}, Protocol: protocol})
		flows := make([]netflow.Record, 100)
		for i := range flows {
			flows[i] = flow(i)
			flows[i].ReversePackets = uint64(i % 2)
		}
		c.conn.Close() // its goroutine allocates; the errors of the socket are few and not counted here
		conn, err := net.ListenUDP("udp", c.conn.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() {
			for i := range flows {
				e.Export(present, &flows[i])
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations in 100 flows, want 0", protocol, n)
		}
		conn.Close()
	}
}

func BenchmarkExport(b *testing.B) {
	for _, protocol := range protocols {
		b.Run(protocol, func(b *testing.B) {
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			e := newExporter(b, export.Config{Destinations: []string{conn.LocalAddr().String()}, Protocol: protocol})
			flows := make([]netflow.Record, 1024)
			for i := range flows {
				flows[i] = flow(i)
			}
			i := 0
			for b.Loop() {
				e.Export(present, &flows[i%1024])
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
		})
	}
}

func ExampleExporter() {
	collector, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	defer collector.Close()
	e, err := export.New(export.Config{Destinations: []string{collector.LocalAddr().String()}, Protocol: "v5"})
	if err != nil {
		panic(err)
	}
	defer e.Close()
	now := netflow.TimestampOf(time.Date(2014, 3, 4, 5, 6, 7, 0, time.UTC)) // of the packets, as in a replay
	r := netflow.Record{
		IPVersion: 4, SrcAddr: netflow.AddrFrom4([4]byte{192, 0, 2, 1}), DstAddr: netflow.AddrFrom4([4]byte{192, 0, 2, 2}),
		Proto: netflow.ProtoUDP, SrcPort: 1234, DstPort: 53, Packets: 1, Bytes: 60, Start: now, End: now,
	}
	if err := e.Export(now, &r); err != nil {
		panic(err)
	}
	if err := e.Flush(now); err != nil {
		panic(err)
	}
	s := e.Stats()
	fmt.Println(s.Given.Flows, "given,", s.Destinations[0].Exported.Flows, "exported in", s.Destinations[0].DatagramBytes, "bytes")
	// Output: 1 given, 1 exported in 72 bytes
}
