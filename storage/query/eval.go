package query

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// bitmap has a bit for each row of a chunk, the lowest bit of the first word for row 0; bits beyond the last row are 0.
type bitmap []uint64

func (b bitmap) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b bitmap) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// fill sets the first n bits.
func (b bitmap) fill(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if n%64 != 0 {
		b[len(b)-1] = 1<<(n%64) - 1
	}
}

// view is a worker's window on one chunk after the other: columns are read when first asked for, into buffers that are
// kept. It belongs to one goroutine.
type view struct {
	chunk   column.Chunk
	rows    int
	have    netflow.ColumnSet
	vectors [netflow.NumColumns]column.Vector
	dense   [netflow.NumColumns][]uint64
	spread  netflow.ColumnSet // of dense that are up to date

	zeros    []uint64 // always 0
	matches  []uint8  // scratch: 1 for each dictionary entry that matches
	free     []bitmap // scratch bitmaps
	selected bitmap
}

// open turns to another chunk.
func (v *view) open(c column.Chunk) {
	v.chunk, v.rows, v.have, v.spread = c, c.Rows(), 0, 0
}

// column returns a column of the chunk, valid until the next open.
func (v *view) column(c netflow.Column) (*column.Vector, error) {
	vec := &v.vectors[c]
	if !v.have.Has(c) {
		if err := v.chunk.Read(c, vec); err != nil {
			return nil, err
		}
		v.have |= netflow.SetOf(c)
	}
	return vec, nil
}

// numbers returns a column as a value a row. It must not be changed.
func (v *view) numbers(c netflow.Column) ([]uint64, error) {
	if lo, hi, ok := v.chunk.Bounds(c); ok && lo == 0 && hi == 0 && !v.have.Has(c) {
		if len(v.zeros) < v.rows {
			v.zeros = make([]uint64, v.rows)
		}
		return v.zeros[:v.rows], nil
	}
	vec, err := v.column(c)
	if err != nil {
		return nil, err
	}
	if !vec.Coded {
		return vec.Num, nil
	}
	if !v.spread.Has(c) {
		out := resize(&v.dense[c], v.rows)
		for i, code := range vec.Codes {
			out[i] = vec.Num[code]
		}
		v.spread |= netflow.SetOf(c)
	}
	return v.dense[c], nil
}

// gather returns a column as a value for each selected row, in buffer if it must be. It must not be changed.
func (v *view) gather(s *selection, c netflow.Column, buffer *[]uint64) ([]uint64, error) {
	vec, err := v.column(c)
	switch {
	case err != nil:
		return nil, err
	case !vec.Coded:
		return gather(s, vec.Num, buffer), nil
	case v.spread.Has(c):
		return gather(s, v.dense[c], buffer), nil
	case s.all:
		return v.numbers(c)
	}
	out := resize(buffer, s.n)
	for i, row := range s.rows {
		out[i] = vec.Num[vec.Codes[row]]
	}
	return out, nil
}

// resize returns a slice of length n that reuses s's buffer; its values are undefined.
func resize[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n, n+n/4)
	}
	*s = (*s)[:n]
	return *s
}

func (v *view) borrow() bitmap {
	var b bitmap
	if n := len(v.free); n > 0 {
		b, v.free = v.free[n-1], v.free[:n-1]
	}
	return bitmap(resize((*[]uint64)(&b), (v.rows+63)/64))
}

func (v *view) giveBack(b bitmap) { v.free = append(v.free, b) }

// match selects the rows for which x holds. The bitmap is valid until the next call.
func (v *view) match(x node) (bitmap, error) {
	rows := bitmap(resize((*[]uint64)(&v.selected), (v.rows+63)/64))
	rows.fill(v.rows)
	return rows, narrow(x, v, rows)
}

// narrow applies a node to rows after asking what is known of it.
func narrow(x node, v *view, rows bitmap) error {
	switch x.known(v) {
	case always:
		return nil
	case never:
		clear(rows)
		return nil
	}
	return x.narrow(v, rows)
}

func (x constNode) columns() netflow.ColumnSet { return 0 }
func (x constNode) cost() int                  { return 0 }
func (x constNode) known(*view) truth {
	if x.value {
		return always
	}
	return never
}
func (x constNode) narrow(*view, bitmap) error { return nil } // always known

func (x *notNode) columns() netflow.ColumnSet { return x.x.columns() }
func (x *notNode) cost() int                  { return x.x.cost() }

func (x *notNode) known(v *view) truth {
	switch x.x.known(v) {
	case always:
		return never
	case never:
		return always
	}
	return maybe
}

func (x *notNode) narrow(v *view, rows bitmap) error {
	inner := v.borrow()
	defer v.giveBack(inner)
	copy(inner, rows)
	if err := narrow(x.x, v, inner); err != nil {
		return err
	}
	for i, w := range inner {
		rows[i] &^= w
	}
	return nil
}

func (x *andNode) columns() (s netflow.ColumnSet) {
	for _, x := range x.xs {
		s |= x.columns()
	}
	return s
}

func (x *andNode) cost() (n int) {
	for _, x := range x.xs {
		n += x.cost()
	}
	return n
}

func (x *andNode) known(v *view) truth {
	all := always
	for _, x := range x.xs {
		switch x.known(v) {
		case never:
			return never
		case maybe:
			all = maybe
		}
	}
	return all
}

func (x *andNode) narrow(v *view, rows bitmap) error {
	for i, x := range x.xs {
		if i > 0 && rows.empty() {
			return nil
		}
		if err := narrow(x, v, rows); err != nil {
			return err
		}
	}
	return nil
}

func (x *orNode) columns() netflow.ColumnSet { return (*andNode)(x).columns() }
func (x *orNode) cost() int                  { return (*andNode)(x).cost() }

func (x *orNode) known(v *view) truth {
	all := never
	for _, x := range x.xs {
		switch x.known(v) {
		case always:
			return always
		case maybe:
			all = maybe
		}
	}
	return all
}

func (x *orNode) narrow(v *view, rows bitmap) error {
	// left are the rows not decided yet, found one operand's share of them.
	left, found := v.borrow(), v.borrow()
	defer v.giveBack(left)
	defer v.giveBack(found)
	copy(left, rows)
	for _, x := range x.xs {
		copy(found, left)
		if err := narrow(x, v, found); err != nil {
			return err
		}
		for i, w := range found {
			left[i] &^= w
		}
		if left.empty() {
			return nil
		}
	}
	for i, w := range left {
		rows[i] &^= w
	}
	return nil
}
