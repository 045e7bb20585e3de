package ipfix_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
)

var (
	field = netflowtest.Field
	rec   = netflowtest.Record

	decoder = netflowtest.Decoder{
		Decode: ipfix.Decode, MaxRows: ipfix.MaxRows, HeaderLen: ipfix.HeaderLen, Templates: 2, Scope: field(149, 4),
		Message:   func() *netflowtest.Message { return netflowtest.IPFIX(netflowtest.Seconds, 7, 42) },
		Times:     []template.Field{field(152, 8), field(153, 8)},
		TimesData: rec(uint64(netflowtest.Seconds-2)*1000, uint64(netflowtest.Seconds-1)*1000),
	}
	domain, message, layout, record = decoder.Domain, decoder.Message, decoder.Layout(), decoder.Record
)

func TestSets(t *testing.T) {
	short := []template.Problem{template.BadSetLength}
	decoder.TestSets(t, []netflowtest.SetsCase{
		{Name: "no alignment", Msg: unaligned(), Flows: []byte{1, 2}},
		{Name: "reserved sets", Msg: message().Template(256, layout...).Set(0, make([]byte, 8)).Raw(0, 4, 0, 4).Data(256, record(1)).Bytes(), Flows: []byte{1},
			Problems: []template.Problem{template.ReservedSet, template.ReservedSet}},
		{Name: "zeros after the last set", Msg: message().Template(256, layout...).Data(256, record(1)).Raw(make([]byte, 900)...).Bytes(), Flows: []byte{1}, Problems: short},
		{Name: "three zeros after the last set", Msg: message().Template(256, layout...).Data(256, record(1)).Raw(0, 0, 0).Bytes(), Flows: []byte{1}, Problems: short},
		{Name: "padding of one byte less than a record", Msg: message().Template(256, layout...).Set(256, append(record(1), make([]byte, 31)...)).Bytes(), Flows: []byte{1}},
	})
}

// setLength changes the length in the header.
func setLength(msg []byte, n int) []byte {
	binary.BigEndian.PutUint16(msg[2:], uint16(n))
	return msg
}

// unaligned has a set of 22 bytes, and the next one right behind it: IPFIX pads only if the exporter likes to.
func unaligned() []byte {
	m := message().Template(256, layout...)
	options := append([]byte{0, 3, 0, 22}, 1, 1, 0, 3, 0, 1, 0, 149, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1)
	return m.Raw(options...).Data(256, record(1), record(2)).Bytes()
}

func TestMessageLength(t *testing.T) {
	whole := func() []byte {
		return message().Template(256, layout...).Data(256, record(1)).Data(256, record(2)).Bytes()
	}
	n := len(whole())
	tests := []struct {
		name   string
		length int
		flows  int
		bad    uint32
	}{
		{"right", n, 2, 0},
		{"longer than the datagram", n + 1, 0, 1},
		{"shorter by a set", n - 36, 1, 1},
		{"shorter, but the last set is there", n - 2, 2, 1},
		{"shorter than its header", 15, 0, 1},
		{"zero", 0, 0, 1},
	}
	for _, tt := range tests {
		b := netflow.NewBatch(10)
		var rep template.Report
		if err := ipfix.Decode(b, domain(), setLength(whole(), tt.length), &rep); err != nil {
			t.Fatal(err)
		}
		if b.Len() != tt.flows || rep.Problems[template.BadMessageLength] != tt.bad {
			t.Errorf("%s: %d flows, %+v, want %d", tt.name, b.Len(), rep, tt.flows)
		}
	}
}

func TestBiflowAndVariableLength(t *testing.T) {
	b := netflow.NewBatch(10)
	var rep template.Report
	msg := message().Template(256, field(27, 16), field(28, 16), field(1, 8), netflowtest.Reverse(1, 8), netflowtest.Reverse(2, 4),
		netflowtest.Reverse(6, 1), netflowtest.Enterprise(9, 12235, netflow.VariableLength), field(4, 1)).
		Data(256, rec("2001:db8::1", "2001:db8::2", uint64(1), uint64(2), uint32(3), uint8(0x12), netflowtest.Var(make([]byte, 300)), uint8(6))).Bytes()
	if err := ipfix.Decode(b, domain(), msg, &rep); err != nil || b.Len() != 1 {
		t.Fatal(err, rep)
	}
	w := netflow.Record{
		IPVersion: 6, SrcAddr: netflow.Addr{0x20, 1, 0xd, 0xb8, 15: 1}, DstAddr: netflow.Addr{0x20, 1, 0xd, 0xb8, 15: 2},
		Bytes: 1, ReverseBytes: 2, ReversePackets: 3, ReverseTCPFlags: 0x12, Proto: 6, Domain: 42, ExportVersion: 10,
	}
	if got := b.Record(0); got != w {
		t.Errorf("got %+v, want %+v", got, w)
	}
}

func TestOptionsAreKeptApart(t *testing.T) { decoder.TestOptions(t) }

func TestMoreRecordsThanRoom(t *testing.T) { decoder.TestRoom(t) }

func TestHeader(t *testing.T) {
	msg := message().Bytes()
	h, err := ipfix.ParseHeader(msg)
	if w := (ipfix.Header{Length: 16, Seconds: netflowtest.Seconds, Sequence: 7, Domain: 42}); h != w || err != nil {
		t.Errorf("got %+v, %v, want %+v", h, err, w)
	}
	for n := range msg {
		if err := ipfix.Decode(netflow.NewBatch(1), domain(), msg[:n], &template.Report{}); !errors.Is(err, ipfix.ErrShort) {
			t.Errorf("%d bytes: %v, want ErrShort", n, err)
		}
	}
	msg[1] = 9
	if err := ipfix.Decode(netflow.NewBatch(1), domain(), msg, &template.Report{}); !errors.Is(err, ipfix.ErrVersion) {
		t.Errorf("%v, want ErrVersion", err)
	}
}

// known announces a few layouts, so that the fuzzer need not find out how to.
func known() []byte {
	return message().Template(256, layout...).Template(257, field(4, 1), field(11, 2), field(10, 3)).
		Template(259, field(2, 2), netflowtest.Variable(82), netflowtest.Reverse(2, 2)).
		Options(258, 1, field(149, 4), field(48, 1), field(50, 2)).Bytes()
}

// FuzzDecode checks what netflowtest.Decoder says of any message.
func FuzzDecode(f *testing.F) {
	f.Add(message().Template(300, layout...).Data(300, record(1)).Data(256, record(2)).Data(257, make([]byte, 60)).Bytes(), uint16(100))
	f.Add(message().Options(301, 1, field(149, 4), field(34, 4)).Data(301, make([]byte, 16)).Data(258, make([]byte, 21)).Data(259, make([]byte, 50)).Bytes(), uint16(50))
	f.Add(unaligned(), uint16(30))
	f.Fuzz(func(t *testing.T, msg []byte, cut uint16) {
		short := slices.Clone(msg[:min(int(cut), len(msg))])
		if len(short) >= ipfix.HeaderLen && len(msg) == int(binary.BigEndian.Uint16(msg[2:])) {
			setLength(short, len(short))
		}
		decoder.Check(t, known(), msg, short)
	})
}

func BenchmarkDecode(b *testing.B) { decoder.Benchmark(b) }
