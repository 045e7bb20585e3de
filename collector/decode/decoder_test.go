package decode_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
)

const (
	now     = netflow.Timestamp(1_700_000_000_000_000)
	seconds = uint32(now / 1e6)
)

var (
	field  = netflowtest.Field
	rec    = netflowtest.Record
	router = netip.MustParseAddrPort("192.0.2.1:4739")
	layout = []template.Field{field(8, 4), field(12, 4), field(1, 4), field(2, 4), field(4, 1)}
)

func flow(n byte) []byte {
	return rec(netflow.AddrFrom4([4]byte{10, 0, 0, n}), "10.9.9.9", uint32(n)*100, uint32(n), uint8(17))
}

// v5 builds a datagram of n records of zeros.
func v5(seq uint32, count, n int) []byte {
	b := rec(uint16(5), uint16(count), uint32(1000), seconds, uint32(0), seq, uint8(0), uint8(1), uint16(10))
	return append(b, make([]byte, 48*n)...)
}

func datagram(from netip.AddrPort, payload []byte) *decode.Datagram {
	return &decode.Datagram{Exporter: from, Received: now, Payload: payload}
}

// decodeAll decodes datagrams of the router into a new batch.
func decodeAll(t testing.TB, d *decode.Decoder, payloads ...[]byte) *netflow.Batch {
	t.Helper()
	b := netflow.NewBatch(10000)
	for _, p := range payloads {
		if err := d.Decode(b, datagram(router, p)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestOnePortTakesAllVersions(t *testing.T) {
	v1 := append(rec(uint16(1), uint16(1), uint32(1000), seconds, uint32(0)), make([]byte, 48)...)
	v7 := append(rec(uint16(7), uint16(1), uint32(1000), seconds, uint32(0), uint32(5), uint32(0)), make([]byte, 52)...)
	d := decode.New(decode.Config{})
	b := decodeAll(t, d, v1, v5(9, 2, 2), v7,
		netflowtest.V9(seconds, 1000, 1, 77).Template(256, layout...).Data(256, flow(1)).Bytes(),
		netflowtest.IPFIX(seconds, 0, 88).Template(256, layout...).Data(256, flow(1)).Bytes())
	type identity struct {
		version uint8
		domain  uint32
	}
	var got []identity
	for i := range b.Len() {
		r := b.Record(i)
		if r.Received != now || r.Exporter != netflow.AddrFrom(router.Addr()) {
			t.Errorf("flow %d: received %d from %v", i, r.Received, r.Exporter)
		}
		got = append(got, identity{r.ExportVersion, r.Domain})
	}
	want := []identity{{1, 0}, {5, 1}, {5, 1}, {7, 0}, {9, 77}, {10, 88}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s := d.Stats()
	if len(s.Exporters) != 5 || s.Datagrams != 5 || s.Flows != 6 || s.Lost+s.Gaps+s.Resets != 0 {
		t.Errorf("%d exporters, %+v", len(s.Exporters), s.Counters)
	}
	if x := s.Exporters[0]; x.Version != 10 || x.Domain != 88 || x.Exporter != router.Addr() || x.Flows != 1 || x.Templates != 1 || x.LastSeen != now {
		t.Errorf("last heard: %+v", x)
	}
}

func TestStateIsKeptApart(t *testing.T) {
	announce := netflowtest.IPFIX(seconds, 0, 1).Template(256, layout...).Bytes()
	data := netflowtest.IPFIX(seconds, 0, 1).Data(256, flow(1)).Bytes()
	otherDomain := netflowtest.IPFIX(seconds, 0, 2).Data(256, flow(1)).Bytes()
	otherVersion := netflowtest.V9(seconds, 0, 0, 1).Data(256, flow(1)).Bytes()
	tests := []struct {
		name string
		from string
		msg  []byte
		rows int
	}{
		{"same exporter", "192.0.2.1:4739", data, 1},
		{"same address, other port", "192.0.2.1:9", data, 1},
		{"same address, IPv4-mapped", "[::ffff:192.0.2.1]:4739", data, 1},
		{"other address", "192.0.2.2:4739", data, 0},
		{"other domain", "192.0.2.1:4739", otherDomain, 0},
		{"other version", "192.0.2.1:4739", otherVersion, 0},
	}
	for _, tt := range tests {
		d := decode.New(decode.Config{})
		b := decodeAll(t, d, announce)
		if err := d.Decode(b, datagram(netip.MustParseAddrPort(tt.from), tt.msg)); err != nil {
			t.Fatal(err)
		}
		if s := d.Stats(); b.Len() != tt.rows || s.SetsWithoutTemplate != uint64(1-tt.rows) {
			t.Errorf("%s: %d rows, %d sets without template; want %d rows", tt.name, b.Len(), s.SetsWithoutTemplate, tt.rows)
		}
	}
}

func TestReasons(t *testing.T) {
	ipfix := func() *netflowtest.Message { return netflowtest.IPFIX(seconds, 0, 1).Template(256, layout...) }
	long := ipfix().Bytes()
	long[3]++
	tests := []struct {
		reason decode.Reason
		msg    []byte
	}{
		{decode.ShortHeader, nil},
		{decode.ShortHeader, []byte{9}},
		{decode.ShortHeader, v5(0, 1, 1)[:23]},
		{decode.ShortHeader, ipfix().Bytes()[:15]},
		{decode.ShortHeader, netflowtest.V9(1, 2, 3, 4).Bytes()[:19]},
		{decode.UnknownVersion, []byte{0, 240, 1, 2, 3, 4}},
		{decode.UnknownVersion, []byte{0, 0, 0, 5, 0, 0, 0, 1}}, // sFlow
		{decode.BadCount, v5(0, 0, 1)},
		{decode.BadCount, v5(0, 65535, 1)},
		{decode.BadSetLength, ipfix().Raw(1, 0, 0, 3).Bytes()},
		{decode.BadMessageLength, long},
		{decode.BadTemplate, netflowtest.IPFIX(seconds, 0, 1).Set(2, []byte{1, 0, 0, 9, 0, 1, 0, 4}).Bytes()},
		{decode.TemplateZero, netflowtest.V9(seconds, 0, 0, 1).Template(256, field(1, 0)).Bytes()},
		{decode.TemplateTooWide, ipfix().Template(257, field(1, 60000), field(2, 60000)).Bytes()},
		{decode.TemplateReserved, ipfix().Template(255, layout...).Bytes()},
		{decode.ReservedSet, ipfix().Set(17, []byte{1, 2, 3, 4}).Bytes()},
		{decode.ShortDataSet, ipfix().Set(256, []byte{1, 2, 3, 4}).Bytes()},
		{decode.BadRecord, ipfix().Template(257, netflowtest.Variable(82)).Set(257, []byte{9, 1}).Bytes()},
	}
	for _, tt := range tests {
		d := decode.New(decode.Config{})
		decodeAll(t, d, tt.msg)
		var want [decode.NumReasons]uint64
		want[tt.reason] = 1
		if s := d.Stats(); s.Malformed != want || s.Datagrams != 1 || s.Bytes != uint64(len(tt.msg)) {
			t.Errorf("%v: malformed %v, %d datagrams, %d bytes", tt.reason, s.Malformed, s.Datagrams, s.Bytes)
		}
	}
	names := map[string]bool{}
	for r := range decode.Reason(decode.NumReasons) {
		names[r.String()] = true
	}
	if len(names) != decode.NumReasons || names["unknown"] || names[""] {
		t.Errorf("names of reasons: %v", names)
	}
}

func TestFullBatch(t *testing.T) {
	tests := []struct {
		name    string
		prepare []byte
		msg     []byte
		rows    int
	}{
		{"v5", nil, v5(0, 3, 3), 3},
		{"v9", netflowtest.V9(seconds, 0, 0, 1).Template(256, layout...).Bytes(), netflowtest.V9(seconds, 0, 1, 1).Data(256, flow(1), flow(2), flow(3)).Bytes(), 3},
		{"IPFIX", netflowtest.IPFIX(seconds, 0, 1).Template(256, layout...).Bytes(), netflowtest.IPFIX(seconds, 0, 1).Data(256, flow(1), flow(2), flow(3)).Bytes(), 3},
		{"IPFIX with its template", nil, netflowtest.IPFIX(seconds, 0, 1).Template(256, layout...).Data(256, flow(1), flow(2), flow(3)).Bytes(), 3},
	}
	for _, tt := range tests {
		d := decode.New(decode.Config{})
		b := netflow.NewBatch(5)
		if tt.prepare != nil {
			if err := d.Decode(b, datagram(router, tt.prepare)); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			b.Append(&netflow.Record{Bytes: 7})
		}
		before := d.Stats()
		if err := d.Decode(b, datagram(router, tt.msg)); !errors.Is(err, decode.ErrFull) {
			t.Errorf("%s: %v, want ErrFull", tt.name, err)
		}
		if after := d.Stats(); b.Len() != 3 || after.Counters != before.Counters || len(after.Exporters) != len(before.Exporters) {
			t.Errorf("%s: a full batch has %d rows, counters %+v", tt.name, b.Len(), after.Counters)
		}
		b.Reset()
		if err := d.Decode(b, datagram(router, tt.msg)); err != nil || b.Len() != tt.rows {
			t.Errorf("%s: %v, %d rows in an empty batch", tt.name, err, b.Len())
		}
		if s := d.Stats(); s.Flows != 3 || s.Lost+s.Duplicates+s.Malformed[decode.TooManyRecords] != 0 {
			t.Errorf("%s: %+v", tt.name, s.Counters)
		}
		netflowtest.CheckBatch(t, b)
	}
}

func TestMoreFlowsThanAnyBatch(t *testing.T) {
	d := decode.New(decode.Config{})
	b := netflow.NewBatch(100)
	tiny := netflowtest.IPFIX(seconds, 0, 1).Template(256, field(4, 1)).Set(256, make([]byte, 1000)).Bytes()
	for range 2 {
		b.Reset()
		if err := d.Decode(b, datagram(router, tiny)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Decode(netflow.NewBatch(4), datagram(router, v5(0, 10, 10))); err != nil {
		t.Fatal(err)
	}
	if s := d.Stats(); s.Flows != 204 || s.Malformed[decode.TooManyRecords] != 1806 {
		t.Errorf("%d flows, %d not stored; want 2020 together", s.Flows, s.Malformed[decode.TooManyRecords])
	}
}

func TestSequenceUnits(t *testing.T) {
	announce := func(m *netflowtest.Message) *netflowtest.Message {
		return m.Template(256, layout...).Options(257, 1, field(149, 4), field(34, 4))
	}
	options := rec(uint32(1), uint32(100))
	tests := []struct {
		name string
		msgs [][]byte
		lost uint64
	}{
		{"v5 counts flows", [][]byte{v5(100, 30, 30), v5(130, 1, 1), v5(140, 1, 1)}, 9},
		{"v9 counts datagrams", [][]byte{
			announce(netflowtest.V9(seconds, 0, 5, 1)).Bytes(),
			netflowtest.V9(seconds, 0, 6, 1).Data(256, flow(1), flow(2)).Bytes(),
			netflowtest.V9(seconds, 0, 10, 1).Data(256, flow(1), flow(2)).Bytes()}, 3},
		{"IPFIX counts data records, those of options too", [][]byte{
			announce(netflowtest.IPFIX(seconds, 5, 1)).Bytes(),
			netflowtest.IPFIX(seconds, 5, 1).Data(256, flow(1), flow(2)).Data(257, options).Bytes(),
			netflowtest.IPFIX(seconds, 8, 1).Data(256, flow(1)).Bytes(),
			netflowtest.IPFIX(seconds, 19, 1).Data(256, flow(1)).Bytes()}, 10},
		{"IPFIX cannot count what it cannot read", [][]byte{
			announce(netflowtest.IPFIX(seconds, 5, 1)).Bytes(),
			netflowtest.IPFIX(seconds, 5, 1).Data(256, flow(1)).Data(300, options).Bytes(),
			netflowtest.IPFIX(seconds, 50, 1).Data(256, flow(1)).Bytes(),
			netflowtest.IPFIX(seconds, 53, 1).Data(256, flow(1)).Bytes()}, 2},
	}
	for _, tt := range tests {
		d := decode.New(decode.Config{})
		decodeAll(t, d, tt.msgs...)
		if s := d.Stats(); s.Lost != tt.lost || s.Gaps != 1 || s.Resets+s.Duplicates+s.Reordered != 0 {
			t.Errorf("%s: %+v, want %d lost", tt.name, s.Counters, tt.lost)
		}
	}
}

func TestExportersAreBounded(t *testing.T) {
	d := decode.New(decode.Config{MaxExporters: 3})
	b := netflow.NewBatch(1000)
	from := func(n byte) netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 1) }
	for _, n := range []byte{1, 2, 3, 1, 4} { // 2 is idle for longest when 4 comes
		msg := netflowtest.V9(seconds, 0, 0, 0).Template(256, layout...).Data(256, flow(n)).Bytes()
		if err := d.Decode(b, datagram(from(n), msg)); err != nil {
			t.Fatal(err)
		}
	}
	s := d.Stats()
	var got []string
	for _, x := range s.Exporters {
		got = append(got, x.Exporter.String())
	}
	if want := []string{"10.0.0.4", "10.0.0.1", "10.0.0.3"}; !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if s.Forgotten != 1 || s.Flows != 5 || s.Datagrams != 5 || s.Templates != 3 {
		t.Errorf("%d forgotten, %d templates, %+v", s.Forgotten, s.Templates, s.Counters)
	}
}

// TestSpoofedExporters hears each of 40,000 addresses once, with as much state as a small datagram can make, and wants
// memory within the bound.
func TestSpoofedExporters(t *testing.T) {
	d := decode.New(decode.Config{MaxExporters: 8000})
	b := netflow.NewBatch(1000)
	m := netflowtest.V9(seconds, 0, 0, 0).Template(256, layout...)
	for id := range uint16(30) {
		m.Data(1000+id, []byte{1, 2, 3, 4})
	}
	msg := m.Bytes()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range 40_000 {
		b.Reset()
		addr := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		if err := d.Decode(b, datagram(netip.AddrPortFrom(addr, 1), msg)); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perExporter := (int(after.HeapAlloc) - int(before.HeapAlloc)) / 8000
	s := d.Stats()
	t.Logf("%d bytes an exporter", perExporter)
	if perExporter > 2500 || len(s.Exporters) != 8000 || s.Forgotten != 32000 || s.Templates != 8000 || s.SetsWithoutTemplate != 1_200_000 {
		t.Errorf("%d bytes an exporter, %d exporters, %d forgotten, %d templates, %d sets without template",
			perExporter, len(s.Exporters), s.Forgotten, s.Templates, s.SetsWithoutTemplate)
	}
}

func TestLogIsQuiet(t *testing.T) {
	var out bytes.Buffer
	d := decode.New(decode.Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	b := netflow.NewBatch(1000)
	send := func(from string, at netflow.Timestamp, payload []byte) {
		t.Helper()
		b.Reset()
		if err := d.Decode(b, &decode.Datagram{Exporter: netip.MustParseAddrPort(from), Received: at, Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() int { return strings.Count(out.String(), "\n") }
	bad := v5(0, 65535, 1)
	for range 1000 {
		send("192.0.2.1:1", now, bad)
		send("192.0.2.1:1", now, []byte{7, 7, 7})
	}
	if lines() != 2 || !strings.Contains(out.String(), "reason=bad_count") || !strings.Contains(out.String(), "reason=unknown_version") {
		t.Errorf("two reasons in a minute: %s", out.String())
	}
	send("192.0.2.1:1", now+61e6, bad)
	if lines() != 3 {
		t.Errorf("a minute later: %d lines, want 3", lines())
	}
	for n := range 1000 {
		send(fmt.Sprintf("10.0.%d.%d:1", n/250, n%250), now+200e6, bad)
	}
	if n := lines(); n > 3+30 {
		t.Errorf("%d lines from 1000 exporters in a minute", n)
	}
	out.Reset()
	send("192.0.2.9:1", now+300e6, netflowtest.V9(seconds, 0, 0, 0).Template(256, layout...).Template(256, field(1, 8), field(2, 4)).Bytes())
	for _, want := range []string{"template changed", "exporter=192.0.2.9", "template=256", `from="8:4 12:4 1:4 2:4 4:1"`, `to="1:8 2:4"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
}

func TestStatsWhileDecoding(t *testing.T) {
	d := decode.New(decode.Config{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range uint32(300) {
			decodeAll(t, d, netflowtest.IPFIX(seconds, i, 1).Template(256, layout...).Data(256, flow(1)).Bytes())
		}
	})
	for range 100 {
		d.Stats()
	}
	wg.Wait()
	if s := d.Stats(); s.Flows != 300 {
		t.Errorf("%d flows, want 300", s.Flows)
	}
}

// TestWorkIsBounded decodes datagrams of 64 KiB that were made to be expensive.
func TestWorkIsBounded(t *testing.T) {
	const size = 65000
	ipfix := func() *netflowtest.Message { return netflowtest.IPFIX(seconds, 0, 1) }
	fill := func(m *netflowtest.Message, pattern func(i int) []byte) []byte {
		for i := 0; ; i++ {
			p := pattern(i)
			if len(m.Bytes())+len(p) > size {
				return m.Bytes()
			}
			m.Raw(p...)
		}
	}
	zeros := make([]template.Field, 511)
	for i := range zeros {
		zeros[i] = field(uint16(i+1), 0)
	}
	tests := []struct {
		name  string
		limit time.Duration
		msg   []byte
	}{
		{"empty sets of unknown templates", time.Millisecond, fill(ipfix(), func(i int) []byte { return []byte{1 + byte(i>>8), byte(i), 0, 4} })},
		{"empty sets of a known template", time.Millisecond, fill(ipfix().Template(256, layout...), func(int) []byte { return []byte{1, 0, 0, 4} })},
		{"empty template sets", time.Millisecond, fill(ipfix(), func(int) []byte { return []byte{0, 2, 0, 4} })},
		{"withdrawals", time.Millisecond, ipfix().Set(2, bytes.Repeat([]byte{1, 0, 0, 0}, size/4)).Bytes()},
		{"zeros in a template set", time.Millisecond, ipfix().Set(2, append(make([]byte, size-1), 1)).Bytes()},
		{"zeros in a v9 template set", time.Millisecond, netflowtest.V9(seconds, 0, 0, 1).Set(0, append(make([]byte, size-1), 1)).Bytes()},
		{"records of one byte", 2 * time.Millisecond, ipfix().Template(256, field(4, 1)).Set(256, make([]byte, size)).Bytes()},
		{"records of one byte and 511 empty fields", 4 * time.Millisecond,
			ipfix().Template(256, append(zeros, netflowtest.Variable(2))...).Set(256, make([]byte, size-2100)).Bytes()},
		{"sets of one record", 6 * time.Millisecond, fill(ipfix().Template(256, field(4, 1)), func(int) []byte { return []byte{1, 0, 0, 5, 6} })},
		{"templates", 10 * time.Millisecond, fill(ipfix(), func(i int) []byte {
			return slices.Concat([]byte{0, 2, 0, 12}, binary.BigEndian.AppendUint16(nil, uint16(256+i)), []byte{0, 1, 0, 4, 0, 1})
		})},
		{"templates and their data", 20 * time.Millisecond, fill(ipfix(), func(i int) []byte {
			id := binary.BigEndian.AppendUint16(nil, uint16(256+i))
			return slices.Concat([]byte{0, 2, 0, 12}, id, []byte{0, 1, 0, 4, 0, 1}, id, []byte{0, 5, 6})
		})},
	}
	for _, tt := range tests {
		b := netflow.NewBatch(16384)
		best := time.Hour
		for range 20 { // the machine may be busy with other things: the best of twenty counts
			d := decode.New(decode.Config{})
			b.Reset()
			start := time.Now()
			if err := d.Decode(b, datagram(router, tt.msg)); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
		}
		t.Logf("%s: %d bytes in %v, %d rows", tt.name, len(tt.msg), best, b.Len())
		if best > slowdown*tt.limit && !testing.Short() {
			t.Errorf("%s: %v for %d bytes, want less than %v", tt.name, best, len(tt.msg), tt.limit)
		}
	}
}

func TestDecodingDoesNotAllocate(t *testing.T) {
	d := decode.New(decode.Config{})
	b := decodeAll(t, d,
		netflowtest.V9(seconds, 0, 0, 1).Template(256, layout...).Bytes(),
		netflowtest.IPFIX(seconds, 0, 1).Template(256, layout...).Bytes())
	for name, msg := range map[string][]byte{
		"v5":    v5(0, 30, 30),
		"v9":    netflowtest.V9(seconds, 0, 1, 1).Template(256, layout...).Data(256, flow(1), flow(2)).Bytes(),
		"IPFIX": netflowtest.IPFIX(seconds, 0, 1).Template(256, layout...).Data(256, flow(1), flow(2)).Bytes(),
	} {
		dg := datagram(router, msg)
		if n := testing.AllocsPerRun(100, func() {
			b.Reset()
			if err := d.Decode(b, dg); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a datagram", name, n)
		}
	}
}

// TestEveryTruncation cuts every captured datagram at every byte.
func TestEveryTruncation(t *testing.T) {
	dir, files := captures(t)
	b := netflow.NewBatch(4096)
	for name, c := range files {
		all := datagrams(t, filepath.Join(dir, c.File))
		d := decode.New(decode.Config{})
		for i, dg := range all {
			b.Reset()
			if err := d.Decode(b, &dg); err != nil {
				t.Fatal(err)
			}
			if i >= 12 || testing.Short() && i >= 2 {
				continue
			}
			whole := b.Len()
			for n := range dg.Payload {
				b.Reset()
				cut := dg
				cut.Payload = dg.Payload[:n:n]
				if err := d.Decode(b, &cut); err != nil {
					t.Fatal(err)
				}
				if b.Len() > max(whole, n) {
					t.Fatalf("%s, datagram %d cut at %d: %d rows, whole it has %d", name, i, n, b.Len(), whole)
				}
			}
			b.Reset() // put right what a cut template set broke
			if err := d.Decode(b, &dg); err != nil {
				t.Fatal(err)
			}
		}
		s := d.Stats()
		var sum uint64
		for _, x := range s.Exporters {
			sum += x.Datagrams
		}
		if rejected := s.Malformed[decode.ShortHeader] + s.Malformed[decode.UnknownVersion]; sum+rejected != s.Datagrams {
			t.Errorf("%s: %d datagrams of exporters and %d rejected are not %d", name, sum, rejected, s.Datagrams)
		}
	}
}
