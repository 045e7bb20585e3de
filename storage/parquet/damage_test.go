package parquet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/storage/storagetest"
)

// smallFile makes a file of two appends of a few rows.
func smallFile(t testing.TB) (m *memory, ends []int, groups []*netflow.Batch) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(7, 8))
	m = &memory{}
	a, err := parquet.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	ends = append(ends, len(m.data))
	for range 2 {
		b := storagetest.RandomBatch(rnd, 9, netflow.IPVersion)
		groups = append(groups, b)
		if err := a.Append(encode(t, b), map[string]string{"caprock.journal_seq": "17"}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, len(m.data))
	}
	return m, ends, groups
}

// readable compares every row group that can be read with what was written, and returns how many cannot be.
func readable(t testing.TB, f *parquet.File, groups []*netflow.Batch) (bad int) {
	t.Helper()
	if f.NumRowGroups() > len(groups) {
		t.Fatalf("%d row groups of %d", f.NumRowGroups(), len(groups))
	}
	var got, want column.Vector
	for i := range f.NumRowGroups() {
		g, w := f.RowGroup(i), column.FromBatch(groups[i])
		whole := g.Rows() == w.Rows()
		for _, c := range netflow.Columns() {
			if err := g.Read(c, &got); err != nil {
				if !errors.Is(err, parquet.ErrCorrupt) {
					t.Fatalf("error %v, want ErrCorrupt", err)
				}
				whole = false
				break
			}
			if err := w.Read(c, &want); err != nil {
				t.Fatal(err)
			}
			for row := range w.Rows() {
				n, a := at(&got, row)
				if wn, wa := at(&want, row); n != wn || a != wa {
					t.Fatalf("row group %d, row %d, column %v: %d %v, want %d %v", i, row, c, n, a, wn, wa)
				}
			}
		}
		if !whole {
			bad++
		}
	}
	return bad
}

// at returns the value of a row.
func at(v *column.Vector, row int) (n uint64, a netflow.Addr) {
	if v.Coded {
		row = int(v.Codes[row])
	}
	if len(v.Addr) > 0 {
		return 0, v.Addr[row]
	}
	return v.Num[row], a
}

func TestEveryTruncationGivesAnEarlierState(t *testing.T) {
	m, ends, groups := smallFile(t)
	state := -1
	for n := range len(m.data) + 1 {
		if state+1 < len(ends) && n == ends[state+1] {
			state++
		}
		f, err := parquet.Open(&memory{data: m.data[:n]}, int64(n))
		if state < 0 {
			if !errors.Is(err, parquet.ErrNoFooter) && !errors.Is(err, parquet.ErrNotParquet) {
				t.Fatalf("%d bytes: error %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if f.NumRowGroups() != state || int(f.Ignored()) != n-ends[state] {
			t.Fatalf("%d bytes: %d row groups and %d bytes ignored, want %d and %d", n, f.NumRowGroups(), f.Ignored(), state, n-ends[state])
		}
		if n != ends[state] && n%64 != 0 { // what follows depends only on the footer found
			continue
		}
		if readable(t, f, groups) != 0 {
			t.Fatalf("%d bytes: not all row groups can be read", n)
		}
		cut := &memory{data: bytes.Clone(m.data[:n])}
		a, dropped, err := parquet.Recover(cut, int64(n))
		if err != nil || int(dropped) != n-ends[state] || len(cut.data) != ends[state] || a.RowGroups() != state {
			t.Fatalf("%d bytes: recovered %d row groups, %d bytes dropped, error %v", n, a.RowGroups(), dropped, err)
		}
	}
}

// TestBitFlipsAreNoticedOrHarmless flips a bit of every byte, or all bits when $CAPROCK_EXHAUSTIVE is set.
func TestBitFlipsAreNoticedOrHarmless(t *testing.T) {
	m, ends, groups := smallFile(t)
	rnd := rand.New(rand.NewPCG(13, 14))
	harmless := 0
	for bit := 0; bit < len(m.data)*8; bit++ {
		if os.Getenv("CAPROCK_EXHAUSTIVE") == "" {
			bit = bit/8*8 + rnd.IntN(8)
		}
		m.data[bit/8] ^= 1 << (bit % 8)
		f, err := parquet.Open(m, int64(len(m.data)))
		if err == nil && f.Ignored() == 0 && readable(t, f, groups) == 0 {
			if f.NumRowGroups() != len(groups) || f.Meta()["caprock.journal_seq"] != "17" {
				t.Fatalf("bit %d: %d row groups, metadata %v", bit, f.NumRowGroups(), f.Meta())
			}
			for i, b := range groups { // a Bloom filter that has lost bits would hide rows
				for _, c := range []netflow.Column{netflow.SrcAddr, netflow.DstAddr} {
					for _, a := range b.Addrs(c) {
						if !f.RowGroup(i).MayContain(c, a) {
							t.Fatalf("bit %d: Bloom filter denies %v", bit, a)
						}
					}
				}
			}
			harmless++
		}
		m.data[bit/8] ^= 1 << (bit % 8)
		if os.Getenv("CAPROCK_EXHAUSTIVE") == "" {
			bit |= 7
		}
	}
	t.Logf("%d flips are harmless: in old footers, the first of which ends at %d, and in Bloom filters", harmless, ends[0])
}

func TestRecoverGoesOn(t *testing.T) {
	m, _, groups := smallFile(t)
	want := bytes.Clone(m.data)
	m.data = append(m.data, "PAR1 what a crash left PAR1"...)
	a, cut, err := parquet.Recover(m, int64(len(m.data)))
	if err != nil || cut != 27 || !bytes.Equal(m.data, want) {
		t.Fatalf("%d bytes cut, error %v", cut, err)
	}
	if a.Meta()["caprock.journal_seq"] != "17" || a.Rows() != 18 || a.RowGroups() != 2 || a.Size() != int64(len(want)) {
		t.Errorf("recovered: %v, %d rows, %d row groups, %d bytes", a.Meta(), a.Rows(), a.RowGroups(), a.Size())
	}
	dead := a.DeadBytes()
	more := storagetest.RandomBatch(rand.New(rand.NewPCG(9, 10)), 50, netflow.IPVersion)
	if err := a.Append(encode(t, more), map[string]string{"caprock.journal_seq": "18"}); err != nil {
		t.Fatal(err)
	}
	if a.DeadBytes() <= dead {
		t.Errorf("%d dead bytes after %d", a.DeadBytes(), dead)
	}
	f := open(t, m)
	groups = append(groups, more)
	if f.NumRowGroups() != 3 || readable(t, f, groups) != 0 || f.Meta()["caprock.journal_seq"] != "18" {
		t.Errorf("%d row groups, %v", f.NumRowGroups(), f.Meta())
	}
	oracle(t, m, groups)
}

// TestRecoverAfterLossOfPower has the last footer on disk, but not the pages before it.
func TestRecoverAfterLossOfPower(t *testing.T) {
	m, ends, groups := smallFile(t)
	clear(m.data[ends[1] : ends[1]+512])
	a, cut, err := parquet.Recover(m, int64(len(m.data)))
	if err != nil || int(cut) != ends[2]-ends[1] || a.RowGroups() != 1 {
		t.Fatalf("%d bytes cut, error %v", cut, err)
	}
	if readable(t, open(t, m), groups) != 0 {
		t.Error("the row group before cannot be read")
	}
}

func TestForeignAndNewerFiles(t *testing.T) {
	var other bytes.Buffer
	w := pq.NewGenericWriter[flowRow](&other)
	if _, err := w.Write([]flowRow{{SrcAddr: "10.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m := &memory{data: other.Bytes()}
	if _, err := parquet.Open(m, int64(len(m.data))); !errors.Is(err, parquet.ErrForeign) {
		t.Errorf("parquet-go's file: error %v, want ErrForeign", err)
	}
	if _, _, err := parquet.Recover(m, int64(len(m.data))); !errors.Is(err, parquet.ErrForeign) {
		t.Errorf("recovering parquet-go's file: error %v, want ErrForeign", err)
	}

	m, _, _ = smallFile(t)
	newer := parquet.WithVersion(m.data, "9")
	if _, err := parquet.Open(&memory{data: newer}, int64(len(newer))); !errors.Is(err, parquet.ErrVersion) {
		t.Errorf("version 9: error %v, want ErrVersion", err)
	}
	text := []byte("a text file that is long enough to be looked at")
	if _, err := parquet.Open(&memory{data: text}, int64(len(text))); !errors.Is(err, parquet.ErrNotParquet) {
		t.Errorf("text: error %v, want ErrNotParquet", err)
	}
}

func TestRewriteKeepsTheRows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	m := &memory{}
	a, err := parquet.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	var groups []*netflow.Batch
	for _, rows := range []int{10, 20, 30, 100, 5, 200, 1} {
		b := storagetest.RandomBatch(rnd, rows, netflow.IPVersion)
		groups = append(groups, b)
		if err := a.Append(encode(t, b), map[string]string{"caprock.ledger": "{}"}); err != nil {
			t.Fatal(err)
		}
	}
	out := &memory{data: []byte("what was there before")}
	got, err := parquet.Rewrite(out, open(t, m), 100, map[string]string{"caprock.note": "rewritten"})
	if err != nil {
		t.Fatal(err)
	}
	if got.DeadBytes() != 0 || got.Rows() != 366 || got.RowGroups() != 5 || len(out.data) != int(got.Size()) || len(out.data) >= len(m.data) {
		t.Errorf("%d dead bytes, %d rows in %d row groups, %d bytes of %d", got.DeadBytes(), got.Rows(), got.RowGroups(), len(out.data), len(m.data))
	}
	f := open(t, out)
	if meta := f.Meta(); meta["caprock.ledger"] != "{}" || meta["caprock.note"] != "rewritten" || f.Ignored() != 0 {
		t.Errorf("metadata %v, %d bytes ignored", meta, f.Ignored())
	}
	sameChunk(t, f.RowGroup(0), groups[0:3]...)
	sameChunk(t, f.RowGroup(1), groups[3])
	sameChunk(t, f.RowGroup(2), groups[4])
	sameChunk(t, f.RowGroup(3), groups[5])
	sameChunk(t, f.RowGroup(4), groups[6])
	// What a merge gives is what encoding the rows anew gives.
	if err := got.Append(encode(t, groups[0]), nil); err != nil {
		t.Fatal(err)
	}
	sameChunk(t, open(t, out).RowGroup(5), groups[0])
	if rows, err := pq.OpenFile(bytes.NewReader(out.data), int64(len(out.data))); err != nil || rows.NumRows() != 376 {
		t.Errorf("parquet-go: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	m, ends, _ := smallFile(f)
	for _, n := range ends {
		f.Add(m.data[:n])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, fix := range []bool{false, true} {
			if fix { // without this the fuzzer never gets beyond the checksum
				data = parquet.FixFooter(bytes.Clone(data))
			}
			file, err := parquet.Open(&memory{data: data}, int64(len(data)))
			if err != nil {
				continue
			}
			rows := int64(0)
			var v column.Vector
			for i := range min(file.NumRowGroups(), 4) {
				g := file.RowGroup(i)
				rows += int64(g.Rows())
				for _, c := range netflow.Columns() {
					g.Bounds(c)
					if c.Kind() == netflow.KindAddr {
						g.MayContain(c, netflow.Addr{})
					}
					if err := g.Read(c, &v); err != nil {
						continue
					}
					values := max(len(v.Num), len(v.Addr))
					if v.Coded {
						for _, code := range v.Codes {
							if int(code) >= values {
								t.Fatalf("column %v: code %d of %d", c, code, values)
							}
						}
						values = len(v.Codes)
					}
					if values != g.Rows() {
						t.Fatalf("column %v: %d values for %d rows", c, values, g.Rows())
					}
				}
			}
			if file.NumRowGroups() <= 4 && rows != file.Rows() {
				t.Fatalf("%d rows in row groups, %d in the file", rows, file.Rows())
			}
		}
	})
}

// TestManyMagics holds the line on the work that a hostile tail can cause.
func TestManyMagics(t *testing.T) {
	tail := []byte("PAR1")
	for len(tail) < 8<<20 {
		tail = binary.LittleEndian.AppendUint32(tail, uint32(len(tail)-4))
		tail = append(tail, "PAR1"...)
	}
	if _, err := parquet.Open(&memory{data: tail}, int64(len(tail))); err == nil {
		t.Error("opened")
	}
}
