package parquet

import "fmt"

// readFooter parses a footer and checks it against end, the offset at which the footer begins: everything it speaks of
// must lie before that.
func readFooter(b []byte, end int64) (*footer, error) {
	f := &footer{meta: map[string]string{}}
	r := &thriftReader{b: b}
	for id, typ := range r.fields() {
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
		for id, typ := range r.fields() {
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
	for id, typ := range r.fields() {
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
	for id, typ := range r.fields() {
		switch {
		case id == 3 && r.expect(typ, thriftStruct):
			rows = c.read(r)
		default:
			r.skip(typ)
		}
	}
	return c, rows
}

// read reads the ColumnMetaData struct and returns the number of values.
func (c *chunk) read(r *thriftReader) (rows int64) {
	rows = -1
	c.encoding = 255
	var lo, hi []byte
	for id, typ := range r.fields() {
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
	for id, typ := range r.fields() {
		switch {
		case id == 5 && r.expect(typ, thriftBinary):
			hi = r.bytes()
		case id == 6 && r.expect(typ, thriftBinary):
			lo = r.bytes()
		default:
			r.skip(typ)
		}
	}
	return lo, hi
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
