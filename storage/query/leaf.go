package query

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// columnCost is a guess at the cost of reading a column of a kind, and of how little a test of it excludes.
var columnCost = [...]int{
	netflow.KindUint8: 1, netflow.KindUint16: 2, netflow.KindUint32: 2, netflow.KindAddr: 4, netflow.KindTime: 5,
	netflow.KindMAC: 5, netflow.KindUint64: 6,
}

func (x *numberNode) columns() netflow.ColumnSet { return netflow.SetOf(x.column) }
func (x *numberNode) cost() int                  { return columnCost[x.column.Kind()] }

func (x *numberNode) known(v *view) truth {
	lo, hi, ok := v.chunk.Bounds(x.column)
	if lo, hi = lo^x.flip, hi^x.flip; !ok || lo > hi {
		return maybe
	}
	return x.set.over(lo, hi)
}

func (x *numberNode) narrow(v *view, rows bitmap) error {
	vec, err := v.column(x.column)
	if err != nil {
		return err
	}
	if !vec.Coded {
		if len(x.set) == 1 {
			narrowSpan(rows, vec.Num, x.set[0], x.flip)
			return nil
		}
		narrowFunc(rows, v.rows, func(i int) bool { return x.set.has(vec.Num[i] ^ x.flip) })
		return nil
	}
	matches := resize(&v.matches, len(vec.Num))
	n := 0
	for i, value := range vec.Num {
		matches[i] = 0
		if x.set.has(value ^ x.flip) {
			matches[i] = 1
			n++
		}
	}
	narrowCodes(rows, vec.Codes, matches, n)
	return nil
}

func (x *maskNode) columns() netflow.ColumnSet { return netflow.SetOf(x.column) }
func (x *maskNode) cost() int                  { return columnCost[x.column.Kind()] }

func (x *maskNode) known(v *view) truth {
	// A value that has all bits of mask is at least as large as mask.
	if _, hi, ok := v.chunk.Bounds(x.column); ok && hi < x.mask {
		return never
	}
	return maybe
}

func (x *maskNode) narrow(v *view, rows bitmap) error {
	vec, err := v.column(x.column)
	if err != nil {
		return err
	}
	if !vec.Coded {
		narrowFunc(rows, v.rows, func(i int) bool { return vec.Num[i]&x.mask == x.mask })
		return nil
	}
	matches := resize(&v.matches, len(vec.Num))
	n := 0
	for i, value := range vec.Num {
		matches[i] = 0
		if value&x.mask == x.mask {
			matches[i] = 1
			n++
		}
	}
	narrowCodes(rows, vec.Codes, matches, n)
	return nil
}

func (x *addrNode) columns() netflow.ColumnSet { return netflow.SetOf(x.column) }
func (x *addrNode) cost() int                  { return columnCost[x.column.Kind()] }

func (x *addrNode) known(v *view) truth {
	if len(x.set) == 0 {
		return never
	}
	for _, a := range x.single {
		if v.chunk.MayContain(x.column, a) {
			return maybe
		}
	}
	if x.single != nil {
		return never
	}
	return maybe
}

func (x *addrNode) narrow(v *view, rows bitmap) error {
	vec, err := v.column(x.column)
	if err != nil {
		return err
	}
	has := x.set.has
	if len(x.set) == 1 {
		only := x.set[0]
		has = func(w wide) bool { return !w.less(only.lo) && !only.hi.less(w) }
	}
	if !vec.Coded {
		narrowFunc(rows, v.rows, func(i int) bool { return has(wideOf(&vec.Addr[i])) })
		return nil
	}
	matches := resize(&v.matches, len(vec.Addr))
	n := 0
	for i := range vec.Addr {
		matches[i] = 0
		if has(wideOf(&vec.Addr[i])) {
			matches[i] = 1
			n++
		}
	}
	narrowCodes(rows, vec.Codes, matches, n)
	return nil
}

// narrowCodes keeps the rows whose code's dictionary entry matches; n of the entries do.
func narrowCodes(rows bitmap, codes []uint32, matches []uint8, n int) {
	switch n {
	case 0:
		clear(rows)
		return
	case len(matches):
		return
	}
	for w := range rows {
		if rows[w] == 0 {
			continue
		}
		var word uint64
		for i, code := range codes[w*64 : min(w*64+64, len(codes))] {
			word |= uint64(matches[code]) << (i & 63)
		}
		rows[w] &= word
	}
}

// narrowSpan keeps the rows whose value lies in s.
func narrowSpan(rows bitmap, values []uint64, s span, flip uint64) {
	width := s.hi - s.lo
	for w := range rows {
		if rows[w] == 0 {
			continue
		}
		var word uint64
		for i, value := range values[w*64 : min(w*64+64, len(values))] {
			_, outside := bits.Sub64(width, (value^flip)-s.lo, 0) // without a branch
			word |= (1 - outside) << (i & 63)
		}
		rows[w] &= word
	}
}

// narrowFunc keeps the rows for which keep holds; it is asked only about rows still in.
func narrowFunc(rows bitmap, n int, keep func(i int) bool) {
	for w := range rows {
		word := rows[w]
		for rest := word; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros64(rest)
			if !keep(w*64 + i) {
				word &^= 1 << i
			}
		}
		rows[w] = word
	}
}

func (x *derivedNode) columns() netflow.ColumnSet {
	times := netflow.SetOf(netflow.Start, netflow.End)
	switch x.what {
	case derivedPPS:
		return times | netflow.SetOf(netflow.Packets)
	case derivedBPS:
		return times | netflow.SetOf(netflow.Bytes)
	case derivedBPP:
		return netflow.SetOf(netflow.Packets, netflow.Bytes)
	}
	return times
}

func (x *derivedNode) cost() int { return 20 }

func (x *derivedNode) known(*view) truth {
	if len(x.set) == 0 {
		return never
	}
	return maybe
}

func (x *derivedNode) narrow(v *view, rows bitmap) error {
	columns := x.columns()
	var values [netflow.NumColumns][]uint64
	for c := range netflow.Column(netflow.NumColumns) {
		if columns.Has(c) {
			var err error
			if values[c], err = v.numbers(c); err != nil {
				return err
			}
		}
	}
	start, end := values[netflow.Start], values[netflow.End]
	packets, bytes := values[netflow.Packets], values[netflow.Bytes]
	at := func(column []uint64, i int) uint64 { // of those that were not asked for, 0
		if column == nil {
			return 0
		}
		return column[i]
	}
	narrowFunc(rows, v.rows, func(i int) bool {
		n, ok := x.value(netflow.Timestamp(at(start, i)), netflow.Timestamp(at(end, i)), at(packets, i), at(bytes, i))
		return ok && x.set.has(n)
	})
	return nil
}

// value calculates; ok is false when what it takes was not told.
func (x *derivedNode) value(start, end netflow.Timestamp, packets, bytes uint64) (n uint64, ok bool) {
	if x.what == derivedBPP {
		return bytesPerPacket(packets, bytes), true
	}
	if start == 0 || end == 0 {
		return 0, false
	}
	ms := milliseconds(start, end)
	switch x.what {
	case derivedPPS:
		return rate(packets, 1000, ms), true
	case derivedBPS:
		return rate(bytes, 8000, ms), true
	}
	return ms, true
}

// milliseconds returns how long a flow lasted, 0 if it ended before it began.
func milliseconds(start, end netflow.Timestamp) uint64 {
	if end <= start {
		return 0
	}
	return (uint64(end) - uint64(start)) / 1000
}

// rate returns n * factor / ms, cut to an integer, 0 if ms is 0, and the largest number if the rate is larger.
func rate(n, factor, ms uint64) uint64 {
	if ms == 0 {
		return 0
	}
	hi, lo := bits.Mul64(n, factor)
	if hi >= ms {
		return 1<<64 - 1
	}
	quotient, _ := bits.Div64(hi, lo, ms)
	return quotient
}

func bytesPerPacket(packets, bytes uint64) uint64 {
	if packets == 0 {
		return 0
	}
	return bytes / packets
}
