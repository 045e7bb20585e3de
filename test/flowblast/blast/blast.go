// Package blast sends export datagrams at a chosen rate and knows exactly what it sent. It is a load generator for tests
// and benchmarks of collectors, with encoders of its own, so that it also checks ours.
//
// The datagrams are built once, from a seed: addresses and ports as unevenly spread as on a network, counters with a
// long tail. Sending patches only the header's clock and sequence number, so that one processor can send several
// million flows a second.
package blast

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Config says what to send and where.
type Config struct {
	Destination string        // HOST:PORT
	Source      netip.Addr    // address to send from; the zero Addr leaves the choice to the system
	Protocol    string        // v5, v9 or ipfix
	Rate        float64       // flows a second; 0: as fast as possible
	Flows       uint64        // stop after so many, rounded up to whole datagrams; 0: no limit
	Duration    time.Duration // stop after so long; 0: no limit
	Domain      uint32        // source id or observation domain; v5: engine type<<8 | engine id
	Distinct    int           // different datagrams to build; 0: 4096
	Seed        uint64        // of the random numbers they are made from
}

// Stats counts what was sent.
type Stats struct {
	Datagrams uint64 // with those that carry a template
	Flows     uint64
	Packets   uint64 // sum of the flows' packet counters
	Octets    uint64 // sum of the flows' octet counters
	Bytes     uint64 // UDP payload
	Refused   uint64 // sends that told of a closed port at the other end; they were repeated
	Elapsed   time.Duration
}

// Rate returns flows a second.
func (s Stats) Rate() float64 { return float64(s.Flows) / s.Elapsed.Seconds() }

const (
	// burst is the most datagrams that one system call sends.
	burst = 64
	// catchUp bounds what a late sender sends at once, in traffic of so long a time; the rest of the delay is lost, for a
	// burst of tens of milliseconds would measure the receiver's buffer and not its speed.
	catchUp = 4 * time.Millisecond
	// templateEvery is how often templates are sent again.
	templateEvery = time.Second
)

// datagram is one prebuilt datagram.
type datagram struct {
	bytes           []byte
	clock           uint64 // milliseconds since 1970 that the times in it belong to (IPFIX)
	flows           uint64
	packets, octets uint64
}

// Sender sends from one socket: one exporter.
type Sender struct {
	cfg      Config
	conn     *net.UDPConn
	out      sender
	template *datagram // nil: the protocol has none
	ring     []datagram
	next     int
	stats    Stats
}

// New builds the datagrams and opens the socket.
func New(cfg Config) (*Sender, error) {
	if cfg.Distinct <= 0 {
		cfg.Distinct = 4096
	}
	if cfg.Flows == 0 && cfg.Duration == 0 {
		return nil, errors.New("blast: neither a number of flows nor a duration is given")
	}
	s := &Sender{cfg: cfg}
	build, ok := map[string]func(*generator, uint32) datagram{"v5": buildV5, "v9": buildV9, "ipfix": buildIPFIX}[cfg.Protocol]
	if !ok {
		return nil, fmt.Errorf("blast: protocol %q: v5, v9 and ipfix are known", cfg.Protocol)
	}
	g := newGenerator(cfg.Seed)
	for range cfg.Distinct {
		s.ring = append(s.ring, build(g, cfg.Domain))
	}
	switch cfg.Protocol {
	case "v9":
		s.template = &datagram{bytes: templateV9(cfg.Domain)}
	case "ipfix":
		s.template = &datagram{bytes: templateIPFIX(cfg.Domain)}
	}
	to, err := net.ResolveUDPAddr("udp", cfg.Destination)
	if err != nil {
		return nil, fmt.Errorf("blast: %w", err)
	}
	var from *net.UDPAddr
	if cfg.Source.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(cfg.Source, 0))
	}
	if s.conn, err = net.DialUDP("udp", from, to); err != nil {
		return nil, fmt.Errorf("blast: %w", err)
	}
	s.conn.SetWriteBuffer(4 << 20)
	if err := s.out.init(s.conn); err != nil {
		s.conn.Close()
		return nil, fmt.Errorf("blast: %w", err)
	}
	return s, nil
}

// Addr returns the address that the collector sees as the exporter's.
func (s *Sender) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// FlowsPerDatagram returns how many flows a full datagram carries.
func (s *Sender) FlowsPerDatagram() uint64 { return s.ring[0].flows }

// Run sends until the configured end or until ctx ends, and returns what it sent since New. It may be called again to
// send more, with sequence numbers that go on.
func (s *Sender) Run(ctx context.Context) (Stats, error) {
	start := time.Now()
	before := s.stats
	var refresh time.Time
	per := float64(s.FlowsPerDatagram())
	perSecond := s.cfg.Rate / per
	most := max(perSecond*catchUp.Seconds(), 1)
	due, last := 0.0, start
	msgs := make([][]byte, 0, burst)
	done := func(now time.Time) bool {
		return ctx.Err() != nil || (s.cfg.Flows > 0 && s.stats.Flows-before.Flows >= s.cfg.Flows) ||
			(s.cfg.Duration > 0 && now.Sub(start) >= s.cfg.Duration)
	}
	for now := start; !done(now); now = time.Now() {
		if s.template != nil && now.Sub(refresh) >= templateEvery {
			refresh = now
			s.patch(s.template, now, 0, 0)
			if err := s.send(append(msgs[:0], s.template.bytes)); err != nil {
				return s.stats, err
			}
			s.stats.Datagrams++
			s.stats.Bytes += uint64(len(s.template.bytes))
		}
		n := burst
		if perSecond > 0 {
			due = min(due+now.Sub(last).Seconds()*perSecond, most)
			last = now
			if due < 1 {
				time.Sleep(time.Duration(max(1/perSecond, 500e-6) * 1e9))
				continue
			}
			n = min(int(due), burst)
		}
		msgs = msgs[:0]
		var flows, packets, octets, bytes uint64
		for range n {
			if s.cfg.Flows > 0 && s.stats.Flows-before.Flows+flows >= s.cfg.Flows {
				break
			}
			d := &s.ring[s.next]
			s.next = (s.next + 1) % len(s.ring)
			s.patch(d, now, uint64(len(msgs)), flows)
			msgs = append(msgs, d.bytes)
			flows, packets, octets = flows+d.flows, packets+d.packets, octets+d.octets
			bytes += uint64(len(d.bytes))
			if len(msgs) == len(s.ring) {
				break // a datagram can stand only once in a call
			}
		}
		due -= float64(len(msgs))
		if err := s.send(msgs); err != nil {
			return s.stats, err
		}
		s.stats.Datagrams += uint64(len(msgs))
		s.stats.Flows, s.stats.Packets, s.stats.Octets = s.stats.Flows+flows, s.stats.Packets+packets, s.stats.Octets+octets
		s.stats.Bytes += bytes
	}
	s.stats.Elapsed += time.Since(start)
	return s.stats, nil
}

// patch sets the clock and the sequence number of a datagram that is to follow n datagrams and m flows of the same call.
func (s *Sender) patch(d *datagram, now time.Time, n, m uint64) {
	b, flows := d.bytes, s.stats.Flows+m
	switch s.cfg.Protocol {
	case "v5":
		be.PutUint32(b[8:], uint32(now.Unix()))
		be.PutUint32(b[12:], uint32(now.Nanosecond()))
		be.PutUint32(b[16:], uint32(flows))
	case "v9":
		be.PutUint32(b[8:], uint32(now.Unix()))
		be.PutUint32(b[12:], uint32(s.stats.Datagrams+n))
	case "ipfix":
		be.PutUint32(b[4:], uint32(now.Unix()))
		be.PutUint32(b[8:], uint32(flows))
		if d != s.template {
			d.shift(uint64(now.UnixMilli()))
		}
	}
}

// send sends all of msgs. A connected socket tells of an earlier datagram that the other end refused; the call then sent
// nothing and is repeated.
func (s *Sender) send(msgs [][]byte) error {
	for len(msgs) > 0 {
		n, err := s.out.send(msgs)
		switch {
		case err == nil:
			msgs = msgs[n:]
		case isRefused(err):
			s.stats.Refused++
			if s.stats.Refused > 1000 {
				return fmt.Errorf("blast: nobody receives at %s: %w", s.cfg.Destination, err)
			}
		default:
			return fmt.Errorf("blast: %w", err)
		}
	}
	return nil
}

// Close closes the socket.
func (s *Sender) Close() error { return s.conn.Close() }
