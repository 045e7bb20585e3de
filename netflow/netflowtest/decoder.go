package netflowtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/template"
)

// Seconds is the unix time at which messages of Decoder are exported.
const Seconds = 1_700_000_000

// Decoder is package v9 or ipfix, and its tests what is to hold of both. They talk of a template of addresses, bytes, packets
// and times, and of flows that differ by a number.
type Decoder struct {
	Decode    func(dst *netflow.Batch, d *template.Domain, msg []byte, rep *template.Report) error
	MaxRows   func(d *template.Domain, msg []byte) int
	HeaderLen int
	Message   func() *Message  // begins a message of domain 42, exported at Seconds
	Templates uint16           // set id of templates; options templates have the next
	Scope     template.Field   // for options about all flows, of 4 bytes
	Times     []template.Field // when a flow began and ended
	TimesData []byte           // their values: 2 s and 1 s before the export
}

// Domain is one that knows no template yet.
func (d *Decoder) Domain() *template.Domain {
	exporter := netflow.AddrFrom4([4]byte{192, 0, 2, 1})
	return template.NewStore(template.Limits{}).Domain(exporter, uint8(d.Message().version))
}

// Layout is the template.
func (d *Decoder) Layout() []template.Field {
	return append([]template.Field{Field(8, 4), Field(12, 4), Field(1, 4), Field(2, 4)}, d.Times...)
}

// Record is the data record of flow n.
func (d *Decoder) Record(n byte) []byte {
	return Record(netflow.AddrFrom4([4]byte{10, 0, 0, n}), "10.9.9.9", uint32(n)*100, uint32(n), d.TimesData)
}

// Flow is flow n.
func (d *Decoder) Flow(n byte) netflow.Record {
	return netflow.Record{
		IPVersion: 4, SrcAddr: netflow.AddrFrom4([4]byte{10, 0, 0, n}), DstAddr: netflow.AddrFrom4([4]byte{10, 9, 9, 9}),
		Bytes: uint64(n) * 100, Packets: uint64(n), Start: (Seconds - 2) * 1e6, End: (Seconds - 1) * 1e6,
		Domain: 42, ExportVersion: uint8(d.Message().version),
	}
}

// Rows is the flows of a batch.
func Rows(b *netflow.Batch) []netflow.Record {
	var all []netflow.Record
	for i := range b.Len() {
		all = append(all, b.Record(i))
	}
	return all
}

// SetsCase is a message, and what comes of it.
type SetsCase struct {
	Name     string
	Msg      []byte
	Flows    []byte // by number
	Missing  []uint16
	Problems []template.Problem // once each time they are met
}

// TestSets decodes the package's own cases, and those that v9 and IPFIX have in common.
func (d *Decoder) TestSets(t *testing.T, own []SetsCase) {
	layout, longer := d.Layout(), append([]template.Field{Field(210, 4)}, d.Layout()...)
	one := func() *Message { return d.Message().Template(256, layout...).Data(256, d.Record(1)) }
	short := []template.Problem{template.BadSetLength}
	cases := append([]SetsCase{
		{"template and data", d.Message().Template(256, layout...).Data(256, d.Record(1), d.Record(2)).Bytes(), []byte{1, 2}, nil, nil},
		{"data before its template", d.Message().Data(256, d.Record(1)).Template(256, layout...).Data(256, d.Record(2)).Bytes(),
			[]byte{2}, []uint16{256}, nil},
		{"unknown template among known", one().Data(300, d.Record(9)).Data(256, d.Record(2)).Bytes(), []byte{1, 2}, []uint16{300}, nil},
		{"a new layout from here on", one().Template(256, longer...).Data(256, append([]byte{9, 9, 9, 9}, d.Record(2)...)).Bytes(), []byte{1, 2}, nil, nil},
		{"padding", d.Message().Template(256, layout...).Set(256, append(d.Record(1), make([]byte, 20)...)).Bytes(), []byte{1}, nil, nil},
		{"bytes after the last set", one().Raw(0, 1).Bytes(), []byte{1}, nil, short},
		{"set of length 3", one().Raw(1, 0, 0, 3, 0, 0, 0, 0).Data(256, d.Record(2)).Bytes(), []byte{1}, nil, short},
		{"set of length 0", one().Raw(1, 0, 0, 0).Data(256, d.Record(2)).Bytes(), []byte{1}, nil, short},
		{"set longer than the message", one().Raw(1, 0, 0, byte(5+len(d.Record(2)))).Raw(d.Record(2)...).Bytes(), []byte{1}, nil, short},
		{"set shorter than a record", d.Message().Template(256, layout...).Set(256, d.Record(1)[:20]).Data(256, d.Record(2)).Bytes(),
			[]byte{2}, nil, []template.Problem{template.ShortDataSet}},
		{"empty sets", d.Message().Template(256, layout...).Set(256, nil).Set(d.Templates, nil).Set(d.Templates+1, nil).Data(256, d.Record(2)).Bytes(),
			[]byte{2}, nil, nil},
		{"template of no length, then its data", d.Message().Template(256, Field(1, 0)).Data(256, d.Record(1)).Bytes(), nil, []uint16{256},
			[]template.Problem{template.TemplateZero}},
		{"header only", d.Message().Bytes(), nil, nil, nil},
	}, own...)
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) {
			b := netflow.NewBatch(10)
			var rep template.Report
			if err := d.Decode(b, d.Domain(), tt.Msg, &rep); err != nil {
				t.Fatal(err)
			}
			var flows []netflow.Record
			for _, n := range tt.Flows {
				flows = append(flows, d.Flow(n))
			}
			if got := Rows(b); !slices.Equal(got, flows) {
				t.Errorf("got %+v, want %+v", got, flows)
			}
			var problems [template.NumProblems]uint32
			for _, p := range tt.Problems {
				problems[p]++
			}
			if rep.Flows != len(flows) || !slices.Equal(rep.Missing, tt.Missing) || rep.Problems != problems {
				t.Errorf("got %+v, want %d flows, missing %v, problems %v", rep, len(flows), tt.Missing, problems)
			}
			CheckBatch(t, b)
		})
	}
}

// TestOptions decodes options data between flows: samplers, and the rate of those that name none.
func (d *Decoder) TestOptions(t *testing.T) {
	b := netflow.NewBatch(10)
	var rep template.Report
	msg := d.Message().
		Options(300, 1, d.Scope, Field(34, 4), Field(35, 1)).
		Options(301, 1, d.Scope, Field(48, 1), Field(49, 1), Field(50, 2)).
		Template(256, append([]template.Field{Field(48, 1)}, d.Layout()...)...).
		Data(300, Record(uint32(1), uint32(100), uint8(1))).
		Data(301, Record(uint32(1), uint8(3), uint8(2), uint16(2000)), Record(uint32(1), uint8(4), uint8(2), uint16(4000))).
		Data(256, append([]byte{3}, d.Record(1)...), append([]byte{0}, d.Record(2)...)).Bytes()
	if err := d.Decode(b, d.Domain(), msg, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Options != 3 || rep.Flows != 2 || rep.New != 3 {
		t.Errorf("%+v", rep)
	}
	for i, rate := range []uint32{2000, 100} {
		w := d.Flow(byte(i + 1))
		w.SamplingRate = rate
		if got := b.Record(i); got != w {
			t.Errorf("got %+v, want %+v", got, w)
		}
	}
}

// TestRoom decodes more records than the batch has room for.
func (d *Decoder) TestRoom(t *testing.T) {
	b := netflow.NewBatch(3)
	var rep template.Report
	msg := d.Message().Template(256, d.Layout()...).Data(256, d.Record(1), d.Record(2), d.Record(3), d.Record(4), d.Record(5)).Bytes()
	domain := d.Domain()
	if got := d.MaxRows(domain, msg); got < 5 {
		t.Errorf("MaxRows %d with the template to come, want 5 or more", got)
	}
	if err := d.Decode(b, domain, msg, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Flows != 3 || rep.Problems[template.TooManyRecords] != 2 || b.Len() != 3 {
		t.Errorf("%+v, %d rows", rep, b.Len())
	}
	if got := d.MaxRows(domain, d.Message().Data(256, d.Record(1), d.Record(2)).Bytes()); got != 2 {
		t.Errorf("MaxRows %d of two records, want 2", got)
	}
}

// Check is for fuzzing: decoding is a function of the bytes, no byte counts for two rows, a message cut short gives the
// beginning of what the whole one gives, and the batch stays in order. Each message is decoded in a domain of its own, which
// knows what known announces.
func (d *Decoder) Check(t *testing.T, known, msg, short []byte) {
	decode := func(msg []byte) (*netflow.Batch, template.Report, int) {
		domain, b := d.Domain(), netflow.NewBatch(64)
		var rep template.Report
		if err := d.Decode(b, domain, known, &rep); err != nil || rep.New == 0 || !rep.Complete() {
			t.Fatal(err, rep)
		}
		rep = template.Report{}
		limit := d.MaxRows(domain, msg)
		if err := d.Decode(b, domain, msg, &rep); err != nil && (b.Len() != 0 || fmt.Sprint(rep) != fmt.Sprint(template.Report{})) {
			t.Fatalf("%v, but %d rows, %+v", err, b.Len(), rep)
		}
		return b, rep, limit
	}
	b, rep, limit := decode(msg)
	again, repAgain, _ := decode(msg)
	if !slices.Equal(Rows(b), Rows(again)) || fmt.Sprint(rep) != fmt.Sprint(repAgain) {
		t.Fatalf("decoded twice: %+v and %+v", rep, repAgain)
	}
	records := b.Len() + int(rep.Problems[template.TooManyRecords])
	if rep.Flows != b.Len() || records > limit || records+rep.Options > max(len(msg)-d.HeaderLen, 0) {
		t.Fatalf("%d rows, %+v, from %d bytes, MaxRows %d", b.Len(), rep, len(msg), limit)
	}
	CheckBatch(t, b)
	part, _, _ := decode(short)
	if part.Len() > b.Len() || !slices.Equal(Rows(part), Rows(b)[:part.Len()]) {
		t.Fatalf("cut to %d bytes: %d rows of %d, or other ones", len(short), part.Len(), b.Len())
	}
}

// Benchmark decodes messages of 24 flows, of the 20 fields that routers send.
func (d *Decoder) Benchmark(b *testing.B) {
	const flows = 24
	fields := slices.Concat(
		[]template.Field{Field(8, 4), Field(12, 4), Field(15, 4), Field(10, 4), Field(14, 4), Field(2, 4), Field(1, 4)}, d.Times,
		[]template.Field{Field(7, 2), Field(11, 2), Field(4, 1), Field(6, 1), Field(5, 1), Field(16, 4), Field(17, 4), Field(9, 1),
			Field(13, 1), Field(61, 1), Field(136, 1)})
	var record []byte
	for _, f := range fields {
		for range f.Length {
			record = append(record, byte(len(record)))
		}
		if f.ID == 4 {
			record[len(record)-1] = netflow.ProtoTCP
		}
	}
	domain, batch := d.Domain(), netflow.NewBatch(100*flows)
	var rep template.Report
	if err := d.Decode(batch, domain, d.Message().Template(256, fields...).Bytes(), &rep); err != nil {
		b.Fatal(err)
	}
	msg := d.Message().Data(256, slices.Repeat([][]byte{record}, flows)...).Bytes()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if batch.Room() < flows {
			batch.Reset()
		}
		rep.Reset()
		_ = d.Decode(batch, domain, msg, &rep)
		n += rep.Flows
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/flow")
}
