package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"

	"github.com/caprock-net/caprock/netflow"
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// chunk is the metadata of one column chunk. Offsets count from the beginning of the file; in a RowGroup that has not been
// appended yet, from the beginning of its bytes.
type chunk struct {
	column      netflow.Column
	known       bool // false: a column of a newer program
	encoding    byte // of the data page: plain, delta binary packed or dictionary
	hasBounds   bool
	dictAt      int64 // offset of the dictionary page, when encoding is dictionary
	dataAt      int64 // offset of the data page
	size        int64 // of the pages with their headers
	rawSize     int64 // the same before compression
	bloomAt     int64 // 0: no Bloom filter
	bloomLength int32 // header and bits; the checksum follows behind
	lo, hi      uint64
}

// at returns where the chunk begins.
func (c *chunk) at() int64 {
	if c.encoding == encodingRLEDictionary {
		return c.dictAt
	}
	return c.dataAt
}

// rowGroup is the metadata of a row group.
type rowGroup struct {
	rows   int
	chunks []chunk
}

// extent returns the first and the last byte (exclusive) of the row group.
func (g *rowGroup) extent() (from, to int64) {
	for i := range g.chunks {
		c := &g.chunks[i]
		if i == 0 || c.at() < from {
			from = c.at()
		}
		to = max(to, c.at()+c.size)
		if c.bloomAt > 0 {
			to = max(to, c.bloomAt+int64(c.bloomLength)+bloomChecksum)
		}
	}
	return from, to
}

// footer is what a file's footer says.
type footer struct {
	columns   []schemaColumn
	rows      int64
	groups    []rowGroup
	rawGroups []byte // the elements of the list of row groups, as they stand in the footer
	meta      map[string]string
}

// appendGroup writes a row group whose bytes begin at base as an element of the footer's list.
func appendGroup(w *thriftWriter, g *rowGroup, base int64, ordinal int) {
	var raw, size int64
	w.open()
	w.list(1, thriftStruct, len(g.chunks))
	for i := range g.chunks {
		c := &g.chunks[i]
		raw += c.rawSize
		size += c.size
		w.open()
		w.i64(2, 0) // file_offset: deprecated, and 0 as the specification advises
		w.structure(3)
		appendChunk(w, c, base, g.rows)
		w.close()
		w.close()
	}
	w.i64(2, raw)
	w.i64(3, int64(g.rows))
	w.i64(5, g.chunks[0].at()+base)
	w.i64(6, size)
	if ordinal <= 1<<15-1 {
		w.i16(7, int16(ordinal))
	}
	w.close()
}

func appendChunk(w *thriftWriter, c *chunk, base int64, rows int) {
	t := columnTypes[c.column.Kind()]
	dict := c.encoding == encodingRLEDictionary
	w.i32(1, int32(t.physical))
	if dict {
		w.list(2, thriftI32, 2)
		w.b = binary.AppendVarint(w.b, encodingPlain)
		w.b = binary.AppendVarint(w.b, encodingRLEDictionary)
	} else {
		w.list(2, thriftI32, 1)
		w.b = binary.AppendVarint(w.b, int64(c.encoding))
	}
	w.list(3, thriftBinary, 1)
	w.element(c.column.String())
	w.i32(4, codecZstd)
	w.i64(5, int64(rows))
	w.i64(6, c.rawSize)
	w.i64(7, c.size)
	w.i64(9, c.dataAt+base)
	if dict {
		w.i64(11, c.dictAt+base)
	}
	w.structure(12)
	w.i64(3, 0) // null_count
	if c.hasBounds {
		var b [8]byte
		le.PutUint64(b[:], c.hi)
		w.str(5, string(b[:t.width()]))
		le.PutUint64(b[:], c.lo)
		w.str(6, string(b[:t.width()]))
	}
	w.close()
	if c.bloomAt > 0 {
		w.i64(14, c.bloomAt+base)
		w.i32(15, c.bloomLength)
	}
}

// appendFooter appends a footer with its length and magic. groups are the encoded elements of n row groups.
func appendFooter(dst []byte, rows int64, n int, groups []byte, meta map[string]string) []byte {
	at := len(dst)
	w := &thriftWriter{b: dst}
	w.open()
	w.i32(1, 2) // version of the format
	appendSchema(w, 2)
	w.i64(3, rows)
	w.list(4, thriftStruct, n)
	w.b = append(w.b, groups...)
	keys := slices.Sorted(maps.Keys(meta))
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == keyVersion || k == keyFooter })
	w.list(5, thriftStruct, len(keys)+2)
	pair := func(key, value string) {
		w.open()
		w.str(1, key)
		w.str(2, value)
		w.close()
	}
	pair(keyVersion, strconv.Itoa(Version))
	for _, k := range keys {
		pair(k, meta[k])
	}
	pair(keyFooter, zeroSum)
	w.str(6, createdBy)
	w.list(7, thriftStruct, netflow.NumColumns)
	for range netflow.NumColumns {
		w.open()
		w.empty(1) // TypeDefinedOrder
		w.close()
	}
	w.close()

	body := w.b[at:]
	sum := crc32.Checksum(body, castagnoli)
	copy(body[checksumIn(body):], fmt.Sprintf("%08x", sum))
	w.b = le.AppendUint32(w.b, uint32(len(body)))
	return append(w.b, magic...)
}

const zeroSum = "00000000" // stands in the place of the checksum while it is computed

// checksumIn returns where in a footer the eight digits of its checksum stand, or -1 when there are none.
func checksumIn(footer []byte) int {
	// The column orders of a newer program, of up to some hundred columns, may lie behind.
	tail := max(0, len(footer)-scanChecksum)
	i := bytes.LastIndex(footer[tail:], []byte(keyFooter))
	if i < 0 {
		return -1
	}
	at := tail + i + len(keyFooter)
	if len(footer) < at+2+len(zeroSum) || footer[at] != 1<<4|thriftBinary || int(footer[at+1]) != len(zeroSum) {
		return -1
	}
	return at + 2
}

// checkFooter reports whether a footer has a checksum, and whether it is right.
func checkFooter(b []byte) (has, right bool) {
	at := checksumIn(b)
	if at < 0 {
		return false, false
	}
	sum := crc32.Checksum(b[:at], castagnoli)
	sum = crc32.Update(sum, castagnoli, []byte(zeroSum))
	sum = crc32.Update(sum, castagnoli, b[at+len(zeroSum):])
	return true, string(b[at:at+len(zeroSum)]) == fmt.Sprintf("%08x", sum)
}
