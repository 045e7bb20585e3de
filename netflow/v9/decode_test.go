package v9_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

const (
	seconds = 1_700_000_000
	uptime  = 500_000
)

var (
	field    = netflowtest.Field
	rec      = netflowtest.Record
	exporter = netflow.AddrFrom4([4]byte{192, 0, 2, 1})
	layout   = []template.Field{field(8, 4), field(12, 4), field(1, 4), field(2, 4), field(22, 4), field(21, 4)}
)

func domain() *template.Domain {
	return template.NewStore(template.Limits{}).Domain(exporter, netflow.VersionV9)
}

func message() *netflowtest.Message { return netflowtest.V9(seconds, uptime, 7, 42) }

func record(n byte) []byte {
	return rec(netflow.AddrFrom4([4]byte{10, 0, 0, n}), "10.9.9.9", uint32(n)*100, uint32(n), uint32(uptime-2000), uint32(uptime-1000))
}

func wanted(n byte) netflow.Record {
	return netflow.Record{
		IPVersion: 4, SrcAddr: netflow.AddrFrom4([4]byte{10, 0, 0, n}), DstAddr: netflow.AddrFrom4([4]byte{10, 9, 9, 9}),
		Bytes: uint64(n) * 100, Packets: uint64(n), Start: (seconds - 2) * 1e6, End: (seconds - 1) * 1e6,
		Domain: 42, ExportVersion: 9,
	}
}

func rows(b *netflow.Batch) []netflow.Record {
	var all []netflow.Record
	for i := range b.Len() {
		all = append(all, b.Record(i))
	}
	return all
}

func TestSets(t *testing.T) {
	problem := func(p template.Problem) (c [template.NumProblems]uint32) {
		c[p] = 1
		return c
	}
	var fine [template.NumProblems]uint32
	tests := []struct {
		name     string
		msg      []byte
		flows    []byte // of which addresses
		missing  []uint16
		problems [template.NumProblems]uint32
	}{
		{"template and data", message().Template(256, layout...).Data(256, record(1), record(2)).Bytes(), []byte{1, 2}, nil, fine},
		{"data before its template", message().Data(256, record(1)).Template(256, layout...).Data(256, record(2)).Bytes(),
			[]byte{2}, []uint16{256}, fine},
		{"unknown template among known", message().Template(256, layout...).Data(256, record(1)).Data(300, record(9)).Data(256, record(2)).Bytes(),
			[]byte{1, 2}, []uint16{300}, fine},
		{"a new layout from here on", message().Template(256, layout...).Data(256, record(1)).Template(256, append([]template.Field{field(210, 4)}, layout...)...).
			Data(256, append([]byte{9, 9, 9, 9}, record(2)...)).Bytes(), []byte{1, 2}, nil, fine},
		{"the count of the header does not matter", setCount(message().Template(256, layout...).Data(256, record(1)).Bytes(), 0), []byte{1}, nil, fine},
		{"a count too large", setCount(message().Template(256, layout...).Data(256, record(1)).Bytes(), 65535), []byte{1}, nil, fine},
		{"padding", message().Template(256, layout...).Set(256, append(record(1), make([]byte, 20)...)).Bytes(), []byte{1}, nil, fine},
		{"no alignment", unaligned(), []byte{1, 2}, nil, fine},
		{"reserved sets", message().Template(256, layout...).Set(2, make([]byte, 8)).Data(256, record(1)).Bytes(), []byte{1}, nil,
			problem(template.ReservedSet)},
		{"zeros after the last set", message().Template(256, layout...).Data(256, record(1)).Raw(make([]byte, 900)...).Bytes(), []byte{1}, nil, fine},
		{"three zeros after the last set", message().Template(256, layout...).Data(256, record(1)).Raw(0, 0, 0).Bytes(), []byte{1}, nil, fine},
		{"bytes after the last set", message().Template(256, layout...).Data(256, record(1)).Raw(0, 1).Bytes(), []byte{1}, nil,
			problem(template.BadSetLength)},
		{"set of length 3", message().Template(256, layout...).Data(256, record(1)).Raw(1, 0, 0, 3, 0, 0, 0, 0).Data(256, record(2)).Bytes(),
			[]byte{1}, nil, problem(template.BadSetLength)},
		{"set of length 0", message().Template(256, layout...).Data(256, record(1)).Raw(1, 0, 0, 0).Data(256, record(2)).Bytes(),
			[]byte{1}, nil, problem(template.BadSetLength)},
		{"set longer than the datagram", message().Template(256, layout...).Data(256, record(1)).Raw(1, 0, 0, 40).Raw(record(2)...).Bytes(),
			[]byte{1}, nil, problem(template.BadSetLength)},
		{"set shorter than a record", message().Template(256, layout...).Set(256, record(1)[:20]).Data(256, record(2)).Bytes(),
			[]byte{2}, nil, problem(template.ShortDataSet)},
		{"empty sets", message().Template(256, layout...).Set(256, nil).Set(0, nil).Set(1, nil).Data(256, record(2)).Bytes(), []byte{2}, nil, fine},
		{"template of no length, then its data", message().Template(256, field(1, 0)).Data(256, record(1)).Bytes(), nil, []uint16{256},
			problem(template.TemplateZero)},
		{"header only", message().Bytes(), nil, nil, fine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := netflow.NewBatch(10)
			var rep template.Report
			if err := v9.Decode(b, domain(), tt.msg, &rep); err != nil {
				t.Fatal(err)
			}
			var all []netflow.Record
			for _, n := range tt.flows {
				all = append(all, wanted(n))
			}
			if got := rows(b); !slices.Equal(got, all) {
				t.Errorf("got %+v, want %+v", got, all)
			}
			if rep.Flows != len(tt.flows) || !slices.Equal(rep.Missing, tt.missing) || rep.Problems != tt.problems {
				t.Errorf("got %+v, want %d flows, missing %v, problems %v", rep, len(tt.flows), tt.missing, tt.problems)
			}
			netflowtest.CheckBatch(t, b)
		})
	}
}

func setCount(msg []byte, n uint16) []byte {
	binary.BigEndian.PutUint16(msg[2:], n)
	return msg
}

// unaligned is what softflowd sends: a set of 26 bytes, and the next one right behind it.
func unaligned() []byte {
	m := message().Template(256, layout...)
	options := append([]byte{0, 1, 0, 22}, 1, 1, 0, 4, 0, 8, 0, 2, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1)
	return m.Raw(options...).Data(256, record(1), record(2)).Bytes()
}

func TestOptionsAreKeptApart(t *testing.T) {
	b := netflow.NewBatch(10)
	var rep template.Report
	msg := message().
		Options(300, 1, field(1, 4), field(34, 4), field(35, 1)).
		Options(301, 1, field(1, 4), field(48, 1), field(49, 1), field(50, 2)).
		Template(256, append([]template.Field{field(48, 1)}, layout...)...).
		Data(300, rec(uint32(1), uint32(100), uint8(1))).
		Data(301, rec(uint32(1), uint8(3), uint8(2), uint16(2000)), rec(uint32(1), uint8(4), uint8(2), uint16(4000))).
		Data(256, append([]byte{3}, record(1)...), append([]byte{0}, record(2)...)).Bytes()
	if err := v9.Decode(b, domain(), msg, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Options != 3 || rep.Flows != 2 || rep.New != 3 {
		t.Errorf("%+v", rep)
	}
	for i, rate := range []uint32{2000, 100} {
		w := wanted(byte(i + 1))
		w.SamplingRate = rate
		if got := b.Record(i); got != w {
			t.Errorf("got %+v, want %+v", got, w)
		}
	}
}

func TestHeader(t *testing.T) {
	msg := setCount(message().Bytes(), 5)
	h, err := v9.ParseHeader(msg)
	if w := (v9.Header{Count: 5, Uptime: uptime, Seconds: seconds, Sequence: 7, SourceID: 42}); h != w || err != nil {
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

func TestMoreRecordsThanRoom(t *testing.T) {
	b := netflow.NewBatch(3)
	var rep template.Report
	msg := message().Template(256, layout...).Data(256, record(1), record(2), record(3), record(4), record(5)).Bytes()
	d := domain()
	if got := v9.MaxRows(d, msg); got < 5 {
		t.Errorf("MaxRows %d with the template to come, want 5 or more", got)
	}
	if err := v9.Decode(b, d, msg, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Flows != 3 || rep.Problems[template.TooManyRecords] != 2 || b.Len() != 3 {
		t.Errorf("%+v, %d rows", rep, b.Len())
	}
	if got := v9.MaxRows(d, message().Data(256, record(1), record(2)).Bytes()); got != 2 {
		t.Errorf("MaxRows %d of two records, want 2", got)
	}
}

// fuzzDomain is a domain that knows a few layouts, so that the fuzzer need not find out how to announce any.
func fuzzDomain(t testing.TB) *template.Domain {
	d := domain()
	var rep template.Report
	msg := message().Template(256, layout...).Template(257, field(4, 1), field(11, 2), field(10, 3)).
		Options(258, 1, field(1, 4), field(48, 1), field(50, 2)).Bytes()
	if err := v9.Decode(netflow.NewBatch(1), d, msg, &rep); err != nil || rep.New != 3 {
		t.Fatal(err, rep)
	}
	return d
}

// FuzzDecode checks that decoding is a function of the bytes, that no byte counts for two rows, that a datagram cut short
// gives the beginning of what the whole one gives, and that the batch stays in order.
func FuzzDecode(f *testing.F) {
	f.Add(message().Template(300, layout...).Data(300, record(1)).Data(256, record(2)).Data(257, make([]byte, 60)).Bytes(), uint16(100))
	f.Add(message().Options(301, 1, field(1, 4), field(34, 4)).Data(301, make([]byte, 16)).Data(258, make([]byte, 21)).Bytes(), uint16(50))
	f.Add(unaligned(), uint16(30))
	f.Fuzz(func(t *testing.T, msg []byte, cut uint16) {
		decode := func(msg []byte) (*netflow.Batch, template.Report, int) {
			b, d := netflow.NewBatch(64), fuzzDomain(t)
			limit := v9.MaxRows(d, msg)
			var rep template.Report
			if err := v9.Decode(b, d, msg, &rep); err != nil && (b.Len() != 0 || fmt.Sprint(rep) != fmt.Sprint(template.Report{})) {
				t.Fatalf("%v, but %d rows, %+v", err, b.Len(), rep)
			}
			return b, rep, limit
		}
		b, rep, limit := decode(msg)
		again, repAgain, _ := decode(msg)
		if !slices.Equal(rows(b), rows(again)) || fmt.Sprint(rep) != fmt.Sprint(repAgain) {
			t.Fatalf("decoded twice: %+v and %+v", rep, repAgain)
		}
		records := b.Len() + int(rep.Problems[template.TooManyRecords])
		if rep.Flows != b.Len() || records > limit || records+rep.Options > max(len(msg)-20, 0) {
			t.Fatalf("%d rows, %+v, from %d bytes, MaxRows %d", b.Len(), rep, len(msg), limit)
		}
		netflowtest.CheckBatch(t, b)
		part, _, _ := decode(msg[:min(int(cut), len(msg))])
		if part.Len() > b.Len() || !slices.Equal(rows(part), rows(b)[:part.Len()]) {
			t.Fatalf("cut at %d: %d rows of %d, or other ones", cut, part.Len(), b.Len())
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	fields := []template.Field{
		field(8, 4), field(12, 4), field(15, 4), field(10, 4), field(14, 4), field(2, 4), field(1, 4), field(22, 4), field(21, 4),
		field(7, 2), field(11, 2), field(4, 1), field(6, 1), field(5, 1), field(16, 4), field(17, 4), field(9, 1), field(13, 1),
		field(61, 1), field(136, 1),
	}
	record := make([]byte, 55)
	for i := range record {
		record[i] = byte(i)
	}
	record[40] = 6
	m := message()
	d := domain()
	batch := netflow.NewBatch(2400)
	var rep template.Report
	if err := v9.Decode(batch, d, message().Template(256, fields...).Bytes(), &rep); err != nil {
		b.Fatal(err)
	}
	var records [][]byte
	for range 24 {
		records = append(records, record)
	}
	msg := m.Data(256, records...).Bytes()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if batch.Room() < 24 {
			batch.Reset()
		}
		rep.Reset()
		_ = v9.Decode(batch, d, msg, &rep)
		n += rep.Flows
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/flow")
}
