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

// readFooter parses a footer and checks it against end, the offset at which the footer begins: everything it speaks of
// must lie before that.
func readFooter(b []byte, end int64) (*footer, error) {
	f := &footer{meta: map[string]string{}}
	r := &thriftReader{b: b}
	for last := int16(0); ; {
		id, typ := r.field(&last)
		if typ == thriftStop {
			break
		}
		switch {
		case id == 2 && r.expect(typ, thriftList):
			var err error
			if f.columns, err = readSchema(r); err != nil {
				return nil, err
			}
		case id == 3 && r.expect(typ, thriftI64):
			f.rows = r.int()
		case id == 4 && r.expect(typ, thriftList):
			if err := f.readGroups(r, end); err != nil {
				return nil, err
			}
		case id == 5 && r.expect(typ, thriftList):
			f.readMeta(r)
		default:
			r.skip(typ)
		}
	}
	if r.bad {
		return nil, corrupt("footer cannot be parsed")
	}
	var rows int64
	for i := range f.groups {
		rows += int64(f.groups[i].rows)
	}
	if rows != f.rows {
		return nil, corrupt("footer of %d rows has row groups of %d", f.rows, rows)
	}
	return f, nil
}

func (f *footer) readMeta(r *thriftReader) {
	for n := r.list(thriftStruct); n > 0 && !r.bad; n-- {
		var key, value string
		for last := int16(0); ; {
			id, typ := r.field(&last)
			if typ == thriftStop {
				break
			}
			switch {
			case id == 1 && r.expect(typ, thriftBinary):
				key = string(r.bytes())
			case id == 2 && r.expect(typ, thriftBinary):
				value = string(r.bytes())
			default:
				r.skip(typ)
			}
		}
		f.meta[key] = value
	}
}

func (f *footer) readGroups(r *thriftReader, end int64) error {
	n := r.list(thriftStruct)
	begin := r.b
	for i := 0; i < n && !r.bad; i++ {
		g, err := f.readGroup(r, end)
		if err != nil {
			return fmt.Errorf("row group %d: %w", i, err)
		}
		f.groups = append(f.groups, g)
	}
	if !r.bad {
		f.rawGroups = begin[: len(begin)-len(r.b) : len(begin)-len(r.b)]
	}
	return nil
}

func (f *footer) readGroup(r *thriftReader, end int64) (rowGroup, error) {
	g := rowGroup{rows: -1}
	values := int64(-1)
	for last := int16(0); ; {
		id, typ := r.field(&last)
		if typ == thriftStop {
			break
		}
		switch {
		case id == 1 && r.expect(typ, thriftList):
			n := r.list(thriftStruct)
			if n != len(f.columns) {
				r.fail()
				return g, corrupt("%d column chunks for %d columns", n, len(f.columns))
			}
			for i := 0; i < n && !r.bad; i++ {
				c, rows := readColumnChunk(r)
				if i == 0 {
					values = rows
				}
				if rows != values {
					return g, corrupt("column chunks of %d and %d rows", values, rows)
				}
				c.column, c.known = f.columns[i].column, f.columns[i].known
				if !c.known {
					continue
				}
				if err := c.check(end); err != nil {
					return g, fmt.Errorf("column %v: %w", c.column, err)
				}
				g.chunks = append(g.chunks, c)
			}
		case id == 3 && r.expect(typ, thriftI64):
			n := r.int()
			if n < 0 || n > MaxRows {
				return g, corrupt("%d rows", n)
			}
			g.rows = int(n)
		default:
			r.skip(typ)
		}
	}
	if !r.bad && int64(g.rows) != values && len(f.columns) > 0 {
		return g, corrupt("%d rows, %d values", g.rows, values)
	}
	return g, nil
}

// check compares what a chunk says of its bytes with where they can be.
func (c *chunk) check(end int64) error {
	text := columnTypes[c.column.Kind()].physical == typeByteArray
	switch c.encoding {
	case encodingPlain, encodingDeltaBinaryPacked:
		if text {
			return corrupt("encoding %d of text", c.encoding)
		}
	case encodingRLEDictionary:
		if c.dictAt < int64(len(magic)) || c.dictAt >= c.dataAt || c.dataAt-c.dictAt >= c.size {
			return corrupt("dictionary page at %d, data page at %d", c.dictAt, c.dataAt)
		}
	default:
		return corrupt("encoding %d", c.encoding)
	}
	if at := c.at(); at < int64(len(magic)) || c.size <= 0 || c.size > maxChunk || at > end || c.size > end-at {
		return corrupt("%d bytes at %d, before a footer at %d", c.size, at, end)
	}
	if c.rawSize < 0 || c.rawSize > maxChunk {
		return corrupt("%d bytes before compression", c.rawSize)
	}
	if c.bloomAt != 0 {
		n := int64(c.bloomLength)
		if c.bloomAt < 0 || n <= 0 || n > maxBloom || c.bloomAt > end || n+bloomChecksum > end-c.bloomAt {
			return corrupt("Bloom filter of %d bytes at %d, before a footer at %d", n, c.bloomAt, end)
		}
	}
	return nil
}

func readColumnChunk(r *thriftReader) (c chunk, rows int64) {
	rows = -1
	for last := int16(0); ; {
		id, typ := r.field(&last)
		switch {
		case typ == thriftStop:
			return c, rows
		case id == 3 && r.expect(typ, thriftStruct):
			rows = c.read(r)
		default:
			r.skip(typ)
		}
	}
}

// read reads the ColumnMetaData struct and returns the number of values.
func (c *chunk) read(r *thriftReader) (rows int64) {
	rows = -1
	c.encoding = 255
	var lo, hi []byte
	for last := int16(0); ; {
		id, typ := r.field(&last)
		if typ == thriftStop {
			break
		}
		switch {
		case id == 2 && r.expect(typ, thriftList):
			n := r.list(thriftI32)
			for i := 0; i < n && !r.bad; i++ {
				if e := r.int32(); e >= 0 && e < 255 && (i == 0 || e == encodingRLEDictionary) {
					c.encoding = byte(e)
				}
			}
		case id == 4 && r.expect(typ, thriftI32):
			if r.int32() != codecZstd {
				r.fail()
			}
		case id == 5 && r.expect(typ, thriftI64):
			rows = r.int()
		case id == 6 && r.expect(typ, thriftI64):
			c.rawSize = r.int()
		case id == 7 && r.expect(typ, thriftI64):
			c.size = r.int()
		case id == 9 && r.expect(typ, thriftI64):
			c.dataAt = r.int()
		case id == 11 && r.expect(typ, thriftI64):
			c.dictAt = r.int()
		case id == 12 && r.expect(typ, thriftStruct):
			lo, hi = readStatistics(r)
		case id == 14 && r.expect(typ, thriftI64):
			c.bloomAt = r.int()
		case id == 15 && r.expect(typ, thriftI32):
			c.bloomLength = r.int32()
		default:
			r.skip(typ)
		}
	}
	if len(lo) == len(hi) && (len(lo) == 4 || len(lo) == 8) {
		c.hasBounds, c.lo, c.hi = true, littleEndian(lo), littleEndian(hi)
	}
	return rows
}

func readStatistics(r *thriftReader) (lo, hi []byte) {
	for last := int16(0); ; {
		id, typ := r.field(&last)
		switch {
		case typ == thriftStop:
			return lo, hi
		case id == 5 && r.expect(typ, thriftBinary):
			hi = r.bytes()
		case id == 6 && r.expect(typ, thriftBinary):
			lo = r.bytes()
		default:
			r.skip(typ)
		}
	}
}

func littleEndian(b []byte) uint64 {
	var v uint64
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
