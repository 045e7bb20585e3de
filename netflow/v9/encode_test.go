package v9_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

var flow, ping6, replayed = netflowtest.Flow, netflowtest.Ping6, netflowtest.Now // 1393909567.250

// Clocks as in the golden datagrams of version 5: header 53155f3f at uptime 0036fa38, flow from 0036ef7a to 0036f93e.
const golden = "0009 0006 0036fa38 53155f3f 00000000 0a0b0c0d" + // 6 records: 3 templates, 1 of options, 2 flows
	// Two templates, ids 256 and 285, of 16 and 27 fields: 4 + 4+64 + 4+108 = 184 bytes.
	"0000 00b8" +
	"0100 0010" + "00080004 000c0004" + base +
	"011d 001b" + "001b0010 001c0010" + base + "00b20001 00b30001" + "003a0002 00380006 00500006" +
	"00100004 00110004 00590001 001d0001 001e0001 003e0010" +
	// Options template 288, scope system, sampling interval and algorithm: 4 + 18 + 2 of padding.
	"0001 0018" + "0120 0004 0008 00010004 00220004 00230001 0000" +
	"0120 0010" + "00000000 00000064 01 000000" +
	// One IPv4 flow of 50 bytes, 2 of padding.
	"0100 0038" + "0a010203 c0a80405 3132 3334 06 1b b8 04 01 03 0036ef7a 0036f93e" +
	"0a0b0c0d0e0f1011 0102030405060708 11121314 15161718" + "0000" +
	// One IPv6 flow of 32+42+2+14+27 = 117 bytes, 3 of padding.
	"011d 007c" + "20010000000000000000000000000001 20020000000000000000000000000002" +
	"0000 8007 3a 00 b8 06 01 03 0036ef7a 0036f93e" +
	"0a0b0c0d0e0f1011 0102030405060708 11121314 15161718" + "8007" +
	"0123 020000000001 020000000002" + "0000fc00 00010001 40 30 40 fe800000000000000000000000000003" + "000000"

const base = "00070002 000b0002 00040001 00060001 00050001 003c0001 003d0001 00880001" +
	"00160004 00150004 00010008 00020008 000a0004 000e0004"

func TestGoldenDatagram(t *testing.T) {
	want := netflowtest.Hex(t, golden)
	e := v9.NewEncoder(v9.EncoderConfig{MaxBytes: 1400, SourceID: 0x0a0b0c0d, Sampling: 100, TemplateEvery: time.Minute, TemplateMessages: 20})
	a, b := flow(), ping6()
	if !e.Append(replayed, &a) || !e.Append(replayed, &b) {
		t.Fatal("no room for two flows")
	}
	if got := e.AppendMessage([]byte("x"), replayed); string(got[:1]) != "x" || !bytes.Equal(got[1:], want) {
		t.Errorf("\n got %x\nwant %x", got[1:], want)
	}
}

// check walks a datagram as RFC 3954 lays it out, with the record lengths of templates seen before, and returns the flow
// records.
func check(t *testing.T, msg []byte, lengths map[uint16]int) (flows int) {
	t.Helper()
	records := 0
	for b := msg[20:]; len(b) > 0; {
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n <= 4 || n%4 != 0 || n > len(b) {
			t.Fatalf("set %d of %d bytes with %d left", id, n, len(b))
		}
		body := b[4:n]
		b = b[n:]
		switch {
		case id == 0:
			for len(body) > 3 {
				fields, total := int(binary.BigEndian.Uint16(body[2:])), 0
				for i := range fields {
					total += int(binary.BigEndian.Uint16(body[4+4*i+2:]))
				}
				lengths[binary.BigEndian.Uint16(body)] = total
				body = body[4+4*fields:]
				records++
			}
		case id == 1:
			records += 2 // the template and, in the next set, the one record
			n = int(binary.BigEndian.Uint16(b[2:]))
			b = b[n:]
		default:
			size := lengths[id]
			if size == 0 {
				t.Fatalf("data of template %d before the template", id)
			}
			flows += len(body) / size
			body = body[len(body)/size*size:]
		}
		if len(body) > 3 && id != 1 || len(bytes.Trim(body, "\x00")) > 0 && id != 1 {
			t.Fatalf("set %d ends in %x", id, body)
		}
	}
	if got := int(binary.BigEndian.Uint16(msg[2:])); got != records+flows {
		t.Fatalf("a count of %d in a datagram of %d records", got, records+flows)
	}
	return flows
}

// random makes flows of every kind, with hostile values.
func random(rnd *rand.Rand) netflow.Record {
	r := netflow.Record{IPVersion: []uint8{4, 6, 0}[rnd.IntN(3)], Proto: []uint8{1, 6, 17, 58}[rnd.IntN(4)], ICMPType: 8}
	r.Start = replayed + netflow.Timestamp(rnd.Int64N(1<<uint(1+rnd.IntN(50))))
	r.End = r.Start + netflow.Timestamp(rnd.Int64N(1<<uint(1+rnd.IntN(60)))) - 1000
	if rnd.IntN(4) == 0 {
		r.VLAN = 7
	}
	if rnd.IntN(4) == 0 {
		r.DstAS = 7
	}
	return r
}

func FuzzDatagramsAreWellFormed(f *testing.F) {
	f.Add(uint64(1), uint16(1400), uint8(20))
	f.Add(uint64(2), uint16(0), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, maxBytes uint16, every uint8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		e := v9.NewEncoder(v9.EncoderConfig{
			MaxBytes: int(maxBytes), Sampling: uint32(every), TemplateEvery: time.Minute, TemplateMessages: int(every),
		})
		lengths, flows := map[uint16]int{}, 0
		sequence := uint32(0)
		complete := func(now netflow.Timestamp) {
			msg := e.AppendMessage(nil, now)
			if limit := max(int(maxBytes), v9.MinBytes); len(msg) > limit {
				t.Fatalf("%d bytes, want at most %d", len(msg), limit)
			}
			if got := binary.BigEndian.Uint32(msg[12:]); got != sequence {
				t.Fatalf("sequence %d, want %d", got, sequence)
			}
			sequence++
			flows += check(t, msg, lengths)
		}
		for range 200 {
			r := random(rnd)
			if !e.Append(r.End, &r) {
				complete(r.End)
				if !e.Append(r.End, &r) {
					t.Fatal("no room in an empty datagram")
				}
			}
		}
		complete(replayed)
		if flows != 200 {
			t.Errorf("%d flows came out, want 200", flows)
		}
	})
}

func TestTemplatesComeBack(t *testing.T) {
	e := v9.NewEncoder(v9.EncoderConfig{MaxBytes: 1400, TemplateEvery: time.Minute, TemplateMessages: 20})
	var with []int
	for i := range 45 {
		if i == 42 {
			e.ResendTemplates()
		}
		r := flow()
		e.Append(replayed, &r)
		if msg := e.AppendMessage(nil, replayed); binary.BigEndian.Uint16(msg[20:]) == 0 {
			with = append(with, i)
		}
	}
	if want := []int{0, 20, 40, 42}; !slices.Equal(with, want) {
		t.Errorf("templates in datagrams %v, want %v", with, want)
	}
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	netflowtest.EncodingDoesNotAllocate(t, v9.NewEncoder(v9.EncoderConfig{MaxBytes: 1400, TemplateEvery: time.Minute, TemplateMessages: 20}), flow(), ping6())
}

func BenchmarkEncode(b *testing.B) {
	e := v9.NewEncoder(v9.EncoderConfig{MaxBytes: 1400, TemplateEvery: time.Minute, TemplateMessages: 20})
	r, buf := flow(), make([]byte, 0, 1500)
	for b.Loop() {
		if !e.Append(replayed, &r) {
			buf = e.AppendMessage(buf[:0], replayed)
			e.Append(replayed, &r)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
}
