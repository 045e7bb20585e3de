package stream

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

var le = binary.LittleEndian

// AppendFrame appends all rows of b as one frame with sequence number seq. A column that is not present costs nothing, a
// column with one value for all rows only that value. It panics when b has more than MaxRows rows.
func AppendFrame(dst []byte, seq uint64, b *netflow.Batch) []byte {
	return AppendRows(dst, seq, b, 0, b.Len())
}

// AppendRows is AppendFrame for the rows from <= i < to.
func AppendRows(dst []byte, seq uint64, b *netflow.Batch, from, to int) []byte {
	rows := to - from
	if rows < 0 || rows > MaxRows || to > b.Len() {
		panic("stream: rows of a frame out of range")
	}
	at := len(dst)
	dst = slices.Grow(dst, frameHeader+rows*72)
	dst = dst[:at+frameHeader]
	if rows > 0 {
		for s := b.Present(); s != 0; s &= s - 1 {
			dst = appendColumn(dst, netflow.Column(bits.TrailingZeros64(uint64(s))), b, from, to)
		}
	}
	h := dst[at : at+frameHeader]
	le.PutUint32(h, marker)
	le.PutUint32(h[4:], uint32(len(dst)-at-frameHeader))
	le.PutUint64(h[8:], seq)
	le.PutUint32(h[16:], uint32(rows))
	le.PutUint32(h[checksumAt:], frameChecksum(h, dst[at+frameHeader:]))
	return dst
}

func frameChecksum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:checksummedHead], castagnoli), castagnoli, payload)
}

func appendColumn(dst []byte, c netflow.Column, b *netflow.Batch, from, to int) []byte {
	at := len(dst)
	dst = append(dst, byte(c), byte(uint16(c)>>8), 0, 0, 0, 0, 0, 0)
	var enc, width byte
	switch c.Kind() {
	case netflow.KindTime:
		dst, enc, width = appendTimes(dst, b.Times(c)[from:to])
	case netflow.KindAddr:
		dst, enc, width = appendAddrs(dst, b.Addrs(c)[from:to])
	case netflow.KindMAC:
		dst, enc, width = appendMACs(dst, b.MACs(c)[from:to])
	case netflow.KindUint8:
		dst, enc, width = appendUints(dst, b.Uint8s(c)[from:to], 1)
	case netflow.KindUint16:
		dst, enc, width = appendUints(dst, b.Uint16s(c)[from:to], 2)
	case netflow.KindUint32:
		dst, enc, width = appendUints(dst, b.Uint32s(c)[from:to], 4)
	case netflow.KindUint64:
		dst, enc, width = appendUints(dst, b.Uint64s(c)[from:to], 8)
	}
	n := len(dst) - at - columnHeader
	if enc == encConstant && allZero(dst[at+columnHeader:]) {
		return dst[:at] // as absent
	}
	dst[at+2], dst[at+3] = enc, width
	le.PutUint32(dst[at+4:], uint32(n))
	return dst
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// widthOf returns the bytes, 1, 2, 4 or 8, that v takes.
func widthOf(v uint64) byte {
	switch {
	case v < 1<<8:
		return 1
	case v < 1<<16:
		return 2
	case v < 1<<32:
		return 4
	}
	return 8
}

// extend makes dst longer by n bytes that the caller is going to write.
func extend(dst []byte, n int) ([]byte, []byte) {
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	return dst, dst[at:]
}

func appendLE(dst []byte, v uint64, width byte) []byte {
	for range width {
		dst = append(dst, byte(v))
		v >>= 8
	}
	return dst
}

func appendUints[T uint8 | uint16 | uint32 | uint64](dst []byte, v []T, size byte) ([]byte, byte, byte) {
	first := v[0]
	var all, differ T
	for _, x := range v {
		all |= x
		differ |= x ^ first
	}
	if differ == 0 {
		return appendLE(dst, uint64(first), size), encConstant, size
	}
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	width := widthOf(uint64(all))
	dst, p := extend(dst, len(v)*int(width))
	putOffsets(p, v, 0, width)
	return dst, encOffset, width
}

func appendTimes(dst []byte, v []netflow.Timestamp) ([]byte, byte, byte) {
	lo, hi := v[0], v[0]
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	if lo == hi {
		return le.AppendUint64(dst, uint64(lo)), encConstant, 8
	}
	dst = le.AppendUint64(dst, uint64(lo))
	width := widthOf(uint64(hi) - uint64(lo))
	dst, p := extend(dst, len(v)*int(width))
	putOffsets(p, v, lo, width)
	return dst, encOffset, width
}

// putOffsets writes v[i]-base in width bytes each; p is exactly as long as that takes.
func putOffsets[T uint8 | uint16 | uint32 | uint64 | netflow.Timestamp](p []byte, v []T, base T, width byte) {
	switch width {
	case 1:
		p = p[:len(v)]
		for i, x := range v {
			p[i] = byte(x - base)
		}
	case 2:
		for _, x := range v {
			le.PutUint16(p, uint16(x-base))
			p = p[2:]
		}
	case 4:
		for _, x := range v {
			le.PutUint32(p, uint32(x-base))
			p = p[4:]
		}
	case 8:
		for _, x := range v {
			le.PutUint64(p, uint64(x-base))
			p = p[8:]
		}
	}
}

func appendMACs(dst []byte, v []netflow.MAC) ([]byte, byte, byte) {
	same := true
	for i := range v {
		if v[i] != v[0] {
			same = false
			break
		}
	}
	if same {
		return append(dst, v[0][:]...), encConstant, 6
	}
	dst, p := extend(dst, len(v)*6)
	for i := range v {
		copy(p[i*6:], v[i][:])
	}
	return dst, encRaw, 6
}

const (
	high4 = 0          // first eight bytes of an IPv4-mapped address, little endian
	mid4  = 0xffff0000 // the next four
)

func appendAddrs(dst []byte, v []netflow.Addr) ([]byte, byte, byte) {
	first := v[0]
	same, ipv4 := true, 0
	for i := range v {
		a := &v[i]
		if le.Uint64(a[:8]) == high4 && le.Uint32(a[8:12]) == mid4 {
			ipv4++
		}
		same = same && *a == first
	}
	switch {
	case same:
		return append(dst, first[:]...), encConstant, 16
	case ipv4 == len(v):
		dst, p := extend(dst, len(v)*4)
		for i := range v {
			le.PutUint32(p, le.Uint32(v[i][12:]))
			p = p[4:]
		}
		return dst, encIPv4, 4
	case ipv4 == 0:
		dst, p := extend(dst, len(v)*16)
		for i := range v {
			copy(p[i*16:], v[i][:])
		}
		return dst, encRaw, 16
	}
	dst, p := extend(dst, (len(v)+7)/8+ipv4*4+(len(v)-ipv4)*16)
	bitmap := p[:(len(v)+7)/8]
	clear(bitmap)
	p4 := p[len(bitmap):]
	p6 := p4[ipv4*4:]
	for i := range v {
		if v[i].Is4() {
			copy(p4[:4], v[i][12:])
			p4 = p4[4:]
		} else {
			bitmap[i/8] |= 1 << (i % 8)
			copy(p6, v[i][:])
			p6 = p6[16:]
		}
	}
	return dst, encMixed, 0
}
