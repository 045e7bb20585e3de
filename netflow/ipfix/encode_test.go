package ipfix_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/netflowtest"
)

var flow, ping6, replayed = netflowtest.Flow, netflowtest.Ping6, netflowtest.Now // 1393909567.250

// Export time 1393909567 = 53155f3f. The flow began at 1393909564250 ms = 0144 8b7c 035a and ended at 1393909566750 ms =
// 0144 8b7c 0d1e. The length: 16 + 208 + 22 + 13 + 63 + 148 = 470 = 01d6.
const golden = "000a 01d6 53155f3f 00000000 0a0b0c0d" +
	// Two templates, ids 256 and 317, of 16 and 30 fields, three of them with an enterprise number: 4 + 4+64 + 4+120+12.
	"0002 00d0" +
	"0100 0010" + "00080004 000c0004" + base +
	"013d 001e" + "001b0010 001c0010" + base + "00b20001 00b30001" + "003a0002 00380006 00500006" +
	"80010008 00007279 80020008 00007279 80060002 00007279" +
	"00100004 00110004 00590001 001d0001 001e0001 003e0010" +
	// Options template 320 of 3 fields, 1 of them scope: observation domain; sampling interval and algorithm.
	"0003 0016" + "0140 0003 0001 00950004 00220004 00230001" +
	"0140 000d" + "0a0b0c0d 00000064 01" +
	// One IPv4 flow of 8+51 = 59 bytes.
	"0100 003f" + "0a010203 c0a80405 3132 3334 06 011b b8 04 000001448b7c035a 000001448b7c0d1e" +
	"0a0b0c0d0e0f1011 0102030405060708 11121314 15161718 03 01" +
	// One IPv6 flow of 32+51+2+14+18+27 = 144 bytes.
	"013d 0094" + "20010000000000000000000000000001 20020000000000000000000000000002" +
	"0000 8007 3a 0000 b8 06 000001448b7c035a 000001448b7c0d1e" +
	"0a0b0c0d0e0f1011 0102030405060708 11121314 15161718 03 01" + "80 07" +
	"0123 020000000001 020000000002" + "0000000000002223 0000000000000021 0019" +
	"0000fc00 00010001 40 30 40 fe800000000000000000000000000003"

const base = "00070002 000b0002 00040001 00060002 00050001 003c0001 00980008 00990008" +
	"00010008 00020008 000a0004 000e0004 00880001 003d0001"

func TestGoldenMessage(t *testing.T) {
	want := netflowtest.Hex(t, golden)
	e := ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: 1400, Domain: 0x0a0b0c0d, Sampling: 100, TemplateEvery: time.Minute, TemplateMessages: 20})
	a, b := flow(), ping6()
	if !e.Append(replayed, &a) || !e.Append(replayed, &b) {
		t.Fatal("no room for two flows")
	}
	if got := e.AppendMessage([]byte("x"), replayed); string(got[:1]) != "x" || !bytes.Equal(got[1:], want) {
		t.Errorf("\n got %x\nwant %x", got[1:], want)
	}
	e.Append(replayed, &a)
	if got := binary.BigEndian.Uint32(e.AppendMessage(nil, replayed)[8:]); got != 3 {
		t.Errorf("sequence %d, want 3: two flows and a record of options", got)
	}
}

// With TCPMetrics there are templates behind 512 too: Flowmon's element 69, and 109 and 110 of ntop, for flows that have them.
func TestGoldenTCPMetrics(t *testing.T) {
	a := flow()
	a.TCPRTT, a.ReverseTCPRetransmits = 0x01020304, 0x21
	for _, on := range []bool{true, false} {
		want, err := hex.DecodeString(strings.ReplaceAll("000a 00bb 53155f3f 00000000 0a0b0c0d"+
			"0002 0060 0200 0013 00080004 000c0004"+base+"80450004 00009a4b 806d0004 00008b30 806e0004 00008b30"+
			"0200 004b 0a010203 c0a80405 3132 3334 06 011b b8 04 000001448b7c035a 000001448b7c0d1e"+
			"0a0b0c0d0e0f1011 0102030405060708 11121314 15161718 03 01 01020304 00000000 00000021", " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		e := ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: 1400, Domain: 0x0a0b0c0d, TCPMetrics: on, TemplateEvery: time.Minute, TemplateMessages: 20})
		if !e.Append(replayed, &a) {
			t.Fatal("no room for a flow")
		}
		got := e.AppendMessage(nil, replayed)
		if on && !bytes.Equal(got, want) {
			t.Errorf("\n got %x\nwant %x", got, want)
		}
		if id := binary.BigEndian.Uint16(got[20:]); !on && id != 256 {
			t.Errorf("template %d of a flow without metrics, want 256", id)
		}
	}
}

// check walks a message as RFC 7011 lays it out, with the record lengths of templates seen before, and returns the data
// records.
func check(t *testing.T, msg []byte, lengths map[uint16]int) (records int) {
	t.Helper()
	if got := int(binary.BigEndian.Uint16(msg[2:])); got != len(msg) {
		t.Fatalf("a length of %d in a message of %d bytes", got, len(msg))
	}
	for b := msg[16:]; len(b) > 0; {
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n <= 4 || n > len(b) {
			t.Fatalf("set %d of %d bytes with %d left", id, n, len(b))
		}
		body := b[4:n]
		b = b[n:]
		if id == 2 || id == 3 {
			for len(body) > 0 {
				fields, total, at := int(binary.BigEndian.Uint16(body[2:])), 0, 4+2*(int(id)-2)
				for range fields {
					total += int(binary.BigEndian.Uint16(body[at+2:]))
					if body[at]&0x80 != 0 {
						at += 4
					}
					at += 4
				}
				lengths[binary.BigEndian.Uint16(body)] = total
				body = body[at:]
			}
			continue
		}
		size := lengths[id]
		if size == 0 {
			t.Fatalf("data of template %d before the template", id)
		}
		if len(body)%size != 0 {
			t.Fatalf("set %d has %d bytes, records have %d", id, len(body), size)
		}
		records += len(body) / size
	}
	return records
}

// random makes flows of every kind.
func random(rnd *rand.Rand) netflow.Record {
	r := netflow.Record{IPVersion: []uint8{4, 6, 0}[rnd.IntN(3)], Proto: []uint8{1, 6, 17, 58}[rnd.IntN(4)], ICMPType: 8}
	r.Start = netflow.Timestamp(rnd.Int64())
	r.End = r.Start
	if rnd.IntN(4) == 0 {
		r.VLAN = 7
	}
	if rnd.IntN(4) == 0 {
		r.ReverseBytes = 7
	}
	if rnd.IntN(4) == 0 {
		r.DstAS = 7
	}
	return r
}

func FuzzMessagesAreWellFormed(f *testing.F) {
	f.Add(uint64(1), uint16(1400), uint8(20))
	f.Add(uint64(2), uint16(0), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, maxBytes uint16, every uint8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		e := ipfix.NewEncoder(ipfix.EncoderConfig{
			MaxBytes: int(maxBytes), Sampling: uint32(every), TemplateEvery: time.Minute, TemplateMessages: int(every),
		})
		lengths, before, flows := map[uint16]int{}, 0, 0
		complete := func(now netflow.Timestamp) {
			flows += e.Len()
			msg := e.AppendMessage(nil, now)
			if limit := max(int(maxBytes), ipfix.MinBytes); len(msg) > limit {
				t.Fatalf("%d bytes, want at most %d", len(msg), limit)
			}
			if got := binary.BigEndian.Uint32(msg[8:]); got != uint32(before) {
				t.Fatalf("sequence %d, want %d: the records before", got, before)
			}
			before += check(t, msg, lengths)
		}
		for range 200 {
			r := random(rnd)
			if !e.Append(r.End, &r) {
				complete(r.End)
				if !e.Append(r.End, &r) {
					t.Fatal("no room in an empty message")
				}
			}
		}
		complete(replayed)
		if flows != 200 || before < 200 || every < 2 && before != 200 {
			t.Errorf("%d flows and %d data records came out, want 200", flows, before)
		}
	})
}

func TestTemplatesComeBack(t *testing.T) {
	e := ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: 1400, TemplateEvery: time.Minute, TemplateMessages: 20})
	var with []int
	now := replayed
	for i := range 45 {
		switch i {
		case 30:
			now += 60e6
		case 42:
			e.ResendTemplates()
		}
		r := flow()
		e.Append(now, &r)
		if msg := e.AppendMessage(nil, now); binary.BigEndian.Uint16(msg[16:]) == 2 {
			with = append(with, i)
		}
	}
	if want := []int{0, 20, 30, 42}; !slices.Equal(with, want) {
		t.Errorf("templates in messages %v, want %v", with, want)
	}
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	netflowtest.EncodingDoesNotAllocate(t, ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: 1400, TemplateEvery: time.Minute, TemplateMessages: 20}), flow(), ping6())
}

func BenchmarkEncode(b *testing.B) {
	e := ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: 1400, TemplateEvery: time.Minute, TemplateMessages: 20})
	r, buf := flow(), make([]byte, 0, 1500)
	for b.Loop() {
		if !e.Append(replayed, &r) {
			buf = e.AppendMessage(buf[:0], replayed)
			e.Append(replayed, &r)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
}
