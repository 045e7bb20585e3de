package stream

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// decodeFrame fills b, which is empty, with the rows of a frame whose checksum is right. On an error b is empty again.
func (h *header) decodeFrame(b *netflow.Batch, rows int, payload []byte) error {
	var present netflow.ColumnSet
	last := -1
	// First everything is checked, then b is filled: a column's bytes are known to be enough when they are taken.
	for p := payload; len(p) > 0; {
		f, rest, err := h.nextField(p, rows)
		if err != nil {
			return err
		}
		if f.index <= last {
			return corrupt("column %d behind column %d", f.index, last)
		}
		last = f.index
		if f.known {
			present |= netflow.SetOf(f.column)
		}
		p = rest
	}
	b.Extend(rows, present)
	for p := payload; len(p) > 0; {
		f, rest, _ := h.nextField(p, rows)
		p = rest
		if !f.known {
			continue
		}
		if err := f.fill(b); err != nil {
			b.Reset()
			return err
		}
	}
	return nil
}

// field is one column of a frame.
type field struct {
	columnInfo
	index    int
	encoding byte
	width    int
	data     []byte
}

// nextField takes a column off p and checks that it has the bytes that its encoding needs.
func (h *header) nextField(p []byte, rows int) (field, []byte, error) {
	if len(p) < columnHeader {
		return field{}, nil, corrupt("frame ends inside a column's header")
	}
	f := field{index: int(le.Uint16(p)), encoding: p[2], width: int(p[3])}
	n := uint64(le.Uint32(p[4:]))
	p = p[columnHeader:]
	if f.index >= len(h.columns) {
		return field{}, nil, corrupt("column %d of %d", f.index, len(h.columns))
	}
	if n > uint64(len(p)) {
		return field{}, nil, corrupt("column %d has %d bytes, the frame only %d more", f.index, n, len(p))
	}
	if rows == 0 {
		return field{}, nil, corrupt("column %d in a frame without rows", f.index)
	}
	f.columnInfo = h.columns[f.index]
	f.data, p = p[:n:n], p[n:]
	if !f.known {
		return f, p, nil
	}
	want, ok := f.need(rows)
	if !ok {
		return field{}, nil, corrupt("column %v: encoding %d of width %d", f.column, f.encoding, f.width)
	}
	if want != len(f.data) {
		return field{}, nil, corrupt("column %v has %d bytes, not %d", f.column, len(f.data), want)
	}
	return f, p, nil
}

// need returns the number of bytes that the encoding takes for rows rows, or false when it is none for the column's kind.
func (f *field) need(rows int) (int, bool) {
	kind := f.column.Kind()
	size := kind.Size()
	isBytes := kind == netflow.KindAddr || kind == netflow.KindMAC
	switch f.encoding {
	case encConstant:
		return size, f.width == size
	case encOffset:
		ok := !isBytes && f.width <= size && (f.width == 1 || f.width == 2 || f.width == 4 || f.width == 8)
		return 8 + rows*f.width, ok
	case encRaw:
		return rows * size, isBytes && f.width == size
	case encIPv4:
		return rows * 4, kind == netflow.KindAddr && f.width == 4
	case encMixed:
		n := (rows + 7) / 8
		if kind != netflow.KindAddr || f.width != 0 || len(f.data) < n {
			return 0, false
		}
		ipv6 := 0
		for _, x := range f.data[:n] {
			ipv6 += bits.OnesCount8(x)
		}
		if rows%8 != 0 && f.data[n-1]>>(rows%8) != 0 { // bits beyond the last row
			return 0, false
		}
		return n + ipv6*16 + (rows-ipv6)*4, true
	}
	return 0, false
}

// fill writes the column into b. The sizes have been checked.
func (f *field) fill(b *netflow.Batch) error {
	ok := true
	switch f.column.Kind() {
	case netflow.KindTime:
		ok = fillNumbers(b.Times(f.column), f, 1<<64-1)
	case netflow.KindUint8:
		ok = fillNumbers(b.Uint8s(f.column), f, 1<<8-1)
	case netflow.KindUint16:
		ok = fillNumbers(b.Uint16s(f.column), f, 1<<16-1)
	case netflow.KindUint32:
		ok = fillNumbers(b.Uint32s(f.column), f, 1<<32-1)
	case netflow.KindUint64:
		ok = fillNumbers(b.Uint64s(f.column), f, 1<<64-1)
	case netflow.KindAddr:
		f.fillAddrs(b.Addrs(f.column))
	case netflow.KindMAC:
		dst := b.MACs(f.column)
		for i := range dst {
			at := i * 6
			if f.encoding == encConstant {
				at = 0
			}
			copy(dst[i][:], f.data[at:])
		}
	}
	if !ok {
		return corrupt("column %v: a value is too large for it", f.column)
	}
	return nil
}

// fillNumbers returns false when a value is larger than largest.
func fillNumbers[T uint8 | uint16 | uint32 | uint64 | netflow.Timestamp](dst []T, f *field, largest uint64) bool {
	p := f.data
	if f.encoding == encConstant {
		var v uint64
		for i, x := range p {
			v |= uint64(x) << (8 * i)
		}
		for i := range dst {
			dst[i] = T(v)
		}
		return true
	}
	base := le.Uint64(p)
	p = p[8:]
	var seen uint64 // or of all sums: enough, because largest is 2^n-1
	switch f.width {
	case 1:
		for i, x := range p {
			v := base + uint64(x)
			seen |= v
			dst[i] = T(v)
		}
	case 2:
		for i := range dst {
			v := base + uint64(le.Uint16(p[2*i:]))
			seen |= v
			dst[i] = T(v)
		}
	case 4:
		for i := range dst {
			v := base + uint64(le.Uint32(p[4*i:]))
			seen |= v
			dst[i] = T(v)
		}
	case 8:
		for i := range dst {
			v := base + le.Uint64(p[8*i:])
			seen |= v
			dst[i] = T(v)
		}
	}
	return seen <= largest
}

func (f *field) fillAddrs(dst []netflow.Addr) {
	p := f.data
	switch f.encoding {
	case encConstant:
		for i := range dst {
			dst[i] = netflow.Addr(p)
		}
	case encRaw:
		for i := range dst {
			dst[i] = netflow.Addr(p[16*i:])
		}
	case encIPv4:
		for i := range dst {
			a := &dst[i]
			le.PutUint64(a[:8], high4)
			le.PutUint32(a[8:12], mid4)
			le.PutUint32(a[12:], le.Uint32(p[4*i:]))
		}
	case encMixed:
		bitmap := p[:(len(dst)+7)/8]
		ipv6 := 0
		for _, x := range bitmap {
			ipv6 += bits.OnesCount8(x)
		}
		p4 := p[len(bitmap):]
		p6 := p4[(len(dst)-ipv6)*4:]
		for i := range dst {
			if bitmap[i/8]>>(i%8)&1 != 0 {
				dst[i] = netflow.Addr(p6)
				p6 = p6[16:]
			} else {
				dst[i] = netflow.AddrFrom4([4]byte(p4))
				p4 = p4[4:]
			}
		}
	}
}
