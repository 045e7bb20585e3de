package query

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// keyColumn is a field of the keys of a chunk's selected rows, as it stands in them: a value a row, or a code a row and a
// value a code.
type keyColumn struct {
	codes []uint32 // nil when dense
	nums  []uint64

	codeBuffer   []uint32
	numBuffer    []uint64
	offsetBuffer []uint64
	addrs        []wide
	netOf        []uint32
	lengths      []uint8
	nets         []wide
}

// maxOffsets is how far the values of a dense column may lie apart for it to be turned to codes.
const maxOffsets = 1 << 16

// selection is the rows of a chunk that a query looks at: all, or those listed.
type selection struct {
	n    int
	all  bool
	rows []uint32
}

// set lists the rows of a bitmap.
func (s *selection) set(b bitmap, total int) {
	s.n = b.count()
	s.all = s.n == total
	if s.all {
		return
	}
	rows := resize(&s.rows, s.n)[:0]
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			rows = append(rows, uint32(w*64+bits.TrailingZeros64(word)))
		}
	}
	s.rows = rows
}

// row returns the number of selected row i in the chunk.
func (s *selection) row(i int) int {
	if s.all {
		return i
	}
	return int(s.rows[i])
}

// gather returns the selected elements of src, in dst's buffer unless all are selected.
func gather[T any](s *selection, src []T, dst *[]T) []T {
	if s.all {
		return src
	}
	out := resize(dst, s.n)
	for i, row := range s.rows {
		out[i] = src[row]
	}
	return out
}

// loadNumber fills k from a column that is not of addresses.
func (k *keyColumn) loadNumber(v *view, s *selection, c netflow.Column, f *Field, z *zone) error {
	vec, err := v.column(c)
	if err != nil {
		return err
	}
	binned := f.kind == KindTime && f.bin != 0
	if vec.Coded {
		k.codes = gather(s, vec.Codes, &k.codeBuffer)
		k.nums = vec.Num
		if binned {
			k.numBuffer = append(k.numBuffer[:0], vec.Num...)
			k.nums = k.numBuffer
			z.number(k.nums, f.bin)
		}
		return nil
	}
	k.codes = nil
	k.nums = gather(s, vec.Num, &k.numBuffer)
	if binned {
		k.numBuffer = append(k.numBuffer[:0], k.nums...)
		k.nums = k.numBuffer
		z.number(k.nums, f.bin)
	}
	k.offsets()
	return nil
}

// offsets turns a dense column whose values lie near each other, but for 0, to codes.
func (k *keyColumn) offsets() {
	smallest, largest := ^uint64(0), uint64(0)
	for _, v := range k.nums {
		smallest = min(smallest, v-1) // 0 turns to the largest number
		largest = max(largest, v)
	}
	if largest == 0 {
		smallest = 0
	}
	base := smallest // the smallest value but 0, less 1
	if largest-base >= maxOffsets {
		return
	}
	codes := resize(&k.codeBuffer, len(k.nums))
	for i, v := range k.nums {
		// 0 keeps code 0; with a base of 0 so do all.
		code := v - base
		if v == 0 {
			code = 0
		}
		codes[i] = uint32(code)
	}
	dictionary := resize(&k.offsetBuffer, int(largest-base)+1)
	for i := range dictionary {
		dictionary[i] = base + uint64(i)
	}
	dictionary[0] = 0
	k.codes, k.nums = codes, dictionary
}

// loadAddr fills k from a column of addresses, cut to the field's prefix lengths.
func (w *worker) loadAddr(k *keyColumn, f *Field, side int) error {
	if err := k.loadAddrs(&w.view, &w.selection, f.columns[side], f.ipEnd(side)); err != nil {
		return err
	}
	if f.bits4 < 32 || f.bits6 < 128 {
		for i, a := range k.addrs {
			if a != absent {
				k.addrs[i] = cut(a, f.bits4, f.bits6)
			}
		}
	}
	if w.oneAddr() {
		return nil // looked up when there are sums to add
	}
	wanted := k.codes
	if w.selection.all {
		wanted = nil // most probably all of the dictionary occur
	}
	k.nums = resize(&k.numBuffer, len(k.addrs))
	return w.addrList.numbers(&w.addrs, k.addrs, wanted, k.nums)
}

// loadAddrs fills addrs, and codes if the column has them, with absent for addresses that the flow lacks.
func (k *keyColumn) loadAddrs(v *view, s *selection, c netflow.Column, end bool) error {
	vec, err := v.column(c)
	if err != nil {
		return err
	}
	k.codes = nil
	zero := false
	if !vec.Coded {
		addrs := resize(&k.addrs, s.n)
		for i := range addrs {
			addrs[i] = wideOf(&vec.Addr[s.row(i)])
			zero = zero || addrs[i] == wide{}
		}
		if !zero {
			return nil
		}
		lacks, err := lacksAddr(v, s, end)
		if err != nil {
			return err
		}
		for i, a := range addrs {
			if a == (wide{}) && lacks(i) {
				addrs[i] = absent
			}
		}
		return nil
	}
	k.codes = gather(s, vec.Codes, &k.codeBuffer)
	addrs := resize(&k.addrs, len(vec.Addr))
	for i := range addrs {
		addrs[i] = wideOf(&vec.Addr[i])
		zero = zero || addrs[i] == wide{}
	}
	if !zero {
		return nil
	}
	lacks, err := lacksAddr(v, s, end)
	if err != nil {
		return err
	}
	// The zero address gets a second entry for the rows where it means that there is none.
	k.addrs = append(addrs, absent)
	codes := resize(&k.codeBuffer, s.n)
	for i, code := range k.codes {
		if addrs[code] == (wide{}) && lacks(i) {
			code = uint32(len(addrs))
		}
		codes[i] = code
	}
	k.codes = codes
	return nil
}

// lacksAddr returns a function that tells whether the zero address in selected row i means that the flow has none. Of the
// ends of a flow IPVersion says so, elsewhere it always does.
func lacksAddr(v *view, s *selection, end bool) (func(i int) bool, error) {
	if !end {
		return func(int) bool { return true }, nil
	}
	versions, err := v.numbers(netflow.IPVersion)
	if err != nil {
		return nil, err
	}
	return func(i int) bool { return versions[s.row(i)] == 0 }, nil
}

// cut clears the host bits of an address.
func cut(w wide, bits4, bits6 uint8) wide {
	n := bits6
	if w.is4() {
		n = 96 + bits4
	}
	switch {
	case n >= 128:
	case n > 64:
		w.lo &= ^uint64(0) << (128 - n)
	default:
		w.hi &= ^uint64(0) << (64 - n)
		w.lo = 0
	}
	return w
}

// loadNet fills k with each row's address cut to the length that came with it.
func (w *worker) loadNet(k *keyColumn, f *Field, side int) error {
	v, s := &w.view, &w.selection
	if err := k.loadAddrs(v, s, f.columns[side], true); err != nil {
		return err
	}
	lengths, err := v.numbers(f.masks[side])
	if err != nil {
		return err
	}
	// Networks get codes in the order in which they appear. An address most often has the length that it had before, so
	// its last network is the one to try; a network may get several codes.
	last := resize(&k.netOf, len(k.addrs)) // code + 1 by address
	clear(last)
	k.nets, k.lengths = k.nets[:0], k.lengths[:0]
	codes := resize(&k.codeBuffer, s.n)
	for i := range codes {
		from := i
		if k.codes != nil {
			from = int(k.codes[i])
		}
		a, length := k.addrs[from], uint8(min(lengths[s.row(i)], 128))
		switch {
		case a == absent:
			length = 0
		case a.is4():
			length = min(length, 32)
		}
		code := last[from]
		if code == 0 || k.lengths[code-1] != length {
			if a != absent {
				a = cut(a, length, length)
			}
			k.nets, k.lengths = append(k.nets, a), append(k.lengths, length)
			code = uint32(len(k.nets))
			last[from] = code
		}
		codes[i] = code - 1
	}
	k.codes, k.nums = codes, resize(&k.numBuffer, len(k.nets))
	if err := w.addrList.numbers(&w.addrs, k.nets, nil, k.nums); err != nil {
		return err
	}
	for i, length := range k.lengths {
		k.nums[i] = k.nums[i]<<8 | uint64(length)
	}
	return nil
}
