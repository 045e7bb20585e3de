package parquet_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/storage/storagetest"
)

// memory is a file in memory that can be told to fail.
type memory struct {
	data   []byte
	writes int
	syncs  int
	fail   error // of the next write, which puts half of its bytes first
}

func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	if at > int64(len(m.data)) {
		return 0, io.EOF
	}
	n := copy(p, m.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	m.writes++
	n := len(p)
	if m.fail != nil {
		n /= 2
	}
	m.data = append(m.data[:min(int(at), len(m.data))], p[:n]...)
	err := m.fail
	m.fail = nil
	return n, err
}

func (m *memory) Truncate(n int64) error {
	m.data = m.data[:min(int(n), len(m.data))]
	return nil
}

func (m *memory) Sync() error { m.syncs++; return nil }

// dense reads a column of a chunk as one value a row.
func dense(t testing.TB, chunk column.Chunk, c netflow.Column) (nums []uint64, addrs []netflow.Addr) {
	t.Helper()
	var v column.Vector
	if err := chunk.Read(c, &v); err != nil {
		t.Fatalf("column %v: %v", c, err)
	}
	if !v.Coded {
		return v.Num, v.Addr
	}
	for _, code := range v.Codes {
		if c.Kind() == netflow.KindAddr {
			addrs = append(addrs, v.Addr[code])
		} else {
			nums = append(nums, v.Num[code])
		}
	}
	return nums, addrs
}

// sameChunk compares a chunk with the rows of batches.
func sameChunk(t testing.TB, got column.Chunk, batches ...*netflow.Batch) {
	t.Helper()
	rows := 0
	for _, b := range batches {
		rows += b.Len()
	}
	if got.Rows() != rows {
		t.Fatalf("%d rows, want %d", got.Rows(), rows)
	}
	for _, c := range netflow.Columns() {
		var nums []uint64
		var addrs []netflow.Addr
		for _, b := range batches {
			n, a := dense(t, column.FromBatch(b), c)
			nums, addrs = append(nums, n...), append(addrs, a...)
		}
		n, a := dense(t, got, c)
		if !slices.Equal(n, nums) || !slices.Equal(a, addrs) {
			t.Fatalf("column %v: got %v %v, want %v %v", c, n, a, nums, addrs)
		}
		if lo, hi, ok := got.Bounds(c); ok {
			for _, x := range nums {
				if c.Kind() == netflow.KindTime && (int64(x) < int64(lo) || int64(x) > int64(hi)) ||
					c.Kind() != netflow.KindTime && (x < lo || x > hi) {
					t.Fatalf("column %v: %d is not within the bounds %d and %d", c, x, lo, hi)
				}
			}
		} else if c.Kind() != netflow.KindAddr && c.Kind() != netflow.KindMAC {
			t.Errorf("column %v has no bounds", c)
		}
		for _, x := range addrs {
			if !got.MayContain(c, x) {
				t.Fatalf("column %v: Bloom filter denies %v", c, x)
			}
		}
	}
}

func encode(t testing.TB, batches ...*netflow.Batch) *parquet.RowGroup {
	t.Helper()
	g, err := parquet.EncodeRowGroup(batches, parquet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func open(t testing.TB, m *memory) *parquet.File {
	t.Helper()
	f, err := parquet.Open(m, int64(len(m.data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAppendedRowsComeBackEqual(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	m := &memory{}
	a, err := parquet.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	if f := open(t, m); f.Rows() != 0 || f.NumRowGroups() != 0 {
		t.Errorf("new file: %d rows in %d row groups", f.Rows(), f.NumRowGroups())
	}
	var want [][]*netflow.Batch
	for i, rows := range []int{1, 2, 7, 8, 9, 31, 33, 129, 1000, 5000} {
		group := []*netflow.Batch{storagetest.RandomBatch(rnd, rows, netflow.IPVersion), storagetest.RandomBatch(rnd, rows/2+1, netflow.IPVersion)}
		want = append(want, group)
		writes, syncs := m.writes, m.syncs
		if err := a.Append(encode(t, group...), map[string]string{"caprock.journal_seq": string(rune('0' + i))}); err != nil {
			t.Fatal(err)
		}
		if m.writes != writes+1 || m.syncs != syncs+1 {
			t.Errorf("append took %d writes and %d syncs", m.writes-writes, m.syncs-syncs)
		}
		f := open(t, m)
		if f.NumRowGroups() != len(want) || f.Meta()["caprock.journal_seq"] != string(rune('0'+i)) || f.Ignored() != 0 {
			t.Fatalf("%d row groups, metadata %v", f.NumRowGroups(), f.Meta())
		}
		for i, group := range want {
			sameChunk(t, f.RowGroup(i), group...)
		}
		if a.Rows() != f.Rows() || a.RowGroups() != len(want) || a.Size() != int64(len(m.data)) {
			t.Errorf("appender counts %d rows, %d row groups, %d bytes", a.Rows(), a.RowGroups(), a.Size())
		}
	}
}

func TestFailedAppendLeavesTheFileAsItWas(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	m := &memory{}
	a, err := parquet.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	b := storagetest.RandomBatch(rnd, 100, netflow.IPVersion)
	if err := a.Append(encode(t, b), nil); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left on device")
	m.fail = full
	if err := a.Append(encode(t, b), nil); !errors.Is(err, full) {
		t.Fatalf("error %v, want %v", err, full)
	}
	if err := a.Append(encode(t, b), nil); !errors.Is(err, full) {
		t.Errorf("after a failure: error %v, want %v again", err, full)
	}
	f := open(t, m)
	if f.NumRowGroups() != 1 || f.Ignored() != 0 {
		t.Fatalf("%d row groups, %d bytes behind the footer", f.NumRowGroups(), f.Ignored())
	}
	sameChunk(t, f.RowGroup(0), b)
}
