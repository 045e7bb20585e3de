package test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/test/trace"
)

// flowKey tells flows apart. For ICMP, dstPort is type<<8 | code.
type flowKey struct {
	src, dst         netip.Addr
	proto            uint8
	srcPort, dstPort uint16
}

// reverse is the key of the way back; of ICMP, for an echo request or a reply.
func (k flowKey) reverse() flowKey {
	if k.proto != 1 && k.proto != 58 {
		return flowKey{k.dst, k.src, k.proto, k.dstPort, k.srcPort}
	}
	kind := k.dstPort >> 8
	switch kind {
	case 0, 8:
		kind ^= 8
	case 128, 129:
		kind ^= 1
	}
	return flowKey{k.dst, k.src, k.proto, 0, kind<<8 | k.dstPort&0xff}
}

// flowSum is what is counted of a flow. Times are milliseconds since 1970.
type flowSum struct {
	packets, bytes uint64
	first, last    int64
	flags          uint8 // of TCP, all packets'
}

// flowTable is what a meter without any timeout makes of a capture. It is slow and simple: the tests' own opinion.
type flowTable map[flowKey]flowSum

func (f flowTable) add(k flowKey, s flowSum) {
	if was, ok := f[k]; ok {
		s.packets += was.packets
		s.bytes += was.bytes
		s.first = min(s.first, was.first)
		s.last = max(s.last, was.last)
		s.flags |= was.flags
	}
	f[k] = s
}

func (f flowTable) total() tally {
	t := tally{Flows: uint64(len(f))}
	for _, s := range f {
		t.Packets += s.packets
		t.Bytes += s.bytes
	}
	return t
}

// ipv4 returns the part that NetFlow v1, v5 and v7 carry.
func (f flowTable) ipv4() flowTable {
	part := flowTable{}
	for k, s := range f {
		if k.src.Is4() {
			part[k] = s
		}
	}
	return part
}

// tolerance is what a format or a program is known to lose of a flow.
type tolerance struct {
	time    time.Duration
	noTimes bool
	noFlags bool
}

// compare reports how got differs from want, flow by flow.
func (want flowTable) compare(t *testing.T, got flowTable, loses tolerance) {
	t.Helper()
	wrong := 0
	complain := func(what string, k flowKey, got, want any) {
		if wrong++; wrong <= 5 {
			t.Errorf("%s %+v: got %+v, want %+v", what, k, got, want)
		}
	}
	apart := func(a, b int64) bool { return !loses.noTimes && max(a-b, b-a) > loses.time.Milliseconds() }
	for k, w := range want {
		g, ok := got[k]
		if loses.noFlags {
			g.flags = w.flags
		}
		switch {
		case !ok:
			complain("missing", k, "none", w)
		case g.packets != w.packets || g.bytes != w.bytes || g.flags != w.flags:
			complain("counters", k, g, w)
		case apart(g.first, w.first) || apart(g.last, w.last):
			complain("times", k, g, w)
		}
	}
	for k, g := range got {
		if _, ok := want[k]; !ok {
			complain("invented", k, g, "none")
		}
	}
	if wrong > 5 {
		t.Errorf("and %d more", wrong-5)
	}
}

// generate writes a capture into a folder of the test.
func generate(t *testing.T, c trace.Config) (path string, flows flowTable) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "trace.pcap")
	create(t, path, func(w io.Writer) error {
		_, err := trace.Write(w, c)
		return err
	})
	return path, meter(t, path)
}

// smallTrace has IPv4 and IPv6, TCP, UDP and ICMP, in a minute; no flow of it has a reverse direction.
func smallTrace(t *testing.T) (path string, flows flowTable) {
	return generate(t, trace.Config{Packets: 3000, Flows: 300, Start: time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC), Span: time.Minute, Snaplen: 2048, Seed: 5})
}

// bothWays copies a capture and turns every third packet around, so that flows have a reverse direction; but those of
// ICMP, whose reverse type and code have no column to be stored in.
func bothWays(t *testing.T, path string) (turned string, flows flowTable) {
	t.Helper()
	turned = filepath.Join(t.TempDir(), "both.pcap")
	create(t, turned, func(w io.Writer) error {
		out, err := pcapfile.NewWriter(w, 1)
		n := 0
		frames(t, path, func(f pcapfile.Frame) {
			if n++; n%3 == 0 {
				turn(f.Data)
			}
			err = errors.Join(err, out.Write(f))
		})
		return err
	})
	return turned, meter(t, turned)
}

// turn swaps source and destination in a frame of package trace. That leaves the header's checksum right.
func turn(frame []byte) {
	swap := func(at, size int) {
		a, b := frame[at:at+size], frame[at+size:at+2*size]
		for i := range a {
			a[i], b[i] = b[i], a[i]
		}
	}
	ip := frame[14:]
	switch v6 := ip[0]>>4 == 6; {
	case v6 && ip[6] != 58:
		swap(22, 16)
		swap(54, 2)
	case !v6 && ip[9] != 1:
		swap(26, 4)
		swap(34, 2)
	default:
		return
	}
	swap(0, 6)
}

func create(t *testing.T, path string, fill func(io.Writer) error) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(fill(w), w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func frames(t *testing.T, path string, each func(pcapfile.Frame)) {
	t.Helper()
	r, err := pcapfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		each(f)
	}
}

// meter makes flows of a capture that package trace has written: Ethernet, no options, no fragments.
func meter(t *testing.T, path string) flowTable {
	t.Helper()
	flows := flowTable{}
	frames(t, path, func(f pcapfile.Frame) {
		ip := f.Data[14:]
		s := flowSum{packets: 1, first: f.Time / 1e6, last: f.Time / 1e6}
		var k flowKey
		var transport []byte
		if ip[0]>>4 == 6 {
			k = flowKey{src: netip.AddrFrom16([16]byte(ip[8:24])), dst: netip.AddrFrom16([16]byte(ip[24:40])), proto: ip[6]}
			s.bytes, transport = 40+uint64(binary.BigEndian.Uint16(ip[4:])), ip[40:]
		} else {
			k = flowKey{src: netip.AddrFrom4([4]byte(ip[12:16])), dst: netip.AddrFrom4([4]byte(ip[16:20])), proto: ip[9]}
			s.bytes, transport = uint64(binary.BigEndian.Uint16(ip[2:])), ip[20:]
		}
		switch k.proto {
		case 1, 58:
			k.dstPort = binary.BigEndian.Uint16(transport)
		default:
			k.srcPort, k.dstPort = binary.BigEndian.Uint16(transport), binary.BigEndian.Uint16(transport[2:])
			if k.proto == 6 {
				s.flags = transport[13]
			}
		}
		flows.add(k, s)
	})
	return flows
}

// row is a stored flow as flowprint prints it.
type row struct {
	Start, End      time.Time
	SrcAddr         netip.Addr `json:"src_addr"`
	DstAddr         netip.Addr `json:"dst_addr"`
	SrcPort         uint16     `json:"src_port"`
	DstPort         uint16     `json:"dst_port"`
	Proto           uint8
	TCPFlags        uint8 `json:"tcp_flags"`
	Packets, Bytes  uint64
	ReversePackets  uint64 `json:"reverse_packets"`
	ReverseBytes    uint64 `json:"reverse_bytes"`
	ReverseTCPFlags uint8  `json:"reverse_tcp_flags"`
	ICMPType        uint16 `json:"icmp_type"`
	ICMPCode        uint16 `json:"icmp_code"`
	SrcMAC          string `json:"src_mac"`
	DstMAC          string `json:"dst_mac"`
	SamplingRate    uint32 `json:"sampling_rate"`
}

func (r *row) key() flowKey {
	return flowKey{r.SrcAddr, r.DstAddr, r.Proto, r.SrcPort, r.DstPort}
}

// stored reads back what a collector has stored.
func stored(t *testing.T, dir string) []row {
	t.Helper()
	var rows []row
	for line := range strings.Lines(run(t, "flowprint", "-o", "ndjson", dir)) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("flowprint prints %q: %v", line, err)
		}
		rows = append(rows, r)
	}
	return rows
}

// tableOf makes a table of stored flows, their reverse directions included.
func tableOf(t *testing.T, rows []row) flowTable {
	t.Helper()
	flows := flowTable{}
	for i := range rows {
		r := &rows[i]
		if (r.Proto == 1 || r.Proto == 58) && r.DstPort != r.ICMPType<<8|r.ICMPCode {
			t.Errorf("ICMP type %d, code %d with destination port %d", r.ICMPType, r.ICMPCode, r.DstPort)
		}
		first, last := r.Start.UnixMilli(), r.End.UnixMilli()
		if r.Packets > 0 {
			flows.add(r.key(), flowSum{r.Packets, r.Bytes, first, last, r.TCPFlags})
		}
		if r.ReversePackets > 0 {
			flows.add(r.key().reverse(), flowSum{r.ReversePackets, r.ReverseBytes, first, last, r.ReverseTCPFlags})
		}
	}
	return flows
}
