package trace_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/test/trace"
)

func config(packets, flows int) trace.Config {
	return trace.Config{Packets: packets, Flows: flows, Start: time.Unix(1_700_000_000, 0), Span: time.Minute, Snaplen: 80, Seed: 7}
}

// generated is a capture, written twice: the same configuration gives the same bytes.
func generated(t *testing.T, write func(io.Writer) (trace.Totals, error)) ([]pcapfile.Frame, trace.Totals) {
	t.Helper()
	var file, again bytes.Buffer
	totals, err := write(&file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write(&again); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
		t.Errorf("the same configuration gives other bytes, error %v", err)
	}
	return frames(t, &file), totals
}

func frames(t *testing.T, file io.Reader) (all []pcapfile.Frame) {
	t.Helper()
	r, err := pcapfile.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		f.Data = bytes.Clone(f.Data)
		all = append(all, f)
	}
}

// tuple is an end of a flow and another, and the protocol.
type tuple struct {
	src, dst     string // addresses
	sport, dport string // ICMP: nothing, and type and code
	proto        byte
}

func parse(t *testing.T, f pcapfile.Frame) (p tuple, length uint64) {
	t.Helper()
	ip := f.Data[14:]
	length, header := uint64(binary.BigEndian.Uint16(ip[2:])), 20
	p.src, p.dst, p.proto = string(ip[12:16]), string(ip[16:20]), ip[9]
	if ip[0]>>4 == 6 {
		length, header = 40+uint64(binary.BigEndian.Uint16(ip[4:])), 40
		p.src, p.dst, p.proto = string(ip[8:24]), string(ip[24:40]), ip[6]
	} else if sum(ip[:20]) != 0xffff {
		t.Fatalf("a header with a wrong checksum: %x", ip[:20])
	}
	if f.WireLen != 14+int(length) {
		t.Fatalf("%d bytes on the wire for an IP packet of %d", f.WireLen, length)
	}
	p.sport, p.dport = string(ip[header:header+2]), string(ip[header+2:header+4])
	if p.proto == 1 || p.proto == 58 {
		p.sport, p.dport = "", p.sport
	}
	return p, length
}

func sum(header []byte) (s uint16) {
	for i := 0; i < len(header); i += 2 {
		n := uint32(s) + uint32(binary.BigEndian.Uint16(header[i:]))
		s = uint16(n) + uint16(n>>16)
	}
	return s
}

// TestTotals counts the packets again from the headers that were written.
func TestTotals(t *testing.T) {
	writers := map[string]func(io.Writer) (trace.Totals, error){
		"one way": func(w io.Writer) (trace.Totals, error) { return trace.Write(w, config(8_000, 500)) },
		"both ways": func(w io.Writer) (trace.Totals, error) {
			c := config(8_000, 500)
			c.Replies = true
			return trace.Write(w, c)
		},
	}
	for _, f := range trace.Floods {
		writers[f.Name] = func(w io.Writer) (trace.Totals, error) { return trace.WriteFlood(w, config(8_000, 0), f.Name) }
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			all, totals := generated(t, write)
			var got trace.Totals
			flows := map[tuple]bool{}
			for _, f := range all {
				p, length := parse(t, f)
				got.Packets++
				got.Bytes += length
				flows[p] = true
			}
			got.Flows, got.Conversations = uint64(len(flows)), totals.Conversations
			if got != totals || totals.Packets != 8_000 || totals.Conversations > totals.Flows {
				t.Errorf("counted %+v, the generator says %+v", got, totals)
			}
		})
	}
}

// TestShape wants what the documentation says of the traffic.
func TestShape(t *testing.T) {
	const packets, flows = 100_000, 10_000
	c := config(packets, flows)
	c.Replies = true
	all, totals := generated(t, func(w io.Writer) (trace.Totals, error) { return trace.Write(w, c) })
	count := map[tuple]int{}
	syns, fins := 0, 0
	for _, f := range all {
		p, _ := parse(t, f)
		count[p]++
		if ip := f.Data[14:]; p.proto == 6 {
			flags := f.Data[len(f.Data)-len(ip)+20+13]
			if ip[0]>>4 == 6 {
				flags = ip[40+13]
			}
			syns += int(flags >> 1 & 1)
			fins += int(flags & 1)
		}
	}
	var v6, tcp, answered, conversations float64
	heaviest := 0
	for p, n := range count {
		heaviest = max(heaviest, n)
		back := tuple{p.dst, p.src, p.dport, p.sport, p.proto}
		if p.proto == 1 || p.proto == 58 {
			continue
		}
		conversations++
		if count[back] > 0 {
			answered++
		}
		if len(p.src) == 16 {
			v6++
		}
		if p.proto == 6 {
			tcp++
		}
	}
	near := func(what string, got, want, off float64) {
		t.Helper()
		if got < want-off || got > want+off {
			t.Errorf("%s: %.3f, want about %.3f", what, got, want)
		}
	}
	near("part of IPv6", v6/conversations, 0.10, 0.01)
	near("part of TCP, of TCP and UDP", tcp/conversations, 0.70/0.95, 0.01)
	near("part of flows with a reverse one", answered/conversations, 0.87, 0.05)
	near("flows in a conversation", float64(totals.Flows)/float64(totals.Conversations), 1.8, 0.05)
	near("conversations that began anew", float64(totals.Conversations)/flows, 1.86, 0.1)
	if heaviest < packets/1000 {
		t.Errorf("the heaviest flow has %d packets only", heaviest)
	}
	if fins == 0 || syns <= fins {
		t.Errorf("%d SYN, %d FIN", syns, fins)
	}
}

// TestFloodsCollide: what the floods are said to have in common, they have.
func TestFloodsCollide(t *testing.T) {
	for name, hash := range map[string]func(p tuple) uint32{
		"crc32": func(p tuple) uint32 {
			return crc32.ChecksumIEEE([]byte(p.src + p.dst + p.sport + p.dport + string(p.proto)))
		},
		"xor": func(p tuple) uint32 {
			return number(p.src) ^ number(p.dst) ^ number(p.sport+p.dport) ^ number(p.dport+p.sport)
		},
		"low-bits": func(p tuple) uint32 { return number(p.src)<<12 ^ number(p.dst)<<12 ^ number(p.sport+p.dport) },
	} {
		all, totals := generated(t, func(w io.Writer) (trace.Totals, error) { return trace.WriteFlood(w, config(8_000, 0), name) })
		if totals.Flows != 2000 {
			t.Errorf("%s: %+v", name, totals)
		}
		hashes := map[uint32]bool{}
		for _, f := range all {
			p, _ := parse(t, f)
			hashes[hash(p)] = true
		}
		if len(hashes) != 1 {
			t.Errorf("%s: %d places in the table", name, len(hashes))
		}
	}
	if _, err := trace.WriteFlood(io.Discard, config(1, 1), "nothing"); err == nil {
		t.Error("an unknown flood is none")
	}
}

func number(b string) uint32 { return binary.BigEndian.Uint32([]byte(b)) }
