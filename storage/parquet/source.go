package parquet

import "github.com/caprock-net/caprock/netflow"

// batchSource is the rows of several batches.
type batchSource []*netflow.Batch

func (s batchSource) rows() (n int) {
	for _, b := range s {
		n += b.Len()
	}
	return n
}

func (s batchSource) has(c netflow.Column) bool {
	for _, b := range s {
		if b.Len() > 0 && b.Present().Has(c) {
			return true
		}
	}
	return false
}

// numbers reads also those batches that do not have the column: it is zero there, which is what is wanted.
func (s batchSource) numbers(dst []uint64, c netflow.Column) ([]uint64, error) {
	if !s.has(c) {
		return dst, nil
	}
	dst = room(dst, s.rows())
	to := dst
	for _, b := range s {
		switch c.Kind() {
		case netflow.KindTime:
			widen(to, b.Times(c))
		case netflow.KindMAC:
			for i, m := range b.MACs(c) {
				to[i] = m.Uint64()
			}
		case netflow.KindUint8:
			widen(to, b.Uint8s(c))
		case netflow.KindUint16:
			widen(to, b.Uint16s(c))
		case netflow.KindUint32:
			widen(to, b.Uint32s(c))
		case netflow.KindUint64:
			copy(to, b.Uint64s(c))
		}
		to = to[b.Len():]
	}
	return dst, nil
}

func (s batchSource) addrs(dst []netflow.Addr, c netflow.Column) ([]netflow.Addr, error) {
	if !s.has(c) {
		return dst, nil
	}
	dst = room(dst, s.rows())
	to := dst
	for _, b := range s {
		to = to[copy(to, b.Addrs(c)):]
	}
	return dst, nil
}

func widen[T ~int64 | ~uint8 | ~uint16 | ~uint32](dst []uint64, src []T) {
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = uint64(x)
	}
}
