package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// oracleGroup is a group summed row by row.
type oracleGroup struct {
	key  []string // as printed
	sort [][]byte // as compared
	Counters
}

// aggregateSlowly answers a query row by row, with maps and big steps.
func aggregateSlowly(records []netflow.Record, q Query) (total Counters, groups []*oracleGroup) {
	byKey := make(map[string]*oracleGroup)
	sides := 1
	for _, f := range q.By {
		if f.TwoSided() {
			sides = 2
		}
	}
	for i := range records {
		r := &records[i]
		if q.Filter != nil && !holds(q.Filter.tree, r) {
			continue
		}
		count(&total, r, q)
		for side := range sides {
			if len(q.By) == 0 {
				continue
			}
			g := &oracleGroup{}
			name := ""
			for _, f := range q.By {
				text, order := oracleValue(f, r, side, q.Location)
				g.key = append(g.key, text)
				g.sort = append(g.sort, order)
				name += text + "|"
			}
			if byKey[name] == nil {
				byKey[name] = g
				groups = append(groups, g)
			}
			count(&byKey[name].Counters, r, q)
		}
	}
	slices.SortFunc(groups, func(a, b *oracleGroup) int {
		x, y := oracleRank(q.Sort, &a.Counters), oracleRank(q.Sort, &b.Counters)
		if q.Sort != ByKey && x != y {
			if (x > y) != q.Reverse {
				return -1
			}
			return 1
		}
		keys := slices.CompareFunc(a.sort, b.sort, bytes.Compare)
		if q.Sort == ByKey && q.Reverse {
			return -keys
		}
		return keys
	})
	return total, groups
}

func oracleRank(o Order, c *Counters) float64 {
	seconds := 0.0
	if c.First != 0 && c.Last > c.First {
		seconds = (time.Duration(c.Last-c.First) * time.Microsecond).Seconds()
	}
	per := func(n float64) float64 {
		if seconds == 0 {
			return 0
		}
		return n / seconds
	}
	switch o {
	case ByBytes:
		return float64(c.Bytes)
	case ByPackets:
		return float64(c.Packets)
	case ByFlows:
		return float64(c.Flows)
	case ByReverseBytes:
		return float64(c.ReverseBytes)
	case ByReversePackets:
		return float64(c.ReversePackets)
	case ByFirst:
		return float64(c.First)
	case ByLast:
		return float64(c.Last)
	case ByDuration:
		return seconds
	case ByPacketsPerSecond:
		return per(float64(c.Packets))
	case ByBitsPerSecond:
		return per(float64(c.Bytes)) * 8
	case ByBytesPerPacket:
		if c.Packets == 0 {
			return 0
		}
		return float64(c.Bytes) / float64(c.Packets)
	}
	return 0
}

func count(c *Counters, r *netflow.Record, q Query) {
	rate := uint64(1)
	if q.Scale {
		rate = max(1, uint64(r.SamplingRate))
	}
	c.Flows++
	c.Packets += r.Packets * rate
	c.Bytes += r.Bytes * rate
	c.ReversePackets += r.ReversePackets * rate
	c.ReverseBytes += r.ReverseBytes * rate
	if r.Start != 0 && (c.First == 0 || r.Start < c.First) {
		c.First = r.Start
	}
	if r.End != 0 && (c.Last == 0 || r.End > c.Last) {
		c.Last = r.End
	}
}

// oracleValue returns a field of a record as printed, and as bytes that sort as the key does.
func oracleValue(f Field, r *netflow.Record, side int, loc *time.Location) (string, []byte) {
	c := f.columns[side]
	switch f.kind {
	case KindAddr, KindNet:
		a := addrOf(r, c)
		isEnd := c == netflow.SrcAddr || c == netflow.DstAddr
		last := bytes.Repeat([]byte{255}, 17)
		if a.IsZero() && (!isEnd || r.IPVersion == 0) {
			return "", last
		}
		n := int(f.bits6)
		if a.Is4() {
			n = int(f.bits4)
		}
		if f.kind == KindNet {
			n = min(int(numberOf(r, f.masks[side])), a.Netip().BitLen())
		}
		p, err := a.Netip().Prefix(n)
		if err != nil {
			panic(err)
		}
		as16 := p.Addr().As16()
		if p.IsSingleIP() {
			return p.Addr().String(), append(as16[:], byte(n))
		}
		return p.String(), append(as16[:], byte(n))
	case KindMAC:
		if numberOf(r, c) == 0 {
			return "", []byte("")
		}
		return netflow.MACFrom(numberOf(r, c)).String(), []byte(netflow.MACFrom(numberOf(r, c)).String())
	case KindTime:
		t := netflow.Timestamp(numberOf(r, c))
		if t == 0 {
			return "", []byte("")
		}
		at := t.Time()
		if loc != nil {
			at = at.In(loc)
		}
		switch f.bin {
		case 0:
		case 24 * time.Hour:
			at = time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location())
		default: // up to an hour, and the zones of the test are whole hours off
			at = at.Truncate(f.bin)
		}
		at = at.UTC()
		return at.Format("2006-01-02T15:04:05.999999Z07:00"), []byte(fmt.Sprintf("%020d", at.UnixMicro()))
	}
	return fmt.Sprint(numberOf(r, c)), []byte(fmt.Sprintf("%020d", numberOf(r, c)))
}

func TestAggregateEqualsTheOracle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	names := FieldNames()
	names = append(names, "src_addr/24", "dst_addr/8:32", "addr/64", "addr/0:0", "exporter/16", "start/10ms", "received/30s", "end/1h")
	for round := range 150 {
		q := Query{Sort: Order(rnd.IntN(len(orderNames))), Reverse: rnd.IntN(3) == 0, Scale: rnd.IntN(2) == 0, Workers: 1 + rnd.IntN(4)}
		if round >= 20 {
			q.By = append(q.By, mustField(t, names[round%len(names)]))
			for rnd.IntN(2) == 0 && len(q.By) < 4 {
				q.By = append(q.By, mustField(t, names[rnd.IntN(len(names))]))
			}
		}
		if rnd.IntN(2) == 0 {
			q.Filter, _ = ParseFilter(randomFilter(rnd, 1))
		}
		if rnd.IntN(3) == 0 {
			q.N = 1 + rnd.IntN(20)
		}
		if rnd.IntN(3) == 0 {
			q.Location, _ = time.LoadLocation("Europe/Berlin")
		}
		records := randomRecords(rnd, rnd.IntN(3000))
		var opened atomic.Int64
		got, err := Aggregate(context.Background(), chunksOf(rnd, records, &opened), q)
		if err != nil {
			t.Fatal(err)
		}
		if opened.Load() != 0 {
			t.Errorf("%d chunks left open", opened.Load())
		}
		total, groups := aggregateSlowly(records, q)
		compareResult(t, q, got, total, groups)
		if got.Rows != int64(len(records)) {
			t.Errorf("%d rows, want %d", got.Rows, len(records))
		}
	}
}

func compareResult(t *testing.T, q Query, got *Result, total Counters, groups []*oracleGroup) {
	t.Helper()
	what := fmt.Sprintf("filter %v by %v sort %v reverse %v", q.Filter, q.By, q.Sort, q.Reverse)
	if got.Total != total {
		t.Fatalf("%s: total %+v, want %+v", what, got.Total, total)
	}
	if got.Distinct != len(groups) {
		t.Fatalf("%s: %d groups, want %d", what, got.Distinct, len(groups))
	}
	if q.N > 0 && len(groups) > q.N {
		groups = groups[:q.N]
	}
	if got.Len() != len(groups) {
		t.Fatalf("%s: %d groups kept, want %d", what, got.Len(), len(groups))
	}
	for i, want := range groups {
		g := got.Group(i)
		var key []string
		for _, v := range g.Key {
			key = append(key, v.String())
		}
		if !slices.Equal(key, want.key) || g.Counters != want.Counters {
			t.Fatalf("%s: group %d: got %v %+v, want %v %+v", what, i, key, g.Counters, want.key, want.Counters)
		}
	}
}

func mustField(t *testing.T, name string) Field {
	t.Helper()
	f, err := ParseField(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAggregateManyGroups has more groups than a table's first slots and blocks, and rows that go by cells and by rows.
func TestAggregateManyGroups(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	records := make([]netflow.Record, 24000)
	for i := range records {
		n := rnd.IntN(1 << 14)
		a := addr("10.0.0.0")
		a[14], a[15] = byte(n>>8), byte(n)
		records[i] = netflow.Record{IPVersion: 4, SrcAddr: a, DstPort: uint16(rnd.IntN(3)), Packets: 1, Bytes: uint64(rnd.IntN(100))}
	}
	for _, by := range []string{"src_addr", "src_addr,dst_port", "src_addr/24,dst_port", "dst_port"} {
		fields, err := ParseFields(by)
		if err != nil {
			t.Fatal(err)
		}
		for _, counts := range []CounterSet{0, CountPackets | CountBytes} {
			q := Query{By: fields, N: 100, Counters: counts}
			if counts == 0 {
				q.Sort, q.Reverse = ByKey, by != "dst_port"
			}
			chunks := func(yield func(column.Chunk, error) bool) {
				for part := range slices.Chunk(records, 8000) {
					if !yield(&memChunk{records: part, seed: rnd.Uint64()}, nil) {
						return
					}
				}
			}
			got, err := Aggregate(context.Background(), chunks, q)
			if err != nil {
				t.Fatal(err)
			}
			total, groups := aggregateSlowly(records, q)
			compareResult(t, q, got, total, groups)
		}
	}
}

func TestSumsSaturate(t *testing.T) {
	huge := netflow.Record{Packets: 1 << 63, Bytes: 1 << 40, SamplingRate: 1 << 31, Proto: 6}
	records := []netflow.Record{huge, huge, huge}
	for _, c := range []struct {
		scale          bool
		packets, bytes uint64
	}{{false, 1<<64 - 1, 3 << 40}, {true, 1<<64 - 1, 1<<64 - 1}} {
		for _, by := range [][]Field{nil, {mustField(t, "proto")}, {mustField(t, "src_addr")}} {
			r, err := Aggregate(context.Background(), oneChunk(&memChunk{records: records}), Query{By: by, Scale: c.scale})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Saturated || r.Total.Packets != c.packets || r.Total.Bytes != c.bytes {
				t.Errorf("scale %v: saturated %v, %+v", c.scale, r.Saturated, r.Total)
			}
			if by != nil && r.Group(0).Counters != r.Total {
				t.Errorf("scale %v: group %+v, total %+v", c.scale, r.Group(0).Counters, r.Total)
			}
		}
	}
	r, err := Aggregate(context.Background(), oneChunk(&memChunk{records: records[:1]}), Query{})
	if err != nil || r.Saturated {
		t.Errorf("one flow: saturated %v, error %v", r.Saturated, err)
	}
}

func oneChunk(c column.Chunk) iter.Seq2[column.Chunk, error] {
	return func(yield func(column.Chunk, error) bool) { yield(c, nil) }
}

func TestMaxGroups(t *testing.T) {
	rnd := rand.New(rand.NewPCG(15, 16))
	records := randomRecords(rnd, 1000)
	var opened atomic.Int64
	q := Query{By: []Field{mustField(t, "bytes"), mustField(t, "src_port")}, MaxGroups: 10}
	if _, err := Aggregate(context.Background(), chunksOf(rnd, records, &opened), q); !errors.Is(err, ErrTooManyGroups) {
		t.Errorf("got %v, want ErrTooManyGroups", err)
	}
	if opened.Load() != 0 {
		t.Errorf("%d chunks left open", opened.Load())
	}
	q.MaxGroups = 6 * 7
	if _, err := Aggregate(context.Background(), chunksOf(rnd, records, &opened), q); err != nil {
		t.Error(err)
	}
}

func TestAggregateReportsErrors(t *testing.T) {
	rnd := rand.New(rand.NewPCG(17, 18))
	records := randomRecords(rnd, 100)
	bad := &memChunk{records: records, fail: netflow.SetOf(netflow.Bytes)}
	if _, err := Aggregate(context.Background(), oneChunk(bad), Query{}); !errors.Is(err, errUnreadable) {
		t.Errorf("got %v, want %v", err, errUnreadable)
	}
	var opened atomic.Int64
	broken := func(yield func(column.Chunk, error) bool) {
		for c, err := range chunksOf(rnd, records, &opened) {
			if !yield(c, err) {
				return
			}
		}
		yield(nil, errUnreadable)
	}
	if _, err := Aggregate(context.Background(), broken, Query{}); !errors.Is(err, errUnreadable) || opened.Load() != 0 {
		t.Errorf("got %v with %d chunks open, want %v", err, opened.Load(), errUnreadable)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Aggregate(ctx, chunksOf(rnd, records, &opened), Query{}); !errors.Is(err, context.Canceled) || opened.Load() != 0 {
		t.Errorf("got %v with %d chunks open, want %v", err, opened.Load(), context.Canceled)
	}
}

// TestQueryReadsOnlyItsColumns holds the query to Columns, and wants chunks that can't match not to be read at all.
func TestQueryReadsOnlyItsColumns(t *testing.T) {
	rnd := rand.New(rand.NewPCG(19, 20))
	q := Query{By: []Field{mustField(t, "src_net"), mustField(t, "hour")}, Counters: CountBytes, Sort: ByPackets, Scale: true}
	q.Filter, _ = ParseFilter("port 443")
	want := netflow.SetOf(netflow.SrcAddr, netflow.SrcMask, netflow.IPVersion, netflow.Start, netflow.Bytes, netflow.Packets,
		netflow.SamplingRate, netflow.SrcPort, netflow.DstPort)
	if q.Columns() != want {
		t.Errorf("columns %b, want %b", q.Columns(), want)
	}
	for range 50 {
		c := &memChunk{records: randomRecords(rnd, 100), seed: rnd.Uint64()}
		if _, err := Aggregate(context.Background(), oneChunk(c), q); err != nil {
			t.Fatal(err)
		}
		if c.read&^want != 0 {
			t.Fatalf("read %b beyond %b", c.read, want)
		}
	}
	q.Filter, _ = ParseFilter("ipv6 and port 443")
	c := &memChunk{records: []netflow.Record{{IPVersion: 4, Bytes: 1}}, seed: seedWithBounds(netflow.IPVersion)}
	r, err := Aggregate(context.Background(), oneChunk(c), q)
	if err != nil || c.read != 0 || r.Skipped != 1 {
		t.Errorf("read %b, skipped %d, error %v", c.read, r.Skipped, err)
	}
}

// seedWithBounds returns a seed with which a memChunk knows the bounds of a column.
func seedWithBounds(col netflow.Column) uint64 {
	for seed := uint64(0); ; seed++ {
		c := &memChunk{records: make([]netflow.Record, 1), seed: seed}
		if _, _, ok := c.Bounds(col); ok {
			return seed
		}
	}
}

func TestDaysFollowTheClock(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones: ", err)
	}
	// Clocks go back at 2026-10-25T01:00:00Z; the day has 25 hours.
	var records []netflow.Record
	for h := range 30 {
		records = append(records, netflow.Record{Start: netflow.TimestampOf(time.Date(2026, 10, 24, 22+h, 30, 0, 0, time.UTC))})
	}
	r, err := Aggregate(context.Background(), oneChunk(&memChunk{records: records}),
		Query{By: []Field{mustField(t, "day")}, Sort: ByKey, Location: berlin})
	if err != nil {
		t.Fatal(err)
	}
	if r.Len() != 2 || r.Group(0).Flows != 25 || r.Group(0).Key[0].String() != "2026-10-24T22:00:00Z" ||
		r.Group(1).Key[0].String() != "2026-10-25T23:00:00Z" {
		t.Errorf("%d days, the first of %d hours from %v", r.Len(), r.Group(0).Flows, r.Group(0).Key)
	}
	hours, err := Aggregate(context.Background(), oneChunk(&memChunk{records: records}),
		Query{By: []Field{mustField(t, "hour")}, Location: berlin})
	if err != nil || hours.Len() != 30 {
		t.Errorf("%d hours, %v", hours.Len(), err)
	}
}

func TestBinsBeforeTheEpoch(t *testing.T) {
	records := []netflow.Record{{Start: -1}, {Start: 1}}
	for _, by := range []string{"minute", "day"} {
		r, err := Aggregate(context.Background(), oneChunk(&memChunk{records: records}), Query{By: []Field{mustField(t, by)}, Sort: ByKey})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Group(0).Key[0].Time(); r.Len() != 2 || !got.Before(time.Unix(0, 0)) || got.Before(time.Unix(-86400, 0)) {
			t.Errorf("%s: %d bins, the first is %v", by, r.Len(), got)
		}
	}
}

func TestParseField(t *testing.T) {
	for _, c := range []struct{ text, err string }{
		{"src_addr", ""}, {"SRC_ADDR/24", ""}, {"addr/24:48", ""}, {"start/5m", ""}, {"minute", ""},
		{"src_adr", `did you mean "src_addr"?`}, {"src_addr/129", "a prefix length"}, {"src_addr/24:129", "a prefix length"},
		{"src_addr/64:64", "a prefix length"}, {"src_addr/", "a prefix length"}, {"start/7m", "divides a day"},
		{"minute/5", "start/5m"}, {"proto/3", "nothing after a slash"}, {"", "unknown field"},
	} {
		f, err := ParseField(c.text)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.err))) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.err)
		}
		if err == nil && f.String() == "" {
			t.Errorf("%q has no name", c.text)
		}
	}
	for _, name := range FieldNames() {
		if f := mustField(t, name); f.String() != name {
			t.Errorf("field %q is called %q", name, f)
		}
	}
	if _, err := Aggregate(context.Background(), oneChunk(&memChunk{}), Query{By: make([]Field, 17)}); err == nil {
		t.Error("17 fields are no error")
	}
	for _, name := range OrderNames() {
		if o, err := ParseOrder(name); err != nil || o.String() != name {
			t.Errorf("order %q: %v, %v", name, o, err)
		}
	}
	if _, err := ParseOrder("byte"); err == nil || err.Error()[len(err.Error())-len(`did you mean "bytes"?`):] != `did you mean "bytes"?` {
		t.Errorf("got %v", err)
	}
}
