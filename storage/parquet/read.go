package parquet

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// RowGroupReader is a row group as a column.Chunk. Its errors wrap ErrCorrupt or are what the file said.
type RowGroupReader struct {
	r     io.ReaderAt
	g     *rowGroup
	index int
}

var _ column.Chunk = (*RowGroupReader)(nil)

// buffers are the memory of one read.
type buffers struct{ chunk, dict, data []byte }

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// Rows returns the number of rows.
func (g *RowGroupReader) Rows() int { return g.g.rows }

// Close does nothing: the memory of a read goes back with it.
func (g *RowGroupReader) Close() error { return nil }

// chunk finds the metadata of a column, or nil when the file does not have it.
func (g *RowGroupReader) chunk(c netflow.Column) *chunk {
	if i := int(c); i < len(g.g.chunks) && g.g.chunks[i].column == c { // the usual case
		return &g.g.chunks[i]
	}
	for i := range g.g.chunks {
		if g.g.chunks[i].column == c {
			return &g.g.chunks[i]
		}
	}
	return nil
}

// Read fills v with column c: one read of the file, every page's checksum compared.
func (g *RowGroupReader) Read(c netflow.Column, v *column.Vector) error {
	v.Reset()
	if int(c) >= netflow.NumColumns {
		return fmt.Errorf("read column: unknown %v", c)
	}
	m := g.chunk(c)
	if m == nil {
		v.SetZero(c.Kind(), g.g.rows)
		return nil
	}
	b := bufferPool.Get().(*buffers)
	defer bufferPool.Put(b)
	if err := g.read(m, v, b); err != nil {
		v.Reset()
		return fmt.Errorf("row group %d, column %v, offset %d: %w", g.index, c, m.at(), err)
	}
	return nil
}

// Verify reads all columns and returns the first error.
func (g *RowGroupReader) Verify() error {
	var v column.Vector
	for i := range g.g.chunks {
		if err := g.Read(g.g.chunks[i].column, &v); err != nil {
			return err
		}
	}
	return nil
}

func (g *RowGroupReader) readAt(p []byte, at int64) error {
	if _, err := g.r.ReadAt(p, at); err != nil {
		if errors.Is(err, io.EOF) {
			return corrupt("file ends inside a row group")
		}
		return err
	}
	return nil
}

func (g *RowGroupReader) read(m *chunk, v *column.Vector, b *buffers) error {
	b.chunk = room(b.chunk, int(m.size))
	if err := g.readAt(b.chunk, m.at()); err != nil {
		return err
	}
	rest := b.chunk
	rows, kind := g.g.rows, m.column.Kind()
	n := 0
	if m.encoding == encodingRLEDictionary {
		var h pageHeader
		var body []byte
		var err error
		h, body, rest, err = readPage(rest, rows*maxEntry, &b.dict)
		if err != nil {
			return err
		}
		n = int(h.values)
		if h.kind != pageDictionary || h.encoding != encodingPlain || n < 1 || n > rows {
			return corrupt("dictionary page of %d values for %d rows", n, rows)
		}
		if m.at()+m.size-int64(len(rest)) != m.dataAt {
			return corrupt("data page is not where the footer says")
		}
		if err := readDictionary(v, body, kind, n); err != nil {
			return err
		}
	}
	h, body, rest, err := readPage(rest, 512+rows*maxEntry, &b.data)
	if err != nil {
		return err
	}
	if h.kind != pageData || h.encoding != m.encoding || int(h.values) != rows || len(rest) != 0 {
		return corrupt("data page of %d values for %d rows, encoding %d instead of %d", h.values, rows, h.encoding, m.encoding)
	}
	switch m.encoding {
	case encodingRLEDictionary:
		v.Coded = true
		v.Codes, err = readCodes(v.Codes, body, rows, n)
	case encodingDeltaBinaryPacked:
		v.Num, err = readDelta(v.Num, body, rows)
	default:
		v.Num, err = readPlain(v.Num, body, columnTypes[kind].width(), rows)
	}
	if err != nil {
		return err
	}
	return checkRange(v.Num, kind)
}

// maxEntry is the largest size of a row's value in a page: an IPv6 address as text behind its length.
const maxEntry = 4 + 45

// readDictionary fills v.Num or v.Addr from a dictionary page of n values.
func readDictionary(v *column.Vector, body []byte, kind netflow.Kind, n int) (err error) {
	if w := columnTypes[kind].width(); w > 0 {
		v.Num, err = readPlain(v.Num, body, w, n)
		return err
	}
	c := cursor{b: body}
	if kind == netflow.KindAddr {
		v.Addr = room(v.Addr, n)
	} else {
		v.Num = room(v.Num, n)
	}
	for i := range n {
		size := c.take(4)
		if c.bad {
			return corrupt("dictionary ends at value %d of %d", i, n)
		}
		text := c.take(int(le.Uint32(size)))
		ok := !c.bad
		if kind == netflow.KindAddr {
			v.Addr[i], c.bad = parsed(parseAddr(text))
		} else {
			v.Num[i], c.bad = parsed(parseMAC(text))
		}
		if !ok || c.bad {
			return corrupt("value %d of a dictionary is %q", i, text)
		}
	}
	if len(c.b) != 0 {
		return corrupt("%d bytes behind a dictionary", len(c.b))
	}
	return nil
}

func parsed[T any](v T, ok bool) (T, bool) { return v, !ok }

// readPlain reads n integers of width bytes.
func readPlain(dst []uint64, body []byte, width, n int) ([]uint64, error) {
	if len(body) != n*width {
		return dst, corrupt("%d bytes for %d integers of %d", len(body), n, width)
	}
	dst = room(dst, n)
	if width == 4 {
		for i := range dst {
			dst[i] = uint64(le.Uint32(body[4*i:]))
		}
	} else {
		for i := range dst {
			dst[i] = le.Uint64(body[8*i:])
		}
	}
	return dst, nil
}

// checkRange refuses values that are too large for their kind, which a Batch could not hold.
func checkRange(v []uint64, kind netflow.Kind) error {
	largest := columnTypes[kind].largest
	if largest == 0 || largest == 1<<64-1 {
		return nil
	}
	var all uint64
	for _, x := range v {
		all |= x
	}
	if all > largest {
		return corrupt("a value is too large")
	}
	return nil
}

// Bounds gives the smallest and the largest value by the footer's statistics.
func (g *RowGroupReader) Bounds(c netflow.Column) (lo, hi uint64, ok bool) {
	if int(c) >= netflow.NumColumns || c.Kind() == netflow.KindAddr {
		return 0, 0, false
	}
	m := g.chunk(c)
	if m == nil {
		return 0, 0, true
	}
	return m.lo, m.hi, m.hasBounds && c.Kind() != netflow.KindMAC
}

// MayContain asks the Bloom filter. It says true when there is none or when it cannot be read.
func (g *RowGroupReader) MayContain(c netflow.Column, a netflow.Addr) bool {
	m := g.chunk(c)
	if m == nil {
		return a.IsZero()
	}
	if m.bloomAt == 0 {
		return true
	}
	b := bufferPool.Get().(*buffers)
	defer bufferPool.Put(b)
	b.data = room(b.data, int(m.bloomLength)+bloomChecksum)
	if g.readAt(b.data, m.bloomAt) != nil {
		return true
	}
	filter, err := readBloom(b.data)
	if err != nil {
		return true
	}
	var text [48]byte
	if bloomHas(filter, bloomHash(appendAddr(text[:0], &a))) {
		return true
	}
	return a.IsZero() && bloomHas(filter, bloomHash(nil)) // a flow without addresses
}
