package parquet_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/storage/storagetest"
)

// text is how a row's address or MAC stands in a file.
func text(b *netflow.Batch, c netflow.Column, i int) string {
	if c.Kind() == netflow.KindMAC {
		if m := b.MACs(c)[i]; m != (netflow.MAC{}) {
			return m.String()
		}
		return ""
	}
	a := b.Addrs(c)[i]
	if a.IsZero() && (c != netflow.SrcAddr && c != netflow.DstAddr || b.IPVersion[i] == 0) {
		return ""
	}
	return a.String()
}

func number(b *netflow.Batch, c netflow.Column, i int) uint64 {
	switch c.Kind() {
	case netflow.KindTime:
		return uint64(b.Times(c)[i])
	case netflow.KindUint8:
		return uint64(b.Uint8s(c)[i])
	case netflow.KindUint16:
		return uint64(b.Uint16s(c)[i])
	case netflow.KindUint32:
		return uint64(b.Uint32s(c)[i])
	}
	return b.Uint64s(c)[i]
}

// TestParquetGoReadsTheSame compares every value, the schema, the statistics and the Bloom filters with what an
// independent implementation reads.
func TestParquetGoReadsTheSame(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	m := &memory{}
	a, err := parquet.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	oracle(t, m, nil)
	var want []*netflow.Batch
	for _, rows := range []int{1, 9, 300, 70000} {
		b := storagetest.RandomBatch(rnd, rows, netflow.IPVersion)
		want = append(want, b)
		if err := a.Append(encode(t, b), map[string]string{"caprock.ledger": `{"rows":1}`}); err != nil {
			t.Fatal(err)
		}
		oracle(t, m, want)
	}
}

func oracle(t *testing.T, m *memory, want []*netflow.Batch) {
	t.Helper()
	f, err := pq.OpenFile(bytes.NewReader(m.data), int64(len(m.data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.RowGroups()) != len(want) {
		t.Fatalf("%d row groups, want %d", len(f.RowGroups()), len(want))
	}
	if v, ok := f.Lookup("caprock.version"); !ok || v != "1" {
		t.Errorf("caprock.version is %q, %v", v, ok)
	}
	for i, field := range f.Schema().Fields() {
		c := netflow.Column(i)
		if field.Name() != c.String() || !field.Required() {
			t.Errorf("column %d: %q, want %v, required", i, field.Name(), c)
		}
		kinds := map[netflow.Kind]string{
			netflow.KindTime: "TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)", netflow.KindAddr: "STRING", netflow.KindMAC: "STRING",
			netflow.KindUint8: "INT(8,false)", netflow.KindUint16: "INT(16,false)", netflow.KindUint32: "INT(32,false)", netflow.KindUint64: "INT(64,false)",
		}
		if got := field.Type().LogicalType().String(); got != kinds[c.Kind()] {
			t.Errorf("column %v is %s, want %s", c, got, kinds[c.Kind()])
		}
	}
	for i, group := range f.RowGroups() {
		b := want[i]
		for _, c := range netflow.Columns() {
			values := chunkValues(t, group.ColumnChunks()[c])
			if len(values) != b.Len() {
				t.Fatalf("column %v: %d values, want %d", c, len(values), b.Len())
			}
			bloom := group.ColumnChunks()[c].BloomFilter()
			if (bloom != nil) != (c == netflow.SrcAddr || c == netflow.DstAddr) {
				t.Errorf("column %v: Bloom filter %v", c, bloom != nil)
			}
			for row, v := range values {
				switch c.Kind() {
				case netflow.KindAddr, netflow.KindMAC:
					if got, want := string(v.ByteArray()), text(b, c, row); got != want {
						t.Fatalf("row %d, column %v: %q, want %q", row, c, got, want)
					}
				default:
					got := v.Uint64()
					if c.Kind() != netflow.KindTime && c.Kind() != netflow.KindUint64 {
						got = uint64(v.Uint32())
					}
					if want := number(b, c, row); got != want {
						t.Fatalf("row %d, column %v: %d, want %d", row, c, got, want)
					}
				}
				if bloom != nil {
					if has, err := bloom.Check(v); err != nil || !has {
						t.Fatalf("column %v: Bloom filter denies %v, error %v", c, v, err)
					}
				}
			}
			checkStatistics(t, f, i, c, b)
		}
	}
}

func chunkValues(t *testing.T, chunk pq.ColumnChunk) (values []pq.Value) {
	t.Helper()
	pages := chunk.Pages()
	defer pages.Close()
	for {
		p, err := pages.ReadPage()
		if err == io.EOF {
			return values
		}
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]pq.Value, p.NumValues())
		n, err := p.Values().ReadValues(buf)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		values = append(values, buf[:n]...)
	}
}

func checkStatistics(t *testing.T, f *pq.File, group int, c netflow.Column, b *netflow.Batch) {
	t.Helper()
	chunk, ok := f.RowGroups()[group].ColumnChunks()[c].(*pq.FileColumnChunk)
	if !ok {
		t.Fatalf("column chunk is a %T", f.RowGroups()[group].ColumnChunks()[c])
	}
	if chunk.NullCount() != 0 {
		t.Errorf("column %v: null count %d", c, chunk.NullCount())
	}
	if c.Kind() == netflow.KindAddr || c.Kind() == netflow.KindMAC {
		return
	}
	lo, hi, ok := chunk.Bounds()
	if !ok {
		t.Fatalf("column %v has no bounds", c)
	}
	wantLo, wantHi := number(b, c, 0), number(b, c, 0)
	for i := range b.Len() {
		x := number(b, c, i)
		if c.Kind() == netflow.KindTime {
			wantLo, wantHi = uint64(min(int64(wantLo), int64(x))), uint64(max(int64(wantHi), int64(x)))
		} else {
			wantLo, wantHi = min(wantLo, x), max(wantHi, x)
		}
	}
	gotLo, gotHi := lo.Uint64(), hi.Uint64()
	if c.Kind() != netflow.KindTime && c.Kind() != netflow.KindUint64 {
		gotLo, gotHi = uint64(lo.Uint32()), uint64(hi.Uint32())
	}
	if gotLo != wantLo || gotHi != wantHi {
		t.Errorf("column %v: bounds %d and %d, want %d and %d", c, gotLo, gotHi, wantLo, wantHi)
	}
}

// flowRow is a part of the columns as a user of parquet-go would write it.
type flowRow struct {
	Start   time.Time `parquet:"start,timestamp(microsecond)"`
	SrcAddr string    `parquet:"src_addr"`
	SrcPort uint16    `parquet:"src_port"`
	Bytes   uint64    `parquet:"bytes"`
}

func TestGenericReader(t *testing.T) {
	b := netflow.NewBatch(2)
	b.Append(&netflow.Record{Start: 1_790_000_000_123_456, SrcAddr: netflow.AddrFrom4([4]byte{10, 0, 0, 1}), SrcPort: 443, Bytes: 1 << 40, IPVersion: 4})
	b.Append(&netflow.Record{Start: 5, SrcAddr: netflow.Addr{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 15: 1}, SrcPort: 65535, Bytes: 1<<64 - 1, IPVersion: 6})
	m := &memory{}
	a, err := parquet.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Append(encode(t, b), nil); err != nil {
		t.Fatal(err)
	}
	rows := make([]flowRow, 2)
	r := pq.NewGenericReader[flowRow](bytes.NewReader(m.data))
	if n, err := r.Read(rows); n != 2 || err != nil && err != io.EOF {
		t.Fatalf("%d rows, error %v", n, err)
	}
	want := []flowRow{
		{time.UnixMicro(1_790_000_000_123_456).UTC(), "10.0.0.1", 443, 1 << 40},
		{time.UnixMicro(5).UTC(), "2001:db8::1", 65535, 1<<64 - 1},
	}
	for i := range want {
		if rows[i] != want[i] {
			t.Errorf("row %d: got %v, want %v", i, rows[i], want[i])
		}
	}
}
