package query

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

func TestScanGivesTheMatchingRowsInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(23, 24))
	for range 60 {
		records := randomRecords(rnd, rnd.IntN(2000))
		rows := Rows{Workers: 1 + rnd.IntN(4)}
		if rnd.IntN(3) > 0 {
			rows.Filter, _ = ParseFilter(randomFilter(rnd, 1))
		}
		if rnd.IntN(2) == 0 {
			rows.Limit = 1 + int64(rnd.IntN(500))
		}
		var want []netflow.Record
		for i := range records {
			if rows.Filter == nil || holds(rows.Filter.tree, &records[i]) {
				want = append(want, records[i])
			}
		}
		if rows.Limit > 0 && len(want) > int(rows.Limit) {
			want = want[:rows.Limit]
		}
		var opened atomic.Int64
		got := 0
		err := rows.Scan(context.Background(), chunksOf(rnd, records, &opened), func(b *netflow.Batch) error {
			for i := range b.Len() {
				if got >= len(want) || b.Record(i) != want[got] {
					t.Fatalf("filter %v, limit %d: row %d is %+v", rows.Filter, rows.Limit, got, b.Record(i))
				}
				got++
			}
			return nil
		})
		if err != nil || got != len(want) || opened.Load() != 0 {
			t.Fatalf("%d rows, want %d; %d chunks left open; error %v", got, len(want), opened.Load(), err)
		}
	}
}

func TestScanManyBatches(t *testing.T) {
	records := make([]netflow.Record, 10*BatchRows+1)
	for i := range records {
		records[i].Bytes = uint64(i)
	}
	for _, filter := range []string{"any", "bytes >= 3"} {
		f, _ := ParseFilter(filter)
		next := uint64(0)
		if filter != "any" {
			next = 3
		}
		err := Scan(context.Background(), oneChunk(&memChunk{records: records}), f, func(b *netflow.Batch) error {
			if b.Present() != netflow.SetOf(netflow.Bytes) && b.Present() != netflow.AllColumns {
				for _, c := range netflow.Columns() { // dense columns of zeros may be present
					if c == netflow.Bytes && !b.Present().Has(c) {
						t.Error("bytes are missing")
					}
				}
			}
			for i := range b.Len() {
				if b.Bytes[i] != next {
					t.Fatalf("got row %d, want %d", b.Bytes[i], next)
				}
				next++
			}
			return nil
		})
		if err != nil || next != uint64(len(records)) {
			t.Errorf("%s: ended at row %d, error %v", filter, next, err)
		}
	}
}

func TestScanEnds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(25, 26))
	records := randomRecords(rnd, 3000)
	var opened atomic.Int64
	mine := errors.New("mine")
	for _, c := range []struct{ emit, want error }{{ErrStop, nil}, {mine, mine}} {
		calls := 0
		err := Scan(context.Background(), chunksOf(rnd, records, &opened), nil, func(*netflow.Batch) error {
			calls++
			return c.emit
		})
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || calls != 1 || opened.Load() != 0 {
			t.Errorf("emit gives %v: got %v after %d calls, %d chunks left open", c.emit, err, calls, opened.Load())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := Scan(ctx, chunksOf(rnd, records, &opened), nil, func(*netflow.Batch) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || opened.Load() != 0 {
		t.Errorf("cancelled: got %v, %d chunks left open", err, opened.Load())
	}
}

// TestScanDeliversWhatComesBeforeAnError has a chunk that can't be read, and chunks that end in an error.
func TestScanDeliversWhatComesBeforeAnError(t *testing.T) {
	rnd := rand.New(rand.NewPCG(27, 28))
	records := randomRecords(rnd, 500)
	for _, inChunk := range []bool{false, true} {
		var opened atomic.Int64
		chunks := func(yield func(column.Chunk, error) bool) {
			for c, err := range chunksOf(rnd, records, &opened) {
				if !yield(c, err) {
					return
				}
			}
			if !inChunk {
				yield(nil, errUnreadable)
				return
			}
			opened.Add(1)
			yield(&memChunk{records: records, fail: netflow.SetOf(netflow.VLAN), opened: &opened}, nil)
		}
		rows := 0
		err := Scan(context.Background(), chunks, nil, func(b *netflow.Batch) error {
			rows += b.Len()
			return nil
		})
		if !errors.Is(err, errUnreadable) || rows != len(records) || opened.Load() != 0 {
			t.Errorf("got %d rows and %v, want %d; %d chunks left open", rows, err, len(records), opened.Load())
		}
	}
}

func TestScanReadsOnlyTheColumnsAskedFor(t *testing.T) {
	rnd := rand.New(rand.NewPCG(29, 30))
	c := &memChunk{records: randomRecords(rnd, 100), seed: 1}
	f, _ := ParseFilter("not flags S")
	want := netflow.SetOf(netflow.Bytes, netflow.SrcAddr)
	err := Rows{Filter: f, Columns: want}.Scan(context.Background(), oneChunk(c), func(b *netflow.Batch) error {
		if b.Present()&^want != 0 {
			t.Errorf("columns %b, want %b", b.Present(), want)
		}
		return nil
	})
	if err != nil || c.read&^(want|f.Columns()) != 0 {
		t.Errorf("read columns %b, error %v", c.read, err)
	}
}
