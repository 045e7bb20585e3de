package query

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

func TestNames(t *testing.T) {
	for n := range 256 {
		name := ProtoName(uint8(n))
		if got, ok := protocolNumbers[strings.ToLower(name)]; ok && int(got) != n || !ok && name != strconv.Itoa(n) {
			t.Errorf("protocol %d is called %q, which is %d", n, name, got)
		}
	}
	for _, c := range []struct{ got, want string }{
		{ProtoName(6), "TCP"}, {ProtoName(58), "ICMP6"}, {ProtoName(200), "200"},
		{EndReasonName(3), "eof"}, {EndReasonName(0), ""}, {EndReasonName(9), "9"},
		{DirectionName(0), "ingress"}, {DirectionName(1), "egress"}, {DirectionName(7), "7"},
		{ExportVersionName(10), "ipfix"}, {ExportVersionName(5), "v5"}, {ExportVersionName(0), ""},
		{string(AppendTCPFlags(nil, netflow.TCPSyn|netflow.TCPAck)), "...A..S."},
		{string(AppendTCPFlags(nil, 0xff)), "CEUAPRSF"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for flags := range 512 {
		var letters string
		for i := range flagLetters {
			if flags>>i&1 != 0 {
				letters += flagLetters[i : i+1]
			}
		}
		if got, ok := ParseTCPFlags(letters); ok != (flags != 0) || int(got) != flags {
			t.Errorf("flags %q are %#x, want %#x", letters, got, flags)
		}
	}
}

func TestParseTime(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for _, c := range []struct {
		text     string
		from, to string // RFC 3339; "" is an error
	}{
		{"2026", "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"},
		{"2026-12", "2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"},
		{"2026-02-28", "2026-02-28T00:00:00+01:00", "2026-03-01T00:00:00+01:00"},
		{"2028-02-29", "2028-02-29T00:00:00+01:00", "2028-03-01T00:00:00+01:00"},
		{"2026-11-21T16", "2026-11-21T16:00:00+01:00", "2026-11-21T17:00:00+01:00"},
		{"2026-11-21t16:05", "2026-11-21T16:05:00+01:00", "2026-11-21T16:06:00+01:00"},
		{"2026-11-21 16:05:09", "2026-11-21T16:05:09+01:00", "2026-11-21T16:05:10+01:00"},
		{"2026-11-21T16:05:09.25", "2026-11-21T16:05:09.25+01:00", "2026-11-21T16:05:09.26+01:00"},
		{"2026-11-21T16:05:09.123456789", "2026-11-21T16:05:09.123456+01:00", "2026-11-21T16:05:09.123457+01:00"},
		{"2026/11/21.16:05:09", "2026-11-21T16:05:09+01:00", "2026-11-21T16:05:10+01:00"},
		{"2026/11/21", "2026-11-21T00:00:00+01:00", "2026-11-22T00:00:00+01:00"},
		{"2026/11/21T16", "2026-11-21T16:00:00+01:00", "2026-11-21T17:00:00+01:00"},
		{"2026-11-21T16Z", "2026-11-21T16:00:00Z", "2026-11-21T17:00:00Z"},
		{"2026-11-21T16:05-0930", "2026-11-21T16:05:00-09:30", "2026-11-21T16:06:00-09:30"},
		{"2026-11-21T16:05:09+02", "2026-11-21T16:05:09+02:00", "2026-11-21T16:05:10+02:00"},
		{text: ""}, {text: "26"}, {text: "2026-13"}, {text: "2026-02-29"}, {text: "2026-11-21T24"},
		{text: "2026-11-21T16:60"}, {text: "2026-11-21T16:05:60"}, {text: "2026-11-21Z"}, {text: "2026-11-21T16:05:09."},
		{text: "2026-11-21T16:05:09.1234567890"}, {text: "2026-11-21T16:05:09+"}, {text: "2026-11-21T16:05:09Zulu"},
		{text: "2026-1-1"}, {text: "2026-11-21.16"}, {text: "2026-11-21T16:05+25:00"}, {text: "2026-11-21T"},
	} {
		from, to, ok := ParseTime(c.text, berlin)
		if !ok {
			if c.from != "" {
				t.Errorf("%q is not understood", c.text)
			}
			continue
		}
		wantFrom, _ := time.Parse(time.RFC3339Nano, c.from)
		wantTo, _ := time.Parse(time.RFC3339Nano, c.to)
		if !from.Equal(wantFrom) || !to.Equal(wantTo) {
			t.Errorf("%q: got %v to %v, want %s to %s", c.text, from, to, c.from, c.to)
		}
	}
}

// TestTable puts so many groups into one table that some keys have the lower half of their hash in common, and compares
// with a map. The blocks lack one or the other counter.
func TestTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(31, 32))
	l := newLayout(2, CountPackets|CountBytes|CountFirst|CountLast)
	type sums struct{ flows, packets, bytes, first, last uint64 }
	want := make(map[[2]uint64]sums)
	var table table
	for i := range 300 {
		b := block{layout: newLayout(2, []CounterSet{CountAll, CountBytes | CountLast, CountFirst, 0}[i%4]&l.counts), single: i%3 == 0}
		for range 1000 {
			key := [2]uint64{uint64(rnd.IntN(200000)), uint64(rnd.IntN(2))}
			b.words = append(b.words, key[0], key[1])
			s, flows := want[key], uint64(1)
			if !b.single {
				flows = rnd.Uint64N(5)
				b.words = append(b.words, flows)
			}
			s.flows += flows
			for _, c := range []struct {
				bit  CounterSet
				sum  *uint64
				time bool
			}{{CountPackets, &s.packets, false}, {CountBytes, &s.bytes, false}, {CountFirst, &s.first, true}, {CountLast, &s.last, true}} {
				if b.counts&c.bit == 0 {
					continue
				}
				v := rnd.Uint64N(5)
				b.words = append(b.words, v)
				switch {
				case !c.time:
					*c.sum += v
				case c.bit == CountFirst && v != 0 && (*c.sum == 0 || v < *c.sum), c.bit == CountLast && v > *c.sum:
					*c.sum = v
				}
			}
			want[key] = s
		}
		before := table.n
		if added := table.add(l, b); table.n-before != added || table.n != len(want) {
			t.Fatalf("%d groups, %d added, want %d", table.n, added, len(want))
		}
	}
	for i := range table.n {
		e := table.entry(uint32(i), l.width())
		if got := (sums{e[2], e[3], e[4], e[5], e[6]}); got != want[[2]uint64{e[0], e[1]}] {
			t.Fatalf("group %v: got %+v, want %+v", e[:2], got, want[[2]uint64{e[0], e[1]}])
		}
	}
}
