package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
)

func TestCodesComeBackEqual(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{2, 3, 5, 16, 17, 256, 257, 65536, 65537, 1 << 18, 1 << 20} {
		for _, rows := range []int{1, 7, 8, 9, 31, 32, 33, 1000} {
			codes := make([]uint32, rows)
			for i := range codes {
				codes[i] = rnd.Uint32N(uint32(n))
			}
			page := appendCodes(nil, codes, n)
			got, err := readCodes(nil, page, rows, n)
			if err != nil || !slices.Equal(got, codes) {
				t.Fatalf("%d rows of %d values: %v, error %v, want %v", rows, n, got, err, codes)
			}
			if _, err := readCodes(nil, page, rows, int(slices.Max(codes))); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d rows: a code beyond the dictionary gives error %v", rows, err)
			}
			want, err := (&rle.Encoding{BitWidth: int(page[0])}).DecodeInt32(nil, page[1:])
			if err != nil || len(want) < rows {
				t.Fatalf("parquet-go: %d codes, error %v", len(want), err)
			}
			for i := range codes {
				if uint32(want[i]) != codes[i] {
					t.Fatalf("%d rows of %d values: parquet-go reads %d in row %d, want %d", rows, n, want[i], i, codes[i])
				}
			}
		}
	}
}

func TestDeltasComeBackEqual(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for rows := 1; rows < 400; rows += 7 {
		for shift := range 64 {
			v := make([]uint64, rows)
			for i := range v {
				v[i] = rnd.Uint64() >> shift
			}
			page := appendDelta(nil, v)
			got, err := readDelta(nil, page, rows)
			if err != nil || !slices.Equal(got, v) {
				t.Fatalf("%d rows of %d bits: error %v", rows, 64-shift, err)
			}
			want, err := new(delta.BinaryPackedEncoding).DecodeInt64(nil, page)
			if err != nil || len(want) != rows {
				t.Fatalf("%d rows of %d bits: parquet-go reads %d, error %v", rows, 64-shift, len(want), err)
			}
			for i := range v {
				if uint64(want[i]) != v[i] {
					t.Fatalf("%d rows of %d bits: parquet-go reads %d in row %d, want %d", rows, 64-shift, want[i], i, v[i])
				}
			}
		}
	}
}

func FuzzReadCodes(f *testing.F) {
	f.Add(appendCodes(nil, []uint32{1, 2, 3, 300, 5}, 301), 5, 301)
	f.Add(appendConstantCodes(nil, 100), 100, 1)
	f.Fuzz(func(t *testing.T, page []byte, rows, n int) {
		if rows < 1 || rows > 5000 || n < 2 || n > rows {
			return
		}
		codes, err := readCodes(nil, page, rows, n)
		if err != nil {
			return
		}
		again, err := readCodes(nil, appendCodes(nil, codes, n), rows, n)
		if err != nil || !slices.Equal(again, codes) {
			t.Errorf("read, written, read: %v, error %v, want %v", again, err, codes)
		}
	})
}

func FuzzReadDelta(f *testing.F) {
	f.Add(appendDelta(nil, []uint64{1, 5, 2, 1 << 60}), 4)
	f.Fuzz(func(t *testing.T, page []byte, rows int) {
		if rows < 1 || rows > 5000 {
			return
		}
		v, err := readDelta(nil, page, rows)
		if err != nil {
			return
		}
		again, err := readDelta(nil, appendDelta(nil, v), rows)
		if err != nil || !slices.Equal(again, v) {
			t.Errorf("read, written, read: %v, error %v, want %v", again, err, v)
		}
	})
}

// TestDictionaries holds a dictionary to a map.
func TestDictionaries(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	v := make([]uint64, 50_000)
	for i := range v {
		v[i] = rnd.Uint64N(20_000) * rnd.Uint64N(100)
	}
	codes := make([]uint32, len(v))
	d := newNumbers()
	for range 2 { // the second time with the memory of the first
		if !d.encode(codes, v, len(v)) {
			t.Fatal("gave up")
		}
		order := new(ranks).order(codes, len(d.values))
		seen := map[uint64]uint32{}
		for i, x := range v {
			if d.values[order[codes[i]]] != x {
				t.Fatalf("row %d: code %d means %d, want %d", i, codes[i], d.values[order[codes[i]]], x)
			}
			if c, ok := seen[x]; ok && c != codes[i] {
				t.Fatalf("value %d has the codes %d and %d", x, c, codes[i])
			}
			seen[x] = codes[i]
		}
		if len(seen) != len(d.values) {
			t.Errorf("%d values for %d distinct ones", len(d.values), len(seen))
		}
		if d.encode(codes, v, len(seen)-1) {
			t.Error("did not give up at the limit")
		}
	}
}

func TestTimesInMilliseconds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	v := make([]uint64, 10_000)
	for i := range v {
		v[i] = uint64(int64(-3_000_123) + rnd.Int64N(3000)*1000)
	}
	lo, hi := bounds(v, true)
	codes := make([]uint32, len(v))
	var d times
	values, ok := d.encode(codes, v, lo, hi)
	if !ok {
		t.Fatal("gave up")
	}
	for i, x := range v {
		if values[codes[i]] != x {
			t.Fatalf("row %d: %d, want %d", i, values[codes[i]], x)
		}
	}
	if !slices.IsSortedFunc(values, func(a, b uint64) int { return int(int64(a) - int64(b)) }) {
		t.Error("not in the order of time")
	}
	v[77]++
	if _, ok := d.encode(codes, v, lo, hi); ok {
		t.Error("took a time that is not whole milliseconds from the others")
	}
}

func TestBloomFilterIsParquets(t *testing.T) {
	filter := make([]byte, bloomSize(1000))
	text := func(i int) []byte { return []byte{byte(i), byte(i >> 8), 'x'} }
	for i := range 1000 {
		bloomInsert(filter, bloomHash(text(i)))
	}
	wrong := 0
	for i := range 50_000 {
		has := bloomHas(filter, bloomHash(text(i)))
		if i < 1000 && !has {
			t.Fatalf("value %d is denied", i)
		}
		if i >= 1000 && has {
			wrong++
		}
	}
	if wrong > 49_000*4/100 {
		t.Errorf("%d of 49000 values are not told at once", wrong)
	}
	stored := appendBloom(nil, filter)
	got, err := readBloom(stored)
	if err != nil || !bytes.Equal(got, filter) {
		t.Errorf("error %v", err)
	}
	stored[len(stored)/2] ^= 1
	if _, err := readBloom(stored); !errors.Is(err, ErrCorrupt) {
		t.Errorf("after a flip: error %v", err)
	}
}

func BenchmarkReadCodes(b *testing.B) {
	const rows = 1 << 17
	for _, n := range []int{2, 4, 16, 256, 65536, 1 << 17} {
		b.Run(fmt.Sprintf("%d bits", codeWidth(n)), func(b *testing.B) {
			codes := make([]uint32, rows)
			for i := range codes {
				codes[i] = uint32(i % n)
			}
			page := appendCodes(nil, codes, n)
			for b.Loop() {
				if _, err := readCodes(codes, page, rows, n); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
