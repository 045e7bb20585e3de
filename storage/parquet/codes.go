package parquet

import (
	"encoding/binary"
	"math/bits"
)

// Dictionary codes stand in a data page as a byte with their width in bits, then Parquet's hybrid of runs (a count and one
// value) and bit-packed groups of eight values, least significant bit first. We write one or the other for the whole page.

// codeWidth returns the width that n codes are written in. Up to 16 bits it is a power of two: the codes then keep to the
// borders of bytes, where zstd's entropy coding finds them, and are quick to read.
func codeWidth(n int) int {
	switch w := bits.Len(uint(n - 1)); {
	case w <= 1:
		return 1
	case w <= 2:
		return 2
	case w <= 4:
		return 4
	case w <= 8:
		return 8
	case w <= 16:
		return 16
	default:
		return w
	}
}

// appendConstantCodes appends the page of rows zeros.
func appendConstantCodes(dst []byte, rows int) []byte {
	dst = append(dst, 1)
	dst = binary.AppendUvarint(dst, uint64(rows)<<1)
	return append(dst, 0)
}

// appendCodes appends the page of the codes, each below n.
func appendCodes(dst []byte, codes []uint32, n int) []byte {
	width := codeWidth(n)
	groups := (len(codes) + 7) / 8
	dst = append(dst, byte(width))
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	return appendPacked(dst, codes, width, groups*width)
}

// appendPacked appends size bytes of bit-packed values, zeros behind the last.
func appendPacked(dst []byte, v []uint32, width, size int) []byte {
	dst, p := extend(dst, size)
	switch width {
	case 8:
		for i, x := range v {
			p[i] = byte(x)
		}
		clear(p[len(v):])
	case 16:
		for i, x := range v {
			le.PutUint16(p[2*i:], uint16(x))
		}
		clear(p[2*len(v):])
	default:
		var acc uint64
		var n, at int
		for _, x := range v {
			acc |= uint64(x) << n
			for n += width; n >= 32; n -= 32 {
				le.PutUint32(p[at:], uint32(acc))
				acc >>= 32
				at += 4
			}
		}
		for ; n > 0; n -= 8 {
			p[at] = byte(acc)
			acc >>= 8
			at++
		}
		clear(p[at:])
	}
	return dst
}

// extend makes dst longer by n bytes that the caller is going to write.
func extend(dst []byte, n int) (whole, added []byte) {
	at := len(dst)
	if cap(dst)-at < n {
		grown := make([]byte, at, max(at+n, 2*cap(dst)))
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:at+n]
	return dst, dst[at:]
}

// readCodes takes rows codes, each below n, off a data page.
func readCodes(dst []uint32, page []byte, rows, n int) ([]uint32, error) {
	if len(page) == 0 {
		return dst, corrupt("page of codes without a width")
	}
	width := int(page[0])
	if width > 32 {
		return dst, corrupt("codes of %d bits", width)
	}
	page = page[1:]
	dst = room(dst, rows)
	for done := 0; done < rows; {
		h, k := binary.Uvarint(page)
		if k <= 0 || h>>1 == 0 {
			return dst, corrupt("codes end at row %d of %d", done, rows)
		}
		page = page[k:]
		if h&1 == 0 { // a run
			size := (width + 7) / 8
			if h>>1 > uint64(rows-done) || len(page) < size {
				return dst, corrupt("run of %d codes with %d rows to go", h>>1, rows-done)
			}
			value := littleEndian(page[:size])
			if value >= uint64(n) {
				return dst, corrupt("code %d in a dictionary of %d", value, n)
			}
			run := dst[done : done+int(h>>1)]
			for i := range run {
				run[i] = uint32(value)
			}
			page = page[size:]
			done += len(run)
			continue
		}
		groups := h >> 1
		if groups > uint64(rows-done+7)/8 || uint64(len(page)) < groups*uint64(width) {
			return dst, corrupt("%d packed codes of %d bits with %d rows and %d bytes to go", groups*8, width, rows-done, len(page))
		}
		size := int(groups) * width
		run := dst[done:min(rows, done+int(groups)*8)]
		if largest := unpack(run, page[:size], width); uint64(largest) >= uint64(n) {
			return dst, corrupt("a code of up to %d in a dictionary of %d", largest, n)
		}
		page = page[size:]
		done += len(run)
	}
	if len(page) != 0 {
		return dst, corrupt("%d bytes behind the codes", len(page))
	}
	return dst, nil
}

// unpack fills dst from bit-packed values and returns the largest one. p has the bytes for it.
func unpack(dst []uint32, p []byte, width int) (largest uint32) {
	switch width {
	case 0:
		clear(dst)
	case 1:
		return unpackBits(dst, p)
	case 2:
		i := 0
		for ; i+4 <= len(dst); i += 4 {
			x, o := uint32(p[i/4]), dst[i:i+4:i+4]
			o[0], o[1], o[2], o[3] = x&3, x>>2&3, x>>4&3, x>>6
			largest = max(largest, x&3, x>>2&3, x>>4&3, x>>6)
		}
		for ; i < len(dst); i++ {
			dst[i] = uint32(p[i/4]) >> (i % 4 * 2) & 3
			largest = max(largest, dst[i])
		}
	case 4:
		i := 0
		for ; i+2 <= len(dst); i += 2 {
			x := uint32(p[i/2])
			dst[i], dst[i+1] = x&15, x>>4
			largest = max(largest, x&15, x>>4)
		}
		if i < len(dst) {
			dst[i] = uint32(p[i/2]) & 15
			largest = max(largest, dst[i])
		}
	case 8:
		p = p[:len(dst)]
		for i, x := range p {
			v := uint32(x)
			largest = max(largest, v)
			dst[i] = v
		}
	case 16:
		p = p[:2*len(dst)]
		for i := range dst {
			v := uint32(le.Uint16(p[2*i:]))
			largest = max(largest, v)
			dst[i] = v
		}
	default:
		mask := uint64(1)<<width - 1
		i := 0
		for bit := 0; i < len(dst); i, bit = i+1, bit+width { // width <= 32: eight bytes always hold it
			at := bit / 8
			if at+8 > len(p) {
				break
			}
			v := uint32(le.Uint64(p[at:]) >> (bit % 8) & mask)
			largest = max(largest, v)
			dst[i] = v
		}
		for ; i < len(dst); i++ {
			bit := i * width
			v := uint32(littleEndian(p[bit/8:]) >> (bit % 8) & mask)
			largest = max(largest, v)
			dst[i] = v
		}
	}
	return largest
}

// unpackBits is unpack for values of one bit.
func unpackBits(dst []uint32, p []byte) (largest uint32) {
	i := 0
	for ; i+8 <= len(dst); i += 8 {
		x, o := uint32(p[i/8]), dst[i:i+8:i+8]
		o[0], o[1], o[2], o[3] = x&1, x>>1&1, x>>2&1, x>>3&1
		o[4], o[5], o[6], o[7] = x>>4&1, x>>5&1, x>>6&1, x>>7
		largest |= x
	}
	for ; i < len(dst); i++ {
		dst[i] = uint32(p[i/8]) >> (i % 8) & 1
		largest |= dst[i]
	}
	return min(largest, 1)
}

// room returns a slice of n elements, on the memory of s when that is enough.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
