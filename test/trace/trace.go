// Package trace generates packet captures that look like the traffic of a busy link, for benchmarks, tests and the
// demonstration: many conversations at once, a few of them heavy, IPv4 and IPv6, TCP, UDP and ICMP. The same configuration
// gives the same bytes.
//
// The shape: Flows conversations are alive at any time, and each packet belongs to one of them that is chosen by Zipf's law
// (the popularity of the one of rank r is as r^-0.7, so that of 200,000 the first tenth has half of the packets). A
// conversation has a Pareto-distributed number of packets (exponent 1.1, at least 3, at most 100,000); when they are spent
// another one takes its place. Of the conversations 10 % are IPv6, 70 % TCP, 25 % UDP and 5 % ICMP; with Replies all but
// an eighth of them have packets in both directions, so that a flow meter sees two flows. 2 million packets over 200,000
// conversations make about 375,000 conversations and 660,000 flows, 8 million 950,000 and 1.7 million.
//
// WriteFlood generates what attackers send, and Replicate makes a large capture of small ones, by copies with other
// addresses.
package trace

import (
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// Config says what to generate.
type Config struct {
	Packets int
	Flows   int           // conversations that are alive at once
	Replies bool          // conversations have two directions; otherwise each is one flow
	Start   time.Time     // time of the first packet
	Span    time.Duration // until the last packet
	Snaplen int           // bytes kept of a frame
	MTU     int           // longest IP packet; 0: 1500
	Seed    uint64
}

// DefaultConfig is a trace like those that flow meters are compared on: 2 million packets in 15 seconds over 200,000
// concurrent conversations, of which 80 bytes are kept.
func DefaultConfig() Config {
	return Config{Packets: 2_000_000, Flows: 200_000, Replies: true, Start: time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC), Span: 15 * time.Second, Snaplen: 80, Seed: 1}
}

// Totals is what was generated, as a flow meter must count it.
type Totals struct {
	Packets       uint64 // all of them IP
	Bytes         uint64 // of the IP packets
	Flows         uint64 // distinct source, destination, protocol and ports (ICMP: type and code)
	Conversations uint64 // of one or two of those
}

const ethernet = 1 // LINKTYPE_ETHERNET

// flow is a conversation: its first packet goes from src to dst.
type flow struct {
	flowID
	replies bool // packets go both ways
	left    int  // packets still to come
	sent    int
	size    int // of the IP packets that carry data
}

// The law that chooses a conversation: number u^power of a uniform u has the popularity of Zipf's law with the exponent
// 1 - 1/power, and needs no table.
const power = 1 / (1 - 0.7)

// The law that says how many packets a conversation has.
const (
	pareto  = 1.1
	fewest  = 3
	longest = 100_000
)

// Write generates a capture.
func Write(w io.Writer, c Config) (Totals, error) {
	g := newGenerator(c)
	flows := make([]flow, c.Flows)
	err := g.write(w, func(dst []byte) (frame []byte, ipLen int) {
		f := &flows[int(math.Pow(g.rnd.Float64(), power)*float64(c.Flows))]
		if f.left == 0 {
			*f = g.flow()
		}
		frame, ipLen = g.frame(dst, f)
		f.left--
		f.sent++
		return frame, ipLen
	})
	return g.totals, err
}

type generator struct {
	cfg    Config
	rnd    *rand.Rand
	totals Totals
	known  map[flowID]struct{}
}

func newGenerator(c Config) *generator {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	return &generator{cfg: c, rnd: rand.New(rand.NewPCG(c.Seed, 0x6361_7072)), known: map[flowID]struct{}{}}
}

// write writes the capture: next appends a frame to dst and says how long its IP packet is. The gaps between packets vary.
func (g *generator) write(w io.Writer, next func(dst []byte) (frame []byte, ipLen int)) error {
	out, err := pcapfile.NewWriter(w, ethernet)
	if err != nil {
		return err
	}
	buf := make([]byte, 0, 2048)
	at := float64(g.cfg.Start.UnixNano())
	mean := float64(g.cfg.Span) / float64(max(g.cfg.Packets, 1))
	for range g.cfg.Packets {
		frame, ipLen := next(buf)
		wire := 14 + ipLen
		data := frame[:min(len(frame), g.cfg.Snaplen, wire)]
		if err := out.Write(pcapfile.Frame{Time: int64(at), WireLen: wire, Interface: 1, LinkType: ethernet, Data: data}); err != nil {
			return err
		}
		g.totals.Packets++
		g.totals.Bytes += uint64(ipLen)
		at += mean * (0.5 + g.rnd.Float64())
	}
	g.totals.Flows = uint64(len(g.known))
	return nil
}

var servers = []uint16{443, 443, 443, 443, 80, 53, 53, 22, 25, 123, 993, 3306, 5432, 8080, 853, 161}

// flow makes a new conversation between 10.0.0.0/16 and 11.0.0.0/12, or the same below 2001:db8::/96.
func (g *generator) flow() flow {
	var f flow
	f.v6 = g.rnd.IntN(10) == 0
	f.left = int(min(fewest/math.Pow(1-g.rnd.Float64(), 1/pareto), longest))
	f.src = 10<<24 | uint32(g.rnd.IntN(1<<16))
	f.dst = 11<<24 | uint32(g.rnd.IntN(1<<20))
	f.srcPort, f.dstPort = uint16(32768+g.rnd.IntN(28000)), servers[g.rnd.IntN(len(servers))]
	f.size = min(40+g.rnd.IntN(1460), g.cfg.MTU)
	switch p := g.rnd.IntN(100); {
	case p < 70:
		f.proto = tcp
	case p < 95:
		f.proto = udp
	default:
		f.proto = icmp
		f.srcPort, f.dstPort = 0, 8<<8 // echo request
		if f.v6 {
			f.proto, f.dstPort = icmp6, 128<<8
		}
	}
	if g.rnd.IntN(2) == 0 && f.proto != icmp && f.proto != icmp6 {
		f.src, f.dst, f.srcPort, f.dstPort = f.dst, f.src, f.dstPort, f.srcPort
	}
	f.replies = g.cfg.Replies && g.rnd.IntN(8) != 0
	g.totals.Conversations++
	return f
}

// frame appends the headers of the conversation's next packet to dst, and some payload, and returns the IP packet's length.
// The first packet is answered by the second; from there on either side may send. Each side's last packet of TCP has a FIN.
func (g *generator) frame(dst []byte, c *flow) (frame []byte, ipLen int) {
	f, first, last := c.flowID, c.sent == 0, c.left == 1
	if c.replies {
		first = c.sent < 2
		last = c.left <= 2
		if c.sent == 1 || c.left == 1 || !first && !last && g.rnd.IntN(2) == 0 {
			f = f.reverse()
		}
	}
	g.known[f] = struct{}{}
	ipLen = c.size
	flags := byte(ack)
	if f.proto == tcp {
		switch {
		case first && c.sent == 0:
			flags = syn
		case first:
			flags = syn | ack
		case last:
			flags = fin | ack
		default:
			flags |= psh
		}
	}
	if flags&syn != 0 || last {
		ipLen = 0
	}
	return f.frame(dst, flags, ipLen)
}
