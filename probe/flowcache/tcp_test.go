package flowcache_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
	"github.com/caprock-net/caprock/probe/flowcache"
)

const (
	fin    = netflow.TCPFin
	syn    = netflow.TCPSyn
	rst    = netflow.TCPRst
	ack    = netflow.TCPAck
	synAck = syn | ack
)

// segment is one of a scripted connection. Its numbers count from the initial sequence number of its side, of which the
// SYN is 0 and the first byte 1.
type segment struct {
	at     float64 // ms
	server bool    // sends it
	flags  uint16
	seq    uint32
	ack    uint32
	bytes  int
}

// answer is what is to be measured. rtt is in ms; 0: nothing.
type answer struct {
	rtt               float64
	forth, back       uint32
	rttUni, rttTshark float64 // where they differ: of a uniflow, of tshark
}

// hello is the handshake of a path of 30 ms of round-trip time, 10 of them on the client's side.
var hello = []segment{{0, false, syn, 0, 0, 0}, {20, true, synAck, 0, 1, 0}, {30, false, ack, 1, 1, 0}}

func after(first []segment, more ...segment) []segment {
	return append(first[:len(first):len(first)], more...)
}

var connections = []struct {
	name string
	isn  uint32 // of the client; the server's is its complement
	list []segment
	want answer
}{
	{"nothing special", 1000, after(hello, segment{31, false, ack, 1, 1, 100}, segment{51, true, ack, 1, 101, 1000}, segment{52, true, ack, 1001, 101, 1000},
		segment{60, false, ack, 101, 2001, 0}, segment{61, false, ack | fin, 101, 2001, 0}, segment{81, true, ack | fin, 2001, 102, 0},
		segment{91, false, ack, 102, 2002, 0}), answer{rtt: 30}},
	{"SYN again", 1000, []segment{{0, false, syn, 0, 0, 0}, {1000, false, syn, 0, 0, 0}, {1020, true, synAck, 0, 1, 0}, {1030, false, ack, 1, 1, 0}},
		answer{rtt: 30, forth: 1}},
	{"SYN/ACK again", 1000, []segment{{0, false, syn, 0, 0, 0}, {20, true, synAck, 0, 1, 0}, {1020, true, synAck, 0, 1, 0}, {1030, false, ack, 1, 1, 0}},
		answer{rtt: 30, back: 1, rttUni: 1030, rttTshark: 1030}},
	{"lost behind us", 1000, after(hello, segment{31, false, ack, 1, 1, 1000}, segment{32, false, ack, 1001, 1, 1000}, segment{51, true, ack, 1, 1, 0},
		segment{261, false, ack, 1, 1, 1000}, segment{281, true, ack, 1, 2001, 0}), answer{rtt: 30, forth: 1}},
	{"lost before us", 1000, after(hello, segment{32, false, ack, 1001, 1, 1000}, segment{51, true, ack, 1, 1, 0},
		segment{261, false, ack, 1, 1, 1000}, segment{281, true, ack, 1, 2001, 0}), answer{rtt: 30, forth: 1}},
	{"out of order", 1000, after(hello, segment{31, false, ack, 1001, 1, 1000}, segment{32, false, ack, 1, 1, 1000}, segment{52, true, ack, 1, 2001, 0}),
		answer{rtt: 30}},
	{"keep-alive", 1000, after(hello, segment{31, false, ack, 1, 1, 100}, segment{51, true, ack, 1, 101, 0}, segment{2000, false, ack, 100, 1, 0},
		segment{2020, true, ack, 1, 101, 0}, segment{4000, false, ack, 100, 1, 1}, segment{4020, true, ack, 1, 101, 0}), answer{rtt: 30}},
	{"numbers wrap", 1<<32 - 500, after(hello, segment{31, false, ack, 1, 1, 400}, segment{32, false, ack, 401, 1, 400}, segment{33, false, ack, 801, 1, 400},
		segment{51, true, ack, 1, 401, 1000}, segment{300, false, ack, 401, 1, 400}, segment{301, false, ack, 801, 1, 400}, segment{320, true, ack, 1001, 1201, 0}),
		answer{rtt: 30, forth: 2}},
	{"FIN again", 1000, after(hello, segment{40, false, ack | fin, 1, 1, 0}, segment{240, false, ack | fin, 1, 1, 0}, segment{260, true, ack | fin, 1, 2, 0},
		segment{270, false, ack, 2, 2, 0}), answer{rtt: 30, forth: 1}},
	{"the server's", 5000, after(hello, segment{31, false, ack, 1, 1, 100}, segment{51, true, ack, 1, 101, 1000}, segment{251, true, ack, 1, 101, 1000},
		segment{260, false, ack, 101, 1001, 0}), answer{rtt: 30, back: 1}},
	{"many gaps", 1000, after(hello, segment{31, false, ack, 1, 1, 100}, segment{32, false, ack, 201, 1, 100}, segment{33, false, ack, 401, 1, 100},
		segment{53, true, ack, 1, 101, 0}, segment{150, false, ack, 101, 1, 100}, segment{250, false, ack, 301, 1, 100}, segment{350, false, ack, 301, 1, 100},
		segment{370, true, ack, 1, 501, 0}), answer{rtt: 30, forth: 3}},
	{"twice within a millisecond", 1000, after(hello, segment{31, false, ack, 1, 1, 100}, segment{31.5, false, ack, 1, 1, 100}, segment{52, true, ack, 1, 101, 0}),
		answer{rtt: 30, forth: 1}},
	{"ports used again", 1000, after(hello, segment{31, false, ack, 1, 1, 100}, segment{51, true, ack, 1, 101, 0}, segment{5000, false, syn, 1 << 20, 0, 0},
		segment{5020, true, synAck, 1 << 21, 1<<20 + 1, 0}, segment{5030, false, ack, 1<<20 + 1, 1<<21 + 1, 0}, segment{5031, false, ack, 1<<20 + 1, 1<<21 + 1, 100},
		segment{5051, true, ack, 1<<21 + 1, 1<<20 + 101, 0}), answer{rtt: 30}},
	{"no handshake", 1000, []segment{{0, false, ack, 1, 1, 100}, {20, true, ack, 1, 101, 100}, {30, false, ack, 101, 101, 100}, {300, false, ack, 101, 101, 100},
		{320, true, ack, 101, 201, 0}}, answer{forth: 1}},
	{"payload with the handshake's ACK", 1000, []segment{{0, false, syn, 0, 0, 0}, {20, true, synAck, 0, 1, 0}, {30, false, ack, 1, 1, 50}, {50, true, ack, 1, 51, 0}},
		answer{rtt: 30}},
	{"refused", 1000, []segment{{0, false, syn, 0, 0, 0}, {20, true, ack | rst, 0, 1, 0}}, answer{rttTshark: 20}}, // tshark takes RST for an ACK
}

// packet makes the segment a frame, from the IP header on.
func (s *segment) packet(isn uint32, connection int) []byte {
	src, dst, seq, ackn := []byte{10, 0, 0, 1}, []byte{192, 0, 2, 1}, isn+s.seq, ^isn+s.ack
	sport, dport := uint16(10000+connection), uint16(80)
	if s.server {
		src, dst, sport, dport = dst, src, dport, sport
		seq, ackn = ^isn+s.seq, isn+s.ack
	}
	if s.flags&ack == 0 {
		ackn = 0
	}
	n := 40 + s.bytes
	b := append([]byte{0x45, 0, byte(n >> 8), byte(n), 0, 0, 0, 0, 64, 6, 0, 0}, append(src, dst...)...)
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ackn)
	b = append(b, 0x50, byte(s.flags), 0x20, 0, 0, 0, 0, 0)
	return append(b, make([]byte, s.bytes)...)
}

func (s *segment) time() netflow.Timestamp { return epoch + netflow.Timestamp(s.at*1000) }

// measure runs a connection through a cache.
func measure(t *testing.T, cfg flowcache.Config, c int) (out []netflow.Record) {
	t.Helper()
	cfg.TCPMetrics, cfg.Seed, cfg.MaxFlows = true, [32]byte{1}, 16
	cache := newCache(t, cfg)
	emit := func(r *netflow.Record) { out = append(out, *r) }
	for _, s := range connections[c].list {
		var p dissect.Packet
		frame := s.packet(connections[c].isn, c)
		if dissect.Dissect(dissect.LinkRaw, frame, len(frame), &p) != dissect.OK {
			t.Fatal("no packet")
		}
		cache.Add(s.time(), 1, &p, emit)
	}
	cache.Flush(emit)
	return out
}

func TestTCPMetrics(t *testing.T) {
	for i, c := range connections {
		t.Run(c.name, func(t *testing.T) {
			out := measure(t, flowcache.Config{Biflow: true}, i)
			if len(out) != 1 {
				t.Fatalf("%d biflows", len(out))
			}
			r, want := &out[0], c.want
			if r.SrcPort == 80 || float64(r.TCPRTT) != want.rtt*1000 || r.TCPRetransmits != want.forth || r.ReverseTCPRetransmits != want.back {
				t.Errorf("biflow from port %d: RTT %d µs, %d and %d retransmissions, want %+v", r.SrcPort, r.TCPRTT, r.TCPRetransmits, r.ReverseTCPRetransmits, want)
			}
			if want.rttUni == 0 {
				want.rttUni = want.rtt
			}
			for _, r := range measure(t, flowcache.Config{}, i) {
				rtt, again := want.rttUni, want.forth
				if r.SrcPort == 80 {
					rtt, again = 0, want.back
				}
				if float64(r.TCPRTT) != rtt*1000 || r.TCPRetransmits != again || r.ReverseTCPRetransmits != 0 {
					t.Errorf("uniflow from port %d: RTT %d µs, %d retransmissions, want %+v", r.SrcPort, r.TCPRTT, r.TCPRetransmits, want)
				}
			}
		})
	}
}

// TestTCPMetricsOfTshark has tshark answer the same questions.
func TestTCPMetricsOfTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("no tshark")
	}
	var file bytes.Buffer
	w, err := pcapfile.NewWriter(&file, uint16(dissect.LinkRaw))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range connections {
		for _, s := range c.list {
			data := s.packet(c.isn, i)
			if err := w.Write(pcapfile.Frame{Time: int64(s.time()+netflow.Timestamp(i)*100*second) * 1000, WireLen: len(data), LinkType: uint16(dissect.LinkRaw), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	name := filepath.Join(t.TempDir(), "tcp.pcap")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(tshark, "-r", name, "-n", "-T", "fields", "-E", "separator=,",
		"-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "tcp.analysis.retransmission", "-e", "tcp.analysis.initial_rtt").Output()
	if err != nil {
		t.Fatal(err)
	}
	type figures struct {
		rtt         float64
		forth, back uint32
	}
	got := make([]figures, len(connections))
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ",")
		src, _ := strconv.Atoi(f[0])
		dst, _ := strconv.Atoi(f[1])
		g := &got[max(src, dst)-10000]
		if f[3] != "" {
			if g.rtt, err = strconv.ParseFloat(f[3], 64); err != nil {
				t.Fatal(err)
			}
		}
		if f[2] == "" {
			continue
		}
		if src == 80 {
			g.back++
		} else {
			g.forth++
		}
	}
	for i, c := range connections {
		rtt := c.want.rtt
		if c.want.rttTshark != 0 {
			rtt = c.want.rttTshark
		}
		if g, want := fmt.Sprintf("%.6f %d %d", got[i].rtt, got[i].forth, got[i].back), fmt.Sprintf("%.6f %d %d", rtt/1000, c.want.forth, c.want.back); g != want {
			t.Errorf("%s: tshark says %s, want %s", c.name, g, want)
		}
	}
}

// TestTCPMetricsOfCaptures has real traffic in which tshark 4.0 finds so many retransmissions and handshakes.
func TestTCPMetricsOfCaptures(t *testing.T) {
	want := map[string][2]int{"ipfixprobe-tls.pcap": {63, 6}, "ndpi-KakaoTalk_talk.pcap": {16, 4}, "pcpp-tls2.pcap": {17, 0}, "pcpp-raw_ip.pcap": {0, 4}}
	for _, c := range dissecttest.Captures(t) {
		figures, ok := want[filepath.Base(c.Path)]
		if !ok {
			continue
		}
		cache := newCache(t, flowcache.Config{MaxFlows: 10_000, Active: 25e5 * time.Hour, Inactive: 25e5 * time.Hour, Biflow: true, TCPMetrics: true})
		var got [2]int
		emit := func(r *netflow.Record) {
			got[0] += int(r.TCPRetransmits + r.ReverseTCPRetransmits)
			if r.TCPRTT > 0 {
				got[1]++
			}
		}
		c.Each(t, func(f pcapfile.Frame) {
			var p dissect.Packet
			if dissect.Dissect(dissect.LinkType(f.LinkType), f.Data, f.WireLen, &p) == dissect.OK {
				cache.Add(netflow.Timestamp(f.Time/1000), f.Interface, &p, emit)
			}
		})
		cache.Flush(emit)
		if got != figures {
			t.Errorf("%s: %d retransmissions and %d round-trip times, want %d", c.Name, got[0], got[1], figures)
		}
	}
}

// TestRetransmissionsModel compares random segments with a count that remembers every byte: when it was passed over, and
// whether it was seen. The cache knows three gaps; segments that would make a fourth are left out.
func TestRetransmissionsModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 9))
		const size = 4000
		var seen [size]bool
		var passed [size]netflow.Timestamp
		next, want := 0, uint32(0)
		first := uint32(rng.Uint64()) // numbers wrap somewhere
		if seed%2 == 0 {
			first = -uint32(rng.IntN(size))
		}
		m := newMeter(t, flowcache.Config{MaxFlows: 4, TCPMetrics: true})
		now := epoch
		gaps := func(from, to int) (n int) { // with the segment
			unseen := false
			for i := range max(next, to) {
				hole := !seen[i] && (i < from || i >= to)
				if hole && !unseen {
					n++
				}
				unseen = hole
			}
			return n
		}
		for range 200 {
			now += netflow.Timestamp(rng.IntN(3000))
			from := max(0, min(next+rng.IntN(60)-40, size-50))
			to := from + 1 + rng.IntN(40)
			if next == 0 {
				from, to = 0, 10
			}
			if gaps(from, to) > 3 {
				continue
			}
			p := dissect.Packet{IPVersion: 4, Proto: netflow.ProtoTCP, TCPFlags: ack, IPBytes: uint32(40 + to - from),
				TCPSeq: first + uint32(from), TCPPayload: uint32(to - from)}
			m.Add(now, 1, &p, m.emit)
			again := false
			for i := from; i < min(to, next); i++ {
				again = again || seen[i] || now-passed[i] >= 3000
			}
			if again && !(from == next-1 && to == next) { // a keep-alive
				want++
			}
			if from == next-1 && to == next {
				continue
			}
			for i := next; i < from; i++ {
				passed[i] = now
			}
			for i := from; i < to; i++ {
				seen[i] = true
			}
			next = max(next, to)
		}
		m.Flush(m.emit)
		if got := m.out[0].TCPRetransmits; got != want || want == 0 {
			t.Fatalf("seed %d: %d retransmissions, want %d", seed, got, want)
		}
	}
}
