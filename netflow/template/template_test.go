package template_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
)

var (
	f        = netflowtest.Field
	exporter = netflow.AddrFrom4([4]byte{192, 0, 2, 1})
	other    = netflow.AddrFrom4([4]byte{192, 0, 2, 2})
	counters = []template.Field{f(1, 4), f(2, 4)}
)

// announcement returns the body of the only set of a message: the bytes after its headers.
func announcement(version uint8, options bool, id uint16, scopes int, fields ...template.Field) []byte {
	m, header := netflowtest.IPFIX(0, 0, 0), 16
	if version == netflow.VersionV9 {
		m, header = netflowtest.V9(0, 0, 0, 0), 20
	}
	if options {
		m.Options(id, scopes, fields...)
	} else {
		m.Template(id, fields...)
	}
	return m.Bytes()[header+4:]
}

func domain(version uint8) *template.Domain {
	return template.NewStore(template.Limits{}).Domain(exporter, version)
}

func TestValidation(t *testing.T) {
	many := func(n int) []template.Field {
		fields := make([]template.Field, n)
		for i := range fields {
			fields[i] = f(1, 4)
		}
		return fields
	}
	const v9, v10 = netflow.VersionV9, netflow.VersionIPFIX
	none := template.Problem(255)
	tests := []struct {
		name    string
		version uint8
		options bool
		body    []byte
		problem template.Problem
		new     int
		length  int
	}{
		{"ordinary", v10, false, announcement(v10, false, 256, 0, counters...), none, 1, 8},
		{"ordinary, v9", v9, false, announcement(v9, false, 256, 0, counters...), none, 1, 8},
		{"enterprise", v10, false, announcement(v10, false, 256, 0, netflowtest.Enterprise(9, 1, 4), netflowtest.Reverse(1, 8)), none, 1, 12},
		{"variable length", v10, false, announcement(v10, false, 256, 0, f(1, 4), netflowtest.Variable(82)), none, 1, 5},
		{"length 65535 in v9 is no variable length", v9, false, announcement(v9, false, 256, 0, netflowtest.Variable(82)), template.TemplateTooWide, 0, 0},
		{"a field of no length", v10, false, announcement(v10, false, 256, 0, f(1, 0), f(2, 4)), none, 1, 4},
		{"all fields of no length", v10, false, announcement(v10, false, 256, 0, f(1, 0), f(2, 0)), template.TemplateZero, 0, 0},
		{"all fields of no length, v9", v9, false, announcement(v9, false, 256, 0, f(1, 0)), template.TemplateZero, 0, 0},
		{"no fields in v9", v9, false, announcement(v9, false, 256, 0), template.TemplateZero, 0, 0},
		{"512 fields", v10, false, announcement(v10, false, 256, 0, many(512)...), none, 1, 2048},
		{"513 fields", v10, false, announcement(v10, false, 256, 0, many(513)...), template.TemplateTooWide, 0, 0},
		{"65534 bytes", v10, false, announcement(v10, false, 256, 0, f(1, 30000), f(2, 30000), f(82, 5534)), none, 1, 65534},
		{"65536 bytes", v10, false, announcement(v10, false, 256, 0, f(1, 30000), f(2, 30000), f(82, 5536)), template.TemplateTooWide, 0, 0},
		{"id 255", v10, false, announcement(v10, false, 255, 0, counters...), template.TemplateReserved, 0, 0},
		{"id 0 with fields", v9, false, announcement(v9, false, 0, 0, counters...), template.TemplateReserved, 0, 0},
		{"more fields than bytes", v10, false, []byte{1, 0, 0, 3, 0, 1, 0, 4, 0, 2, 0, 4}, template.BadTemplate, 0, 0},
		{"enterprise number missing", v10, false, []byte{1, 0, 0, 2, 0, 1, 0, 4, 0x80, 2, 0, 4}, template.BadTemplate, 0, 0},
		{"enterprise bit in v9 is part of the type", v9, false, []byte{1, 0, 0, 2, 0, 1, 0, 4, 0x80, 2, 0, 4}, none, 1, 8},
		{"padding after", v10, false, append(announcement(v10, false, 256, 0, counters...), 0, 0, 0), none, 1, 8},
		{"longer padding after", v9, false, append(announcement(v9, false, 256, 0, counters...), 0, 0, 0, 0, 0, 0, 0, 0), none, 1, 8},
		{"nonsense after", v10, false, append(announcement(v10, false, 256, 0, counters...), 0, 0, 0, 0, 0, 0, 0, 1), template.BadTemplate, 1, 8},

		{"options", v10, true, announcement(v10, true, 256, 1, f(149, 4), f(34, 4)), none, 1, 8},
		{"options of v9", v9, true, announcement(v9, true, 256, 1, f(1, 4), f(34, 4)), none, 1, 8},
		{"options without scope", v10, true, announcement(v10, true, 256, 0, f(34, 4)), template.BadTemplate, 0, 0},
		{"options without scope in v9", v9, true, announcement(v9, true, 256, 0, f(34, 4)), none, 1, 4},
		{"options, more scopes than fields", v10, true, announcement(v10, true, 256, 2, f(34, 4)), template.BadTemplate, 0, 0},
		{"options of v9 in IPFIX", v10, true, announcement(v9, true, 256, 1, f(1, 4), f(34, 4)), template.BadTemplate, 0, 0},
		{"options, scope of no length", v9, true, announcement(v9, true, 256, 1, f(1, 0), f(34, 4)), none, 1, 4},
		{"options, all of no length", v9, true, announcement(v9, true, 256, 1, f(1, 0), f(34, 0)), template.TemplateZero, 0, 0},
		{"options of v9, scope bytes odd", v9, true, []byte{1, 0, 0, 5, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4}, template.BadTemplate, 0, 0},
		{"options of v9, option bytes odd", v9, true, []byte{1, 0, 0, 4, 0, 6, 0, 1, 0, 4, 0, 34, 0, 4}, template.BadTemplate, 0, 0},
		{"options, cut in the head", v10, true, []byte{1, 0, 0, 1}, template.BadTemplate, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := domain(tt.version)
			var rep template.Report
			d.Announce(tt.options, tt.body, &rep)
			var want template.Report
			want.New = tt.new
			if tt.problem != none {
				want.Note(tt.problem)
			}
			if fmt.Sprint(rep) != fmt.Sprint(want) {
				t.Errorf("got %+v, want %+v", rep, want)
			}
			if d.Len() != tt.new {
				t.Errorf("%d templates, want %d", d.Len(), tt.new)
			}
			if x := d.Template(256); x != nil && (x.Length() != tt.length || x.Options() != tt.options || x.ID() != 256) {
				t.Errorf("template %d, options %v, of %d bytes, want 256, %v, %d", x.ID(), x.Options(), x.Length(), tt.options, tt.length)
			}
		})
	}
}

func TestFieldsAreKept(t *testing.T) {
	d := domain(netflow.VersionIPFIX)
	var rep template.Report
	want := []template.Field{f(1, 8), netflowtest.Reverse(1, 8), netflowtest.Enterprise(9, 12235, 4), netflowtest.Variable(82)}
	d.Announce(false, announcement(netflow.VersionIPFIX, false, 300, 0, want...), &rep)
	if got := d.Template(300).Fields(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	d = domain(netflow.VersionV9)
	d.Announce(true, announcement(netflow.VersionV9, true, 300, 1, f(1, 4), f(34, 4)), &rep)
	want = []template.Field{{ID: 1, Length: 4, Scope: true}, f(34, 4)}
	if got := d.Template(300).Fields(); !slices.Equal(got, want) {
		t.Errorf("options of v9: got %v, want %v", got, want)
	}
}

func TestRefreshChangeAndSharedIDs(t *testing.T) {
	d := domain(netflow.VersionIPFIX)
	var changes []string
	d.OnChange = func(from, to *template.Template) {
		changes = append(changes, fmt.Sprint(from.Length(), " to ", to.Length()))
	}
	step := func(options bool, scopes int, fields []template.Field, want template.Report) {
		t.Helper()
		var rep template.Report
		d.Announce(options, announcement(netflow.VersionIPFIX, options, 256, scopes, fields...), &rep)
		if fmt.Sprint(rep) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", rep, want)
		}
	}
	step(false, 0, counters, template.Report{New: 1})
	first := d.Template(256)
	step(false, 0, counters, template.Report{Refreshed: 1})
	if d.Template(256) != first {
		t.Error("a refresh replaced the template")
	}
	step(false, 0, []template.Field{f(1, 8), f(2, 4)}, template.Report{Changed: 1})
	step(true, 1, counters, template.Report{Changed: 1})
	if !d.Template(256).Options() || first.Length() != 8 {
		t.Errorf("options %v; the first template now has %d bytes", d.Template(256).Options(), first.Length())
	}
	if want := []string{"8 to 12", "12 to 8"}; !slices.Equal(changes, want) {
		t.Errorf("changes %q, want %q", changes, want)
	}
	body := announcement(netflow.VersionIPFIX, true, 256, 1, counters...)
	if n := testing.AllocsPerRun(100, func() {
		var rep template.Report
		d.Announce(true, body, &rep)
	}); n != 0 {
		t.Errorf("%v allocations for a refresh", n)
	}
}

func TestRefusedDefinitionEndsTheOldOne(t *testing.T) {
	d := domain(netflow.VersionV9)
	var rep template.Report
	d.Announce(false, announcement(netflow.VersionV9, false, 256, 0, counters...), &rep)
	d.Announce(false, announcement(netflow.VersionV9, false, 256, 0, f(1, 0)), &rep)
	if d.Template(256) != nil {
		t.Error("data of the refused layout would be read by the old one")
	}
}

func TestWithdrawalsAreIgnored(t *testing.T) {
	d := domain(netflow.VersionIPFIX)
	var rep template.Report
	d.Announce(false, announcement(netflow.VersionIPFIX, false, 256, 0, counters...), &rep)
	d.Announce(false, []byte{1, 0, 0, 0}, &rep) // this one
	d.Announce(false, []byte{0, 2, 0, 0}, &rep) // all templates
	d.Announce(true, []byte{0, 3, 0, 0}, &rep)  // all options templates
	if rep.Withdrawals != 3 || d.Len() != 1 || rep.Problems != [template.NumProblems]uint32{} {
		t.Errorf("%+v, %d templates", rep, d.Len())
	}
}

func TestDomainsAreApart(t *testing.T) {
	s := template.NewStore(template.Limits{})
	a, b := s.Domain(exporter, netflow.VersionIPFIX), s.Domain(exporter, netflow.VersionV9)
	var rep template.Report
	a.Announce(false, announcement(netflow.VersionIPFIX, false, 256, 0, counters...), &rep)
	if b.Template(256) != nil || a.Template(256) == nil || s.Len() != 1 {
		t.Error("a template is seen in another domain")
	}
	a.Close()
	b.Close()
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("%d templates, %d bytes left after Close", s.Len(), s.Bytes())
	}
}

func TestBounds(t *testing.T) {
	s := template.NewStore(template.Limits{PerExporter: 10, Total: 15})
	a, a2, b := s.Domain(exporter, netflow.VersionIPFIX), s.Domain(exporter, netflow.VersionIPFIX), s.Domain(other, netflow.VersionIPFIX)
	var rep template.Report
	announce := func(d *template.Domain, id uint16) {
		d.Announce(false, announcement(netflow.VersionIPFIX, false, id, 0, counters...), &rep)
	}
	for i := range uint16(6) {
		announce(a, 256+i)
		announce(a2, 256+i)
	}
	if a.Len() != 5 || a2.Len() != 5 || s.Evicted() != 2 {
		t.Errorf("%d and %d templates of one exporter, %d evicted; want 5, 5, 2", a.Len(), a2.Len(), s.Evicted())
	}
	batch := netflow.NewBatch(10)
	a.Data(batch, 257, make([]byte, 8), &template.Message{}, &rep) // the oldest is used
	announce(a, 300)
	if a.Template(257) == nil || a2.Template(257) != nil {
		t.Error("a template in use was evicted before an idle one")
	}
	for i := range uint16(10) {
		announce(b, 256+i)
	}
	if s.Len() != 15 || b.Len() != 10 || a.Len()+a2.Len() != 5 {
		t.Errorf("%d templates: %d, %d, %d; want 15, ten of the last exporter", s.Len(), a.Len(), a2.Len(), b.Len())
	}
	if a.Template(300) == nil {
		t.Error("the newest template of the first exporter was evicted")
	}
}

// TestFlood announces 52,200 templates of 60 fields: from one address with many domains, then from many addresses.
func TestFlood(t *testing.T) {
	s := template.NewStore(template.Limits{})
	var fields []template.Field
	for i := range uint16(60) {
		fields = append(fields, f(i+1, 4))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var rep template.Report
	const domains, each = 522, 100
	keep := make([]*template.Domain, 0, domains)
	body, data := announcement(netflow.VersionIPFIX, false, 256, 0, fields...), make([]byte, 4*len(fields))
	batch := netflow.NewBatch(1)
	for n := range domains {
		addr := exporter
		if n > domains/2 {
			addr = netflow.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		}
		d := s.Domain(addr, netflow.VersionIPFIX)
		keep = append(keep, d)
		for i := range each {
			body[0], body[1] = byte((256+i)>>8), byte(256+i)
			d.Announce(false, body, &rep)
			if i%2 == 0 { // has data, so it is compiled
				d.Data(batch, uint16(256+i), data, &template.Message{}, &rep)
				batch.Reset()
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int(after.HeapAlloc) - int(before.HeapAlloc)
	t.Logf("%d templates kept, %d bytes by estimate, heap grew by %d", s.Len(), s.Bytes(), grown)
	if s.Bytes() > 24<<20 || s.Len() > 65536 || rep.New != domains*each || s.Evicted() != uint64(domains*each-s.Len()) {
		t.Errorf("%d templates of %d bytes, %d evicted of %d", s.Len(), s.Bytes(), s.Evicted(), rep.New)
	}
	if grown > 40<<20 {
		t.Errorf("the heap grew by %d MiB for an estimate of %d MiB", grown>>20, s.Bytes()>>20)
	}
	runtime.KeepAlive(keep)
}

func TestSamplers(t *testing.T) {
	d := domain(netflow.VersionIPFIX)
	var rep template.Report
	d.Announce(true, announcement(netflow.VersionIPFIX, true, 256, 1, f(302, 4), f(34, 4)), &rep)
	learn := func(id, rate uint32) {
		d.Data(nil, 256, netflowtest.Record(id, rate), &template.Message{}, &rep)
	}
	learn(1, 100)
	if got := d.SamplingRate(); got != 100 {
		t.Errorf("rate with one sampler %d, want its 100", got)
	}
	learn(2, 200)
	if got := d.SamplingRate(); got != 0 {
		t.Errorf("rate with two samplers %d, want none", got)
	}
	learn(0, 50)
	if got := d.SamplingRate(); got != 50 {
		t.Errorf("rate of the domain %d, want 50", got)
	}
	for id := range uint32(100000) {
		learn(id+10, 7)
	}
	learn(2, 300) // one that is known may still change
	d.Announce(false, announcement(netflow.VersionIPFIX, false, 257, 0, f(302, 4)), &rep)
	b := netflow.NewBatch(4)
	d.Data(b, 257, netflowtest.Record(uint32(1), uint32(2), uint32(99999)), &template.Message{}, &rep)
	for i, want := range []uint32{100, 300, 50} {
		if got := b.Record(i).SamplingRate; got != want {
			t.Errorf("flow %d: rate %d, want %d", i, got, want)
		}
	}
	if rep.Options != 100004 || rep.Flows != 3 {
		t.Errorf("%d options records, %d flows", rep.Options, rep.Flows)
	}
}

func TestBootTimeFromOptions(t *testing.T) {
	const boot, export = 1_700_000_000_000, netflow.Timestamp(1_700_000_100_000_000) // ms, µs
	d := domain(netflow.VersionIPFIX)
	var rep template.Report
	d.Announce(true, announcement(netflow.VersionIPFIX, true, 256, 1, f(143, 4), f(160, 8)), &rep)
	d.Announce(false, announcement(netflow.VersionIPFIX, false, 257, 0, f(22, 4), f(21, 4)), &rep)
	b := netflow.NewBatch(4)
	flow := netflowtest.Record(uint32(1000), uint32(2500))
	d.Data(b, 257, flow, &template.Message{Export: export}, &rep)
	d.Data(b, 256, netflowtest.Record(uint32(1), uint64(boot)), &template.Message{Export: export}, &rep)
	d.Data(b, 257, flow, &template.Message{Export: export}, &rep)
	if r := b.Record(0); r.Start != 0 || r.End != 0 || rep.Undated != 1 {
		t.Errorf("before the boot time is known: %v to %v, %d undated", r.Start.Time(), r.End.Time(), rep.Undated)
	}
	if r := b.Record(1); r.Start != (boot+1000)*1000 || r.End != (boot+2500)*1000 {
		t.Errorf("after: %v to %v", r.Start.Time(), r.End.Time())
	}
}

func TestDataWithoutUse(t *testing.T) {
	d := domain(netflow.VersionIPFIX)
	b := netflow.NewBatch(4)
	var rep template.Report
	d.Announce(false, announcement(netflow.VersionIPFIX, false, 256, 0, counters...), &rep)
	d.Announce(true, announcement(netflow.VersionIPFIX, true, 257, 1, f(149, 4), netflowtest.Variable(82)), &rep)
	d.Announce(false, announcement(netflow.VersionIPFIX, false, 258, 0, f(1, 4), netflowtest.Variable(82)), &rep)
	d.Data(b, 999, make([]byte, 8), &template.Message{}, &rep)
	d.Data(b, 256, make([]byte, 7), &template.Message{}, &rep)
	d.Data(b, 256, nil, &template.Message{}, &rep)
	d.Data(b, 257, []byte{0, 0, 0, 0, 200}, &template.Message{}, &rep)
	d.Data(b, 258, []byte{0, 0, 0, 1, 0, 0, 0, 0, 2, 9, 7}, &template.Message{}, &rep)
	if !slices.Equal(rep.Missing, []uint16{999}) || rep.Problems[template.ShortDataSet] != 1 || rep.Problems[template.BadRecord] != 2 || b.Len() != 1 {
		t.Errorf("%+v, %d rows", rep, b.Len())
	}
	if rep.Complete() {
		t.Error("a message with data that could not be read counts as complete")
	}
	rep.Reset()
	if !rep.Complete() || len(rep.Missing) != 0 {
		t.Errorf("after Reset: %+v", rep)
	}
}
