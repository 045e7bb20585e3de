package query

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// keyColumn is one part of the keys of a chunk's selected rows: a value a row, or a code a row and a value a code.
type keyColumn struct {
	codes []uint32 // nil when dense
	addrs []wide   // of addresses
	nums  []uint64 // of numbers

	codeBuffer        []uint32
	addrBuffer, other []wide
	numBuffer         []uint64
	offsetBuffer      []uint64
}

// values returns how many values there are.
func (k *keyColumn) values() int { return max(len(k.addrs), len(k.nums)) }

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
	k.addrs = nil
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
func (k *keyColumn) loadAddr(v *view, s *selection, c netflow.Column, f *Field, end bool) error {
	vec, err := v.column(c)
	if err != nil {
		return err
	}
	k.nums = nil
	if !vec.Coded {
		return k.loadDenseAddr(v, s, vec, f, end)
	}
	k.codes = gather(s, vec.Codes, &k.codeBuffer)
	n := len(vec.Addr)
	addrs := resize(&k.addrBuffer, n+1)
	zero := false
	for i := range vec.Addr {
		w := wideOf(&vec.Addr[i])
		zero = zero || w == wide{}
		addrs[i] = cut(w, f.bits4, f.bits6)
	}
	k.addrs = addrs[:n]
	if !zero {
		return nil
	}
	lacks, err := lacksAddr(v, s, end)
	if err != nil {
		return err
	}
	// The zero address gets a second entry for the rows where it means that there is none.
	addrs[n] = absent
	k.addrs = addrs
	codes := resize(&k.codeBuffer, s.n)
	for i, code := range k.codes {
		if vec.Addr[code].IsZero() && lacks(i) {
			code = uint32(n)
		}
		codes[i] = code
	}
	k.codes = codes
	return nil
}

func (k *keyColumn) loadDenseAddr(v *view, s *selection, vec *column.Vector, f *Field, end bool) error {
	k.codes = nil
	k.addrs = resize(&k.addrBuffer, s.n)
	zero := false
	for i := range k.addrs {
		w := wideOf(&vec.Addr[s.row(i)])
		zero = zero || w == wide{}
		k.addrs[i] = w
	}
	lacks := func(int) bool { return false }
	if zero {
		var err error
		if lacks, err = lacksAddr(v, s, end); err != nil {
			return err
		}
	}
	for i, w := range k.addrs {
		if w == (wide{}) && lacks(i) {
			k.addrs[i] = absent
		} else {
			k.addrs[i] = cut(w, f.bits4, f.bits6)
		}
	}
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

// loadNet fills address and length with each row's address cut to the length that came with it.
func loadNet(v *view, s *selection, c, mask netflow.Column, f *Field, address, length *keyColumn) error {
	if err := address.loadAddr(v, s, c, f, true); err != nil {
		return err
	}
	masks, err := v.numbers(mask)
	if err != nil {
		return err
	}
	length.numBuffer = append(length.numBuffer[:0], gather(s, masks, &length.numBuffer)...)
	masks = length.numBuffer
	nets := resize(&address.other, s.n)
	for i := range nets {
		at := i
		if address.codes != nil {
			at = int(address.codes[i])
		}
		w := address.addrs[at]
		switch {
		case w == absent:
			masks[i] = 0
		case w.is4():
			masks[i] = min(masks[i], 32)
			w = cut(w, uint8(masks[i]), 0)
		default:
			masks[i] = min(masks[i], 128)
			w = cut(w, 0, uint8(masks[i]))
		}
		nets[i] = w
	}
	address.codes, address.addrs = nil, nets
	length.codes, length.addrs, length.nums = nil, nil, masks
	length.offsets()
	return nil
}
