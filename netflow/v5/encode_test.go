package v5_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	v5 "github.com/caprock-net/caprock/netflow/v5"
)

func addr4(a, b, c, d byte) netflow.Addr { return netflow.AddrFrom4([4]byte{a, b, c, d}) }

var replayed = netflowtest.Now // 1393909567.250

// flow has a different byte in each place that versions 1 and 5 have.
func flow() netflow.Record {
	return netflow.Record{
		Start: replayed - 3e6, End: replayed - 500e3,
		SrcAddr: addr4(10, 1, 2, 3), DstAddr: addr4(192, 168, 4, 5), NextHop: addr4(172, 16, 6, 7),
		Packets: 0x01020304, Bytes: 0x0a0b0c0d, Input: 0x1112, Output: 0x1314, SrcAS: 0x2122, DstAS: 0x2324,
		SrcPort: 0x3132, DstPort: 0x3334, TCPFlags: 0x1b, IPVersion: 4, Proto: 6, TOS: 0xb8, SrcMask: 24, DstMask: 16,
	}
}

// The boot is the second of the first flow's start less an hour: 1393909564 - 3600 = 1393905964. The header's time is the
// whole second of now, 1393909567 = 5315 5f3f, and its uptime 3603 s = 3603000 ms = 0036 fa38. The flow began at
// 1393909564.250, uptime 3600250 = 0036 ef7a, and ended 2.5 s later, uptime 3602750 = 0036 f93e.
var golden = map[uint8]string{
	netflow.VersionV5: "0005 0001 0036fa38 53155f3f 00000000" + "00000000 1234 4064" +
		"0a010203 c0a80405 ac100607 1112 1314 01020304 0a0b0c0d 0036ef7a 0036f93e 3132 3334" +
		"00 1b 06 b8 2122 2324 18 10 0000",
	netflow.VersionV1: "0001 0001 0036fa38 53155f3f 00000000" +
		"0a010203 c0a80405 ac100607 1112 1314 01020304 0a0b0c0d 0036ef7a 0036f93e 3132 3334" +
		"0000 06 b8 1b 000000 00000000",
}

func TestGoldenDatagrams(t *testing.T) {
	for version, text := range golden {
		want := netflowtest.Hex(t, text)
		e := v5.NewEncoder(v5.EncoderConfig{Version: version, MaxBytes: 1400, Engine: 0x1234, Sampling: 100})
		r := flow()
		if !e.Append(replayed, &r) {
			t.Fatal("no room in an empty datagram")
		}
		if got := e.AppendMessage([]byte("x"), replayed); string(got[:1]) != "x" || !bytes.Equal(got[1:], want) {
			t.Errorf("version %d:\n got %x\nwant %x", version, got[1:], want)
		}
	}
}

func TestDatagramsAreFullAndCounted(t *testing.T) {
	tests := []struct {
		version                 uint8
		maxBytes, header, count int
	}{
		{5, 1464, 24, 30}, {5, 9000, 24, 30}, {5, 1463, 24, 29}, {5, 1400, 24, 28}, {5, 0, 24, 1},
		{1, 1400, 16, 24}, {1, 1167, 16, 23}, {1, 9000, 16, 24},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("version %d in %d bytes", test.version, test.maxBytes), func(t *testing.T) {
			e := v5.NewEncoder(v5.EncoderConfig{Version: test.version, MaxBytes: test.maxBytes})
			r := flow()
			for want := uint32(0); want < 100; want += uint32(test.count) {
				n := 0
				for e.Append(replayed, &r) {
					n++
				}
				msg := e.AppendMessage(nil, replayed)
				if n != test.count || len(msg) != test.header+48*n || int(binary.BigEndian.Uint16(msg[2:])) != n {
					t.Fatalf("%d flows in %d bytes with a count of %d, want %d", n, len(msg), binary.BigEndian.Uint16(msg[2:]), test.count)
				}
				if got := binary.BigEndian.Uint32(msg[16:]); test.version == 5 && got != want {
					t.Errorf("sequence %d, want %d: the flows before", got, want)
				}
			}
			if msg := e.AppendMessage(nil, replayed); msg != nil {
				t.Errorf("a datagram without flows: %x", msg)
			}
		})
	}
}

// A flow from another year cannot share the boot of the datagram at hand, and must not spoil its times.
func TestFlowsOfAnotherTimeWait(t *testing.T) {
	e := v5.NewEncoder(v5.EncoderConfig{Version: 5, MaxBytes: 1400})
	a, b := flow(), flow()
	b.Start, b.End = a.Start+40*86400e6, a.End+40*86400e6
	if !e.Append(replayed, &a) || e.Append(replayed, &b) {
		t.Fatal("want the first flow taken, the second to wait")
	}
	for _, r := range []*netflow.Record{&a, &b} {
		if e.Len() == 0 && !e.Append(r.End, r) {
			t.Fatal("no room in an empty datagram")
		}
		msg := e.AppendMessage(nil, r.End)
		unix := int64(binary.BigEndian.Uint32(msg[8:])) * 1000
		first := unix - int64(int32(binary.BigEndian.Uint32(msg[4:])-binary.BigEndian.Uint32(msg[24+24:])))
		if first != int64(r.Start)/1000 {
			t.Errorf("start decodes as %d, want %d", first, r.Start/1000)
		}
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name   string
		change func(*netflow.Record)
		want   v5.Limits
	}{
		{"none", func(*netflow.Record) {}, 0},
		{"IPv6", func(r *netflow.Record) { r.IPVersion = 6; r.Input = 1 << 16 }, v5.LimitIPv6},
		{"no address", func(r *netflow.Record) { r.IPVersion = 0 }, v5.LimitNoAddress},
		{"input", func(r *netflow.Record) { r.Input = 1 << 16 }, v5.LimitInterface},
		{"output", func(r *netflow.Record) { r.Output = 1 << 31 }, v5.LimitInterface},
		{"source AS", func(r *netflow.Record) { r.SrcAS = 1 << 16 }, v5.LimitAS},
		{"destination AS", func(r *netflow.Record) { r.DstAS = 1 << 16 }, v5.LimitAS},
		{"counters just fit", func(r *netflow.Record) { r.Packets, r.Bytes = 1<<32-1, 1<<32-1 }, 0},
		{"packets", func(r *netflow.Record) { r.Packets = 1 << 32 }, v5.LimitSplit},
		{"bytes", func(r *netflow.Record) { r.Bytes = 1 << 42 }, v5.LimitSplit | v5.LimitClamped},
		{"duration", func(r *netflow.Record) { r.End = r.Start + 13*86400e6 }, v5.LimitDuration},
	}
	for _, test := range tests {
		r := flow()
		test.change(&r)
		if got := v5.LimitsOf(&r); got != test.want {
			t.Errorf("%s: got %08b, want %08b", test.name, got, test.want)
		}
	}
	e := v5.NewEncoder(v5.EncoderConfig{Version: 5, MaxBytes: 1400, Sampling: 1})
	r := flow()
	r.Input, r.Output, r.SrcAS, r.DstAS, r.NextHop = 1<<16+7, 65535, 1<<16+7, 65535, netflow.Addr{0x20, 1}
	e.Append(replayed, &r)
	const want = "00000000" + "0000ffff" // next hop, input, output
	msg := e.AppendMessage(nil, replayed)
	if got := hex.EncodeToString(msg[24+8 : 24+16]); got != want {
		t.Errorf("next hop and interfaces: got %s, want %s", got, want)
	}
	if got := hex.EncodeToString(msg[24+40 : 24+44]); got != "5ba0ffff" { // 23456, 65535
		t.Errorf("AS numbers: got %s, want 5ba0ffff", got)
	}
	if got := hex.EncodeToString(msg[22:24]); got != "0000" {
		t.Errorf("sampling: got %s, want 0000: every packet is metered", got)
	}
}

func TestICMPGoesIntoThePort(t *testing.T) {
	for _, r := range []netflow.Record{
		{IPVersion: 4, Proto: 1, ICMPType: 3, ICMPCode: 1},
		{IPVersion: 4, Proto: 1, DstPort: 0x0301},
	} {
		e := v5.NewEncoder(v5.EncoderConfig{Version: 5, MaxBytes: 1400})
		e.Append(replayed, &r)
		if got := binary.BigEndian.Uint16(e.AppendMessage(nil, replayed)[24+34:]); got != 0x0301 {
			t.Errorf("port %#04x, want 0x0301", got)
		}
	}
}

func TestPartsAddUp(t *testing.T) {
	for _, c := range [][2]uint64{{1, 1}, {0, 0}, {1<<32 - 1, 1<<32 - 1}, {1 << 32, 5}, {3e6, 1 << 32}, {9e9, 123456789012}, {7, 1024 * (1<<32 - 1)}} {
		r := flow()
		r.Packets, r.Bytes = c[0], c[1]
		n := v5.Parts(&r)
		var packets, bytes uint64
		for i := range n {
			p := v5.Part(&r, i, n)
			if l := v5.LimitsOf(&p); l != 0 {
				t.Errorf("part %d of %d of %v has limits %b", i, n, c, l)
			}
			packets += p.Packets
			bytes += p.Bytes
		}
		if packets != c[0] || bytes != c[1] {
			t.Errorf("%v in %d parts adds up to %d packets, %d bytes", c, n, packets, bytes)
		}
	}
	r := flow()
	r.Bytes = 1<<64 - 1
	if n := v5.Parts(&r); n != v5.MaxParts || v5.Part(&r, 0, n).Bytes != 1<<32-1 {
		t.Errorf("an absurd counter: %d parts of %d bytes, want %d of %d", n, v5.Part(&r, 0, n).Bytes, v5.MaxParts, uint32(1<<32-1))
	}
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	netflowtest.EncodingDoesNotAllocate(t, v5.NewEncoder(v5.EncoderConfig{Version: 5, MaxBytes: 1400}), flow())
}

func BenchmarkEncode(b *testing.B) {
	e := v5.NewEncoder(v5.EncoderConfig{Version: 5, MaxBytes: 1400})
	r, buf := flow(), make([]byte, 0, 1500)
	for b.Loop() {
		if !e.Append(replayed, &r) {
			buf = e.AppendMessage(buf[:0], replayed)
			e.Append(replayed, &r)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
}

// TestSamplingMode: mode and interval share a field of the header, and the decoder reads back the interval.
func TestSamplingMode(t *testing.T) {
	for _, c := range []struct {
		sampling uint16
		random   bool
		want     uint16
	}{{0, false, 0}, {1, true, 0}, {2, false, 0x4002}, {2, true, 0x8002}, {v5.MaxSampling, true, 0xbfff}, {1 << 15, false, 0x7fff}} {
		e := v5.NewEncoder(v5.EncoderConfig{Version: 5, MaxBytes: 1400, Sampling: c.sampling, SamplingRandom: c.random})
		e.Append(1e6, &netflow.Record{IPVersion: 4, Start: 1e6, End: 1e6})
		msg := e.AppendMessage(nil, 1e6)
		if got := uint16(msg[22])<<8 | uint16(msg[23]); got != c.want {
			t.Errorf("%+v: got %#04x", c, got)
		}
	}
}
