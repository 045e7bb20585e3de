package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// Query is a question to Aggregate. Its zero value asks for the totals of all flows.
//
// Memory is bounded by the number of groups, not by the number of flows. A group takes 8 bytes for each word of its key
// (one for up to 64 bits of adjacent fields; an address is 32 of them) and each counter, and 11 to 22 more: about 50 for
// src_addr,dst_addr with flows, packets and bytes. Each distinct address takes another 32 to 64. What waits to be added to
// the groups takes at most half of their size, or 64 MB if that is more; each worker holds another megabyte and the
// columns of one chunk.
type Query struct {
	Filter   *Filter    // which flows; nil: all
	By       []Field    // what to group by, at most 16; none: totals only
	Counters CounterSet // what to count besides flows; 0: everything. What Sort needs is added
	Sort     Order      // groups are sorted by it, the largest first; ByKey: the smallest first
	Reverse  bool       // the other way round
	N        int        // how many groups to keep; 0: all

	// Scale multiplies packets and bytes of each flow by its sampling rate, if it has one.
	Scale bool
	// Location is the zone whose hours and days the bins of time fields follow; nil: UTC.
	Location *time.Location
	// MaxGroups ends the query with ErrTooManyGroups when there are more groups than this; 0: no limit.
	MaxGroups int
	// Workers is how many goroutines work on chunks; 0: one for each processor.
	Workers int
}

// ErrTooManyGroups is returned when a query makes more than MaxGroups groups.
var ErrTooManyGroups = errors.New("too many groups: choose fewer or coarser fields, a filter, or a higher limit")

// aggregation is a running query. Workers share it; what they change is behind the tables' locks or atomic.
type aggregation struct {
	Query
	node   node
	sides  int // 2 if a field is two-sided
	layout layout
	parts  []part
	rankAt int // word of an entry that groups are sorted by, 0 if it is not one word
	addrs  addrNumbers
	tables [partitions]table
	groups atomic.Int64
	blocks blockPool
}

func newAggregation(q Query) (*aggregation, error) {
	if q.Counters == 0 {
		q.Counters = CountAll
	}
	q.Counters |= q.Sort.needs()
	a := &aggregation{Query: q, node: q.Filter.node(), sides: 1}
	parts, words, err := keyLayout(q.By)
	if err != nil {
		return nil, err
	}
	a.parts, a.layout = parts, newLayout(words, q.Counters)
	a.rankAt = a.layout.place(q.Sort)
	for _, f := range q.By {
		if f.name == "" {
			return nil, errors.New("query: a field that does not come from ParseField")
		}
		if f.two {
			a.sides = 2
		}
	}
	return a, nil
}

// Columns returns the columns that the query reads, those of its filter included.
func (q Query) Columns() netflow.ColumnSet {
	counts := q.Counters
	if counts == 0 {
		counts = CountAll
	}
	counts |= q.Sort.needs()
	s := q.Filter.Columns()
	for bit, c := range counterColumns {
		if counts>>bit&1 != 0 {
			s |= netflow.SetOf(c)
		}
	}
	if q.Scale && counts&(CountFirst-1) != 0 {
		s |= netflow.SetOf(netflow.SamplingRate)
	}
	for _, f := range q.By {
		s |= f.read(0) | f.read(1)
	}
	return s
}

// Aggregate sums the flows of chunks that the query's filter chooses. It closes every chunk it takes. When ctx ends or a
// chunk can't be read it returns the error.
func Aggregate(ctx context.Context, chunks iter.Seq2[column.Chunk, error], q Query) (*Result, error) {
	a, err := newAggregation(q)
	if err != nil {
		return nil, err
	}
	n := workers(q.Workers)
	all := make([]*worker, n)
	g, gctx := errgroup.WithContext(ctx)
	queue := make(chan column.Chunk)
	g.Go(func() error {
		defer close(queue)
		return feed(gctx, chunks, queue)
	})
	for i := range all {
		w := newWorker(a)
		all[i] = w
		g.Go(func() error {
			var failed error
			for c := range queue {
				// After a failure the rest is only closed.
				if failed == nil && gctx.Err() == nil {
					failed = w.add(c)
				}
				if err := c.Close(); failed == nil {
					failed = err
				}
			}
			if failed == nil {
				failed = w.flush()
			}
			return failed
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := a.drainAll(n); err != nil {
		return nil, err
	}
	return newResult(a, all), nil
}

// workers returns n, or the number of processors if n is not positive.
func workers(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// feed hands the chunks to queue until there are no more, one fails or ctx ends.
func feed(ctx context.Context, chunks iter.Seq2[column.Chunk, error], queue chan<- column.Chunk) error {
	for c, err := range chunks {
		if err != nil {
			return err
		}
		select {
		case queue <- c:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), c.Close())
		}
	}
	return ctx.Err()
}

// worker works on one chunk after the other.
type worker struct {
	*aggregation
	view      view
	selection selection
	zone      *zone
	keys      []keyColumn // one for each field
	counts    counts

	total   []uint64 // an entry without a key
	full    uint64   // 1 after a sum overflowed
	rows    int64    // rows seen
	skipped int64    // of these, rows of chunks that were ruled out without reading

	cells    []uint64 // sums by combined code
	cell     []uint32 // combined code of each row
	key      []uint64 // of one cell
	sums     []uint64 // of one chunk, for total
	block    rowBlock
	addrList addrList
	staging  staging
}

func newWorker(a *aggregation) *worker {
	return &worker{
		aggregation: a, zone: newZone(a.Location), keys: make([]keyColumn, len(a.parts)), key: make([]uint64, a.layout.keys),
		total: make([]uint64, a.layout.sums+a.layout.times),
	}
}

// add works on one chunk.
func (w *worker) add(c column.Chunk) error {
	v := &w.view
	v.open(c)
	w.rows += int64(v.rows)
	if v.rows == 0 {
		return nil
	}
	switch w.node.known(v) {
	case never:
		w.skipped += int64(v.rows)
		return nil
	case always:
		w.selection.n, w.selection.all = v.rows, true
	default:
		selected, err := v.match(w.node)
		if err != nil {
			return err
		}
		w.selection.set(selected, v.rows)
	}
	if w.selection.n == 0 {
		return nil
	}
	if err := w.loadCounts(); err != nil {
		return err
	}
	w.sumTotal()
	if len(w.By) == 0 {
		return nil
	}
	for side := range w.sides {
		if err := w.loadKeys(side); err != nil {
			return err
		}
		if err := w.addSelected(); err != nil {
			return err
		}
	}
	return nil
}

// loadKeys reads the fields of the selected rows as seen from one side.
func (w *worker) loadKeys(side int) error {
	for i := range w.keys {
		k, f := &w.keys[i], &w.By[i]
		var err error
		switch f.kind {
		case KindAddr:
			err = w.loadAddr(k, f, side)
		case KindNet:
			err = w.loadNet(k, f, side)
		default:
			err = k.loadNumber(&w.view, &w.selection, f.columns[side], f, w.zone)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}
