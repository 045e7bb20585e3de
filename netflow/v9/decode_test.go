package v9_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

const uptime = 500_000

var (
	field = netflowtest.Field
	rec   = netflowtest.Record

	decoder = netflowtest.Decoder{
		Decode: v9.Decode, MaxRows: v9.MaxRows, HeaderLen: v9.HeaderLen, Templates: 0, Scope: field(1, 4),
		Message:   func() *netflowtest.Message { return netflowtest.V9(netflowtest.Seconds, uptime, 7, 42) },
		Times:     []template.Field{field(22, 4), field(21, 4)},
		TimesData: rec(uint32(uptime-2000), uint32(uptime-1000)),
	}
	domain, message, layout, record = decoder.Domain, decoder.Message, decoder.Layout(), decoder.Record
)

func TestSets(t *testing.T) {
	decoder.TestSets(t, []netflowtest.SetsCase{
		{Name: "the count of the header does not matter", Msg: setCount(message().Template(256, layout...).Data(256, record(1)).Bytes(), 0), Flows: []byte{1}},
		{Name: "a count too large", Msg: setCount(message().Template(256, layout...).Data(256, record(1)).Bytes(), 65535), Flows: []byte{1}},
		{Name: "no alignment", Msg: unaligned(), Flows: []byte{1, 2}},
		{Name: "reserved sets", Msg: message().Template(256, layout...).Set(2, make([]byte, 8)).Data(256, record(1)).Bytes(), Flows: []byte{1},
			Problems: []template.Problem{template.ReservedSet}},
		{Name: "zeros after the last set", Msg: message().Template(256, layout...).Data(256, record(1)).Raw(make([]byte, 900)...).Bytes(), Flows: []byte{1}},
		{Name: "three zeros after the last set", Msg: message().Template(256, layout...).Data(256, record(1)).Raw(0, 0, 0).Bytes(), Flows: []byte{1}},
	})
}

func setCount(msg []byte, n uint16) []byte {
	binary.BigEndian.PutUint16(msg[2:], n)
	return msg
}

// unaligned is what softflowd sends: a set of 22 bytes, and the next one right behind it.
func unaligned() []byte {
	m := message().Template(256, layout...)
	options := append([]byte{0, 1, 0, 22}, 1, 1, 0, 4, 0, 8, 0, 2, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1)
	return m.Raw(options...).Data(256, record(1), record(2)).Bytes()
}

func TestOptionsAreKeptApart(t *testing.T) { decoder.TestOptions(t) }

func TestMoreRecordsThanRoom(t *testing.T) { decoder.TestRoom(t) }

func TestHeader(t *testing.T) {
	msg := setCount(message().Bytes(), 5)
	h, err := v9.ParseHeader(msg)
	if w := (v9.Header{Count: 5, Uptime: uptime, Seconds: netflowtest.Seconds, Sequence: 7, SourceID: 42}); h != w || err != nil {
		t.Errorf("got %+v, %v, want %+v", h, err, w)
	}
	for n := range msg {
		if err := v9.Decode(netflow.NewBatch(1), domain(), msg[:n], &template.Report{}); !errors.Is(err, v9.ErrShort) {
			t.Errorf("%d bytes: %v, want ErrShort", n, err)
		}
	}
	msg[1] = 10
	if err := v9.Decode(netflow.NewBatch(1), domain(), msg, &template.Report{}); !errors.Is(err, v9.ErrVersion) {
		t.Errorf("%v, want ErrVersion", err)
	}
}

// known announces a few layouts, so that the fuzzer need not find out how to.
func known() []byte {
	return message().Template(256, layout...).Template(257, field(4, 1), field(11, 2), field(10, 3)).
		Options(258, 1, field(1, 4), field(48, 1), field(50, 2)).Bytes()
}

// FuzzDecode checks what netflowtest.Decoder says of any message.
func FuzzDecode(f *testing.F) {
	f.Add(message().Template(300, layout...).Data(300, record(1)).Data(256, record(2)).Data(257, make([]byte, 60)).Bytes(), uint16(100))
	f.Add(message().Options(301, 1, field(1, 4), field(34, 4)).Data(301, make([]byte, 16)).Data(258, make([]byte, 21)).Bytes(), uint16(50))
	f.Add(unaligned(), uint16(30))
	f.Fuzz(func(t *testing.T, msg []byte, cut uint16) {
		decoder.Check(t, known(), msg, msg[:min(int(cut), len(msg))])
	})
}

func BenchmarkDecode(b *testing.B) { decoder.Benchmark(b) }
