package parquet

import (
	"encoding/binary"
	"math/bits"
)

// DELTA_BINARY_PACKED: a header, then blocks of 128 differences, each block with its smallest difference and four
// miniblocks of 32 differences, packed in as many bits as the largest of them takes above the smallest. All arithmetic
// wraps, so every sequence of 64-bit numbers comes back.
const (
	deltaBlock = 128
	deltaMini  = 32
)

func appendDelta(dst []byte, v []uint64) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaBlock/deltaMini)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	if len(v) == 0 {
		return binary.AppendVarint(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(v[0]))
	var d [deltaBlock]int64
	for at := 1; at < len(v); at += deltaBlock {
		n := min(deltaBlock, len(v)-at)
		prev := v[at-1]
		smallest := int64(1<<63 - 1)
		for i, x := range v[at : at+n] {
			d[i] = int64(x - prev)
			prev = x
			smallest = min(smallest, d[i])
		}
		dst = binary.AppendVarint(dst, smallest)
		widths := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		for m := 0; m*deltaMini < n; m++ {
			mini := d[m*deltaMini : min((m+1)*deltaMini, n)]
			var all uint64
			for i := range mini {
				mini[i] -= smallest
				all |= uint64(mini[i])
			}
			width := bits.Len64(all)
			dst[widths+m] = byte(width)
			dst = appendMini(dst, mini, width)
		}
	}
	return dst
}

// appendMini appends a miniblock: 32 values of width bits, zeros behind the last.
func appendMini(dst []byte, v []int64, width int) []byte {
	dst, p := extend(dst, deltaMini/8*width)
	var acc uint64
	var n, at int
	for _, x := range v {
		acc |= uint64(x) << n
		if n += width; n >= 64 {
			le.PutUint64(p[at:], acc)
			at += 8
			n -= 64
			acc = uint64(x) >> (width - n) // 0 when nothing is left: a shift by 64 gives 0
		}
	}
	for ; n > 0; n -= 8 {
		p[at] = byte(acc)
		acc >>= 8
		at++
	}
	clear(p[at:])
	return dst
}

// readDelta takes rows values off a page.
func readDelta(dst []uint64, page []byte, rows int) ([]uint64, error) {
	c := cursor{b: page}
	block, minis, total, first := c.uvarint(), c.uvarint(), c.uvarint(), c.varint()
	if c.bad || block != deltaBlock || minis != deltaBlock/deltaMini {
		return dst, corrupt("delta page of blocks of %d in %d parts", block, minis)
	}
	if total != uint64(rows) {
		return dst, corrupt("delta page of %d values for %d rows", total, rows)
	}
	dst = room(dst, rows)
	if rows > 0 {
		dst[0] = uint64(first)
	}
	value := uint64(first)
	for at := 1; at < rows; {
		smallest := uint64(c.varint())
		widths := c.take(deltaBlock / deltaMini)
		if c.bad {
			return dst, corrupt("delta page ends at row %d of %d", at, rows)
		}
		for _, w := range widths {
			if at == rows {
				break
			}
			width := int(w)
			if width > 64 {
				return dst, corrupt("differences of %d bits", width)
			}
			p := c.take(deltaMini / 8 * width)
			if c.bad {
				return dst, corrupt("delta page ends at row %d of %d", at, rows)
			}
			out := dst[at:min(rows, at+deltaMini)]
			value = unpackDeltas(out, p, width, smallest, value)
			at += len(out)
		}
	}
	if len(c.b) != 0 {
		return dst, corrupt("%d bytes behind the differences", len(c.b))
	}
	return dst, nil
}

// unpackDeltas fills dst, of at most 32 values, from a miniblock and returns the last value.
func unpackDeltas(dst []uint64, p []byte, width int, smallest, value uint64) uint64 {
	if width <= 56 { // eight bytes from the value's first byte on hold all of it
		var padded [deltaMini/8*56 + 8]byte
		q := padded[:copy(padded[:], p)+8]
		mask := uint64(1)<<width - 1
		for i, bit := 0, 0; i < len(dst); i, bit = i+1, bit+width {
			value += smallest + le.Uint64(q[bit/8:])>>(bit%8)&mask
			dst[i] = value
		}
		return value
	}
	for i := range dst {
		var v uint64
		for k, bit := 0, i*width; k < width; { // byte by byte: differences of more than 2^56 do not come in practice
			take := min(8-bit%8, width-k)
			v |= uint64(p[bit/8]>>(bit%8)) & (1<<take - 1) << k
			k += take
			bit += take
		}
		value += smallest + v
		dst[i] = value
	}
	return value
}

// cursor takes values off b. After the first failure bad stays set and every read gives zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	p := c.b[:n:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	v := c.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}
