package column

import (
	"fmt"

	"github.com/caprock-net/caprock/netflow"
)

// batchChunk is a Batch seen as a Chunk.
type batchChunk struct{ b *netflow.Batch }

// FromBatch shows the rows of b as a chunk. Vectors are copies, so b may be reused once the chunk is closed; it must not
// change before that. Columns that are not present in b are coded, all others dense.
func FromBatch(b *netflow.Batch) Chunk { return batchChunk{b} }

func (c batchChunk) Rows() int { return c.b.Len() }

func (c batchChunk) Read(col netflow.Column, v *Vector) error {
	if int(col) >= netflow.NumColumns {
		return fmt.Errorf("read column: unknown %v", col)
	}
	v.Reset()
	if !c.b.Present().Has(col) {
		v.SetZero(col.Kind(), c.b.Len())
		return nil
	}
	switch col.Kind() {
	case netflow.KindAddr:
		v.Addr = append(v.Addr, c.b.Addrs(col)...)
	case netflow.KindTime:
		v.Num = widen(v.Num, c.b.Times(col))
	case netflow.KindMAC:
		for _, m := range c.b.MACs(col) {
			v.Num = append(v.Num, m.Uint64())
		}
	case netflow.KindUint8:
		v.Num = widen(v.Num, c.b.Uint8s(col))
	case netflow.KindUint16:
		v.Num = widen(v.Num, c.b.Uint16s(col))
	case netflow.KindUint32:
		v.Num = widen(v.Num, c.b.Uint32s(col))
	case netflow.KindUint64:
		v.Num = append(v.Num, c.b.Uint64s(col)...)
	}
	return nil
}

// Bounds knows only columns that are not present: looking at the rows would cost what it may save.
func (c batchChunk) Bounds(col netflow.Column) (lo, hi uint64, ok bool) {
	return 0, 0, int(col) < netflow.NumColumns && col.Kind() != netflow.KindAddr && !c.b.Present().Has(col)
}

// MayContain likewise.
func (c batchChunk) MayContain(col netflow.Column, a netflow.Addr) bool {
	return c.b.Present().Has(col) || a.IsZero()
}

func (c batchChunk) Close() error { return nil }

// SetZero makes v a coded column of rows zeros: what a chunk gives for a column that it does not have.
func (v *Vector) SetZero(kind netflow.Kind, rows int) {
	v.Reset()
	v.Coded = true
	v.Codes = zeros(v.Codes, rows)
	if kind == netflow.KindAddr {
		v.Addr = append(v.Addr, netflow.Addr{})
	} else {
		v.Num = append(v.Num, 0)
	}
}

func zeros(dst []uint32, n int) []uint32 {
	if cap(dst) < n {
		return make([]uint32, n)
	}
	dst = dst[:n]
	clear(dst)
	return dst
}

func widen[T ~int64 | ~uint8 | ~uint16 | ~uint32](dst []uint64, src []T) []uint64 {
	if cap(dst) < len(src) {
		dst = make([]uint64, len(src))
	}
	dst = dst[:len(src)]
	for i, s := range src {
		dst[i] = uint64(s)
	}
	return dst
}
