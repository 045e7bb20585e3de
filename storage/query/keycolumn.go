package query

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// keyColumn is one part of the keys of a chunk's selected rows: a value a row, or a code a row and a value a code.
type keyColumn struct {
	codes  []uint32 // nil when dense
	hi, lo []uint64 // hi only for addresses

	codeBuffer, hiBuffer, loBuffer []uint64
	code32                         []uint32
}

// values returns how many values there are.
func (k *keyColumn) values() int { return len(k.lo) }

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
	k.hi = nil
	if vec.Coded {
		k.codes = gather(s, vec.Codes, &k.code32)
		k.lo = vec.Num
		if binned {
			k.loBuffer = append(k.loBuffer[:0], vec.Num...)
			k.lo = k.loBuffer
			z.number(k.lo, f.bin)
		}
		return nil
	}
	k.codes = nil
	k.lo = gather(s, vec.Num, &k.loBuffer)
	if binned {
		k.loBuffer = append(k.loBuffer[:0], k.lo...)
		k.lo = k.loBuffer
		z.number(k.lo, f.bin)
	}
	k.offsets()
	return nil
}

// offsets turns a dense column whose values lie near each other, but for 0, to codes.
func (k *keyColumn) offsets() {
	smallest, largest := ^uint64(0), uint64(0)
	for _, v := range k.lo {
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
	codes := resize(&k.code32, len(k.lo))
	for i, v := range k.lo {
		// 0 keeps code 0; with a base of 0 so do all.
		code := v - base
		if v == 0 {
			code = 0
		}
		codes[i] = uint32(code)
	}
	dictionary := resize(&k.codeBuffer, int(largest-base)+1)
	for i := range dictionary {
		dictionary[i] = base + uint64(i)
	}
	dictionary[0] = 0
	k.codes, k.lo = codes, dictionary
}

// loadAddr fills k from a column of addresses, cut to the field's prefix lengths.
func (k *keyColumn) loadAddr(v *view, s *selection, c netflow.Column, f *Field, end bool) error {
	vec, err := v.column(c)
	if err != nil {
		return err
	}
	if !vec.Coded {
		k.codes = nil
		hi, lo := resize(&k.hiBuffer, s.n), resize(&k.loBuffer, s.n)
		zero := false
		for i := range s.n {
			row := i
			if !s.all {
				row = int(s.rows[i])
			}
			w := wideOf(&vec.Addr[row])
			zero = zero || w == wide{}
			hi[i], lo[i] = w.hi, w.lo
		}
		k.hi, k.lo = hi, lo
		lacks, err := lacksAddr(v, s, zero, end)
		if err != nil {
			return err
		}
		for i := range hi {
			w := wide{hi[i], lo[i]}
			if w == (wide{}) && lacks(i) {
				w = absent
			} else {
				w = cut(w, f.bits4, f.bits6)
			}
			hi[i], lo[i] = w.hi, w.lo
		}
		return nil
	}
	k.codes = gather(s, vec.Codes, &k.code32)
	n := len(vec.Addr)
	hi, lo := resize(&k.hiBuffer, n+1), resize(&k.loBuffer, n+1)
	zero := -1
	for i := range vec.Addr {
		w := wideOf(&vec.Addr[i])
		if w == (wide{}) {
			zero = i
		}
		w = cut(w, f.bits4, f.bits6)
		hi[i], lo[i] = w.hi, w.lo
	}
	k.hi, k.lo = hi[:n], lo[:n]
	if zero < 0 {
		return nil
	}
	lacks, err := lacksAddr(v, s, true, end)
	if err != nil {
		return err
	}
	// The zero address gets a second entry for the rows where it means that there is none.
	hi[n], lo[n] = absent.hi, absent.lo
	k.hi, k.lo = hi, lo
	codes := resize(&k.code32, s.n)
	for i, code := range k.codes {
		if (vec.Addr[code] == netflow.Addr{}) && lacks(i) {
			code = uint32(n)
		}
		codes[i] = code
	}
	k.codes = codes
	return nil
}

// lacksAddr returns a function that tells whether the zero address in selected row i means that the flow has none. Of the
// ends of a flow IPVersion says so, elsewhere it always does.
func lacksAddr(v *view, s *selection, needed, end bool) (func(i int) bool, error) {
	if !end || !needed {
		return func(int) bool { return true }, nil
	}
	versions, err := v.numbers(netflow.IPVersion)
	if err != nil {
		return nil, err
	}
	return func(i int) bool {
		if !s.all {
			i = int(s.rows[i])
		}
		return versions[i] == 0
	}, nil
}

// cut clears the host bits of an address.
func cut(w wide, bits4, bits6 uint8) wide {
	n := bits6
	if w.hi == 0 && w.lo>>32 == 0xffff {
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
	length.loBuffer = append(length.loBuffer[:0], gather(s, masks, &length.loBuffer)...)
	masks = length.loBuffer
	hi, lo := address.hi, address.lo
	outHi, outLo := resize(&length.hiBuffer, s.n), resize(&address.codeBuffer, s.n) // both are free here
	for i := range s.n {
		at := i
		if address.codes != nil {
			at = int(address.codes[i])
		}
		w := wide{hi[at], lo[at]}
		switch {
		case w == absent:
			masks[i] = 0
		case w.hi == 0 && w.lo>>32 == 0xffff:
			masks[i] = min(masks[i], 32)
			w = cut(w, uint8(masks[i]), 0)
		default:
			masks[i] = min(masks[i], 128)
			w = cut(w, 0, uint8(masks[i]))
		}
		outHi[i], outLo[i] = w.hi, w.lo
	}
	address.codes, address.hi, address.lo = nil, outHi, outLo
	length.codes, length.hi, length.lo = nil, nil, masks
	length.offsets()
	return nil
}
