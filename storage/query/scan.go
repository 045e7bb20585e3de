package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// ErrStop, returned by the function that Scan calls, ends the scan without an error.
var ErrStop = errors.New("query: enough rows")

// Scan calls emit with the rows that the filter chooses, in the order of the chunks, all columns of them. See Rows.Scan.
func Scan(ctx context.Context, chunks iter.Seq2[column.Chunk, error], f *Filter, emit func(*netflow.Batch) error) error {
	return Rows{Filter: f}.Scan(ctx, chunks, emit)
}

// Rows is a question for the rows themselves. Its zero value asks for all rows with all columns.
type Rows struct {
	Filter  *Filter           // which rows; nil: all
	Columns netflow.ColumnSet // which columns to read; 0: all. Others are zero
	Limit   int64             // how many rows; 0: all
	Workers int               // how many chunks to read at the same time; 0: one for each processor
}

// BatchRows is the capacity of the batches that Scan hands out.
const BatchRows = 8192

// batchesAhead is how many batches of a chunk may wait for those of the chunks before it.
const batchesAhead = 4

// scanned is a chunk on its way through Scan, and what comes out of it: batches, and after the last an error.
type scanned struct {
	chunk   column.Chunk
	batches chan *netflow.Batch
	err     error // to be read when batches is closed
}

// Scan calls emit, from the goroutine that called Scan, with batches of the rows asked for, in the order of the chunks and
// of the rows in them. A batch is valid until emit returns. Chunks are read ahead by workers; what waits is bounded by a
// few batches and the columns of a chunk for each worker. Every chunk taken is closed. When a chunk can't be read, the
// rows before it have been emitted. An error of emit ends the scan and is returned, except ErrStop.
func (r Rows) Scan(ctx context.Context, chunks iter.Seq2[column.Chunk, error], emit func(*netflow.Batch) error) error {
	if r.Columns == 0 {
		r.Columns = netflow.AllColumns
	}
	n := workers(r.Workers)
	free := make(chan *netflow.Batch, n*(batchesAhead+1)+1)
	inner, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before waiting
	work := make(chan *scanned)
	ordered := make(chan *scanned, n)
	wg.Go(func() {
		defer close(work)
		defer close(ordered)
		queueChunks(inner, chunks, ordered, work)
	})
	for range n {
		wg.Go(func() {
			w := &scanner{Rows: r, node: r.Filter.node(), free: free}
			for s := range work {
				s.err = errors.Join(w.read(inner, s), s.chunk.Close())
				close(s.batches)
			}
		})
	}
	err := r.deliver(inner, ordered, free, emit)
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// queueChunks puts the chunks into ordered, and then into work, until there are no more, one fails or ctx ends.
func queueChunks(ctx context.Context, chunks iter.Seq2[column.Chunk, error], ordered, work chan<- *scanned) {
	for c, err := range chunks {
		s := &scanned{chunk: c, batches: make(chan *netflow.Batch, batchesAhead), err: err}
		if err != nil {
			close(s.batches)
		}
		select {
		case ordered <- s:
		case <-ctx.Done():
			if err == nil {
				c.Close() // nobody is left to tell
			}
			return
		}
		if err != nil {
			return
		}
		select {
		case work <- s:
		case <-ctx.Done():
			s.err = c.Close()
			close(s.batches)
			return
		}
	}
}

// deliver calls emit with what comes out of the chunks in order.
func (r Rows) deliver(ctx context.Context, ordered <-chan *scanned, free chan<- *netflow.Batch, emit func(*netflow.Batch) error) error {
	left := r.Limit
	for s := range ordered {
		for b := range s.batches {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r.Limit > 0 {
				b.Truncate(int(min(left, int64(b.Len()))))
				left -= int64(b.Len())
			}
			if err := emit(b); err != nil {
				return err
			}
			if r.Limit > 0 && left == 0 {
				return nil
			}
			select {
			case free <- b:
			default:
			}
		}
		if s.err != nil {
			return s.err
		}
	}
	return ctx.Err()
}

// scanner reads one chunk after the other.
type scanner struct {
	Rows
	node      node
	free      chan *netflow.Batch
	view      view
	selection selection
}

// read sends the rows of a chunk that are asked for, batch by batch.
func (w *scanner) read(ctx context.Context, s *scanned) error {
	v := &w.view
	v.open(s.chunk)
	if v.rows == 0 || w.node.known(v) == never {
		return nil
	}
	selected, err := v.match(w.node)
	if err != nil {
		return err
	}
	w.selection.set(selected, v.rows)
	if w.selection.n == 0 {
		return nil
	}
	present, err := w.load()
	if err != nil {
		return err
	}
	for from := 0; from < w.selection.n; from += BatchRows {
		b := w.batch()
		n := min(BatchRows, w.selection.n-from)
		b.Extend(n, present)
		for c := range netflow.Column(netflow.NumColumns) {
			if present.Has(c) {
				w.fill(b, c, from, n)
			}
		}
		select {
		case s.batches <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// batch returns an empty batch, a used one if there is one.
func (w *scanner) batch() *netflow.Batch {
	select {
	case b := <-w.free:
		b.Reset()
		return b
	default:
		return netflow.NewBatch(BatchRows)
	}
}

// load reads the columns and returns those that hold something other than zero.
func (w *scanner) load() (present netflow.ColumnSet, err error) {
	for c := range netflow.Column(netflow.NumColumns) {
		if !w.Columns.Has(c) {
			continue
		}
		vec, err := w.view.column(c)
		if err != nil {
			return 0, err
		}
		// Of dense columns only the chunk could know, and it says so by coding them.
		zero := vec.Coded && !slices.ContainsFunc(vec.Num, func(n uint64) bool { return n != 0 }) &&
			!slices.ContainsFunc(vec.Addr, func(a netflow.Addr) bool { return !a.IsZero() })
		if !zero {
			present |= netflow.SetOf(c)
		}
	}
	return present, nil
}

// fill writes n selected rows of a column to the batch.
func (w *scanner) fill(b *netflow.Batch, c netflow.Column, from, n int) {
	vec := &w.view.vectors[c]
	rows := rowRange{from: from, n: n}
	if !w.selection.all {
		rows.list = w.selection.rows[from : from+n]
	}
	switch c.Kind() {
	case netflow.KindTime:
		spread(b.Times(c), vec.Num, vec, rows, func(v uint64) netflow.Timestamp { return netflow.Timestamp(v) })
	case netflow.KindAddr:
		spread(b.Addrs(c), vec.Addr, vec, rows, func(a netflow.Addr) netflow.Addr { return a })
	case netflow.KindMAC:
		spread(b.MACs(c), vec.Num, vec, rows, netflow.MACFrom)
	case netflow.KindUint8:
		spread(b.Uint8s(c), vec.Num, vec, rows, func(v uint64) uint8 { return uint8(v) })
	case netflow.KindUint16:
		spread(b.Uint16s(c), vec.Num, vec, rows, func(v uint64) uint16 { return uint16(v) })
	case netflow.KindUint32:
		spread(b.Uint32s(c), vec.Num, vec, rows, func(v uint64) uint32 { return uint32(v) })
	case netflow.KindUint64:
		spread(b.Uint64s(c), vec.Num, vec, rows, func(v uint64) uint64 { return v })
	default:
		panic(fmt.Sprintf("query: column %v of unknown kind", c))
	}
}

// rowRange is n rows of a chunk: those listed, or from and on.
type rowRange struct {
	list    []uint32
	from, n int
}

// spread writes the values of some rows of a vector to dst.
func spread[S, D any](dst []D, values []S, vec *column.Vector, rows rowRange, convert func(S) D) {
	dst = dst[:rows.n]
	switch {
	case vec.Coded && rows.list != nil:
		for i, row := range rows.list {
			dst[i] = convert(values[vec.Codes[row]])
		}
	case vec.Coded:
		for i, code := range vec.Codes[rows.from : rows.from+rows.n] {
			dst[i] = convert(values[code])
		}
	case rows.list != nil:
		for i, row := range rows.list {
			dst[i] = convert(values[row])
		}
	default:
		for i, v := range values[rows.from : rows.from+rows.n] {
			dst[i] = convert(v)
		}
	}
}
