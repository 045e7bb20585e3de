package parquet

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/caprock-net/caprock/netflow"
)

// Options says how row groups are encoded. The zero value is what a collector wants.
type Options struct {
	NoBloom bool // leave out the Bloom filters of src_addr and dst_addr
}

// RowGroup is an encoded row group, ready to be appended to a file. It belongs to the Encoder's caller until Append has
// returned.
type RowGroup struct {
	rowGroup
	data []byte // pages and Bloom filters
}

// Rows returns the number of rows.
func (g *RowGroup) Rows() int { return g.rows }

// Size returns the number of bytes that the row group adds to a file, without its part of the footer.
func (g *RowGroup) Size() int { return len(g.data) }

// Encoder encodes row groups and keeps its memory, about 10 MiB for row groups of 131072 rows, from one to the next.
type Encoder struct {
	opt      Options
	z        *zstd.Encoder
	nums     []uint64
	addrs    []netflow.Addr
	versions []uint8
	codes    []uint32
	numbers  *numbers
	times    times
	addrDict *addresses
	ranks    ranks

	dict, data, packed []byte // pages before compression, and one after
	blooms             [netflow.NumColumns][]byte
}

// NewEncoder makes an encoder.
func NewEncoder(opt Options) *Encoder {
	return &Encoder{opt: opt, z: newCompressor(), numbers: newNumbers(), addrDict: newAddresses()}
}

var encoders = sync.Pool{New: func() any { return NewEncoder(Options{}) }}

// EncodeRowGroup encodes the rows of batches, one after the other, as a row group of 1 to MaxRows rows. It may be called
// by several goroutines at once; the batches are only read.
func EncodeRowGroup(batches []*netflow.Batch, opt Options) (*RowGroup, error) {
	e := encoders.Get().(*Encoder)
	defer encoders.Put(e)
	e.opt = opt
	return e.Encode(batches)
}

// Encode is EncodeRowGroup with the memory of e.
func (e *Encoder) Encode(batches []*netflow.Batch) (*RowGroup, error) {
	return e.encode(batchSource(batches))
}

// source is where an encoder finds the values of a row group, a column at a time.
type source interface {
	rows() int
	// numbers appends the values of a column that is not of KindAddr, addrs those of one that is, to dst, which is
	// empty. None at all means that all are zero.
	numbers(dst []uint64, c netflow.Column) ([]uint64, error)
	addrs(dst []netflow.Addr, c netflow.Column) ([]netflow.Addr, error)
}

func (e *Encoder) encode(src source) (*RowGroup, error) {
	rows := src.rows()
	if rows < 1 || rows > MaxRows {
		return nil, fmt.Errorf("row group of %d rows, not 1 to %d", rows, MaxRows)
	}
	g := &RowGroup{rowGroup: rowGroup{rows: rows, chunks: make([]chunk, 0, netflow.NumColumns)}}
	g.data = make([]byte, 0, 8192+rows*28)
	e.codes = room(e.codes, rows)
	e.versions = e.versions[:0]
	for i := range e.blooms {
		e.blooms[i] = e.blooms[i][:0]
	}
	for _, c := range netflow.Columns() {
		var err error
		m := chunk{column: c, known: true}
		if c.Kind() == netflow.KindAddr {
			err = e.addrColumn(g, &m, src)
		} else {
			err = e.numberColumn(g, &m, src)
		}
		if err != nil {
			return nil, fmt.Errorf("column %v: %w", c, err)
		}
		g.chunks = append(g.chunks, m)
	}
	for i := range g.chunks {
		if b := e.blooms[i]; len(b) > 0 {
			c := &g.chunks[i]
			c.bloomAt = int64(len(g.data))
			g.data = appendBloom(g.data, b)
			c.bloomLength = int32(int64(len(g.data)) - c.bloomAt - bloomChecksum)
		}
	}
	return g, nil
}

func (e *Encoder) numberColumn(g *RowGroup, m *chunk, src source) error {
	v, err := src.numbers(e.nums[:0], m.column)
	if err != nil {
		return err
	}
	e.nums = v[:0]
	kind := m.column.Kind()
	if m.hasBounds = kind != netflow.KindMAC; len(v) == 0 {
		e.constantColumn(g, m, 0)
		return nil
	}
	m.lo, m.hi = bounds(v, kind == netflow.KindTime)
	codes := e.codes[:len(v)]
	switch {
	case m.lo == m.hi:
		e.constantColumn(g, m, m.lo)
	case kind == netflow.KindTime:
		if values, ok := e.times.encode(codes, v, m.lo, m.hi); ok {
			e.dictionaryColumn(g, m, codes, values, nil)
		} else {
			e.data = appendDelta(e.data[:0], v)
			m.encoding = encodingDeltaBinaryPacked
			e.pages(g, m, 0)
		}
	case e.numbers.encode(codes, v, dictionaryLimit(kind, len(v))):
		e.dictionaryColumn(g, m, codes, e.numbers.values, e.ranks.order(codes, len(e.numbers.values)))
	default:
		e.denseColumn(g, m, v)
	}
	return nil
}

// dictionaryColumn writes values, in the order given when there is one, and codes.
func (e *Encoder) dictionaryColumn(g *RowGroup, m *chunk, codes []uint32, values []uint64, order []uint32) {
	kind := m.column.Kind()
	e.dict = e.dict[:0]
	for i := range values {
		if order != nil {
			i = int(order[i])
		}
		e.dict = appendValue(e.dict, kind, values[i])
	}
	e.data = appendCodes(e.data[:0], codes, len(values))
	m.encoding = encodingRLEDictionary
	e.pages(g, m, len(values))
}

// dictionaryLimit returns how many distinct values a dictionary of a column may have. MAC addresses are text and always
// have one.
func dictionaryLimit(kind netflow.Kind, rows int) int {
	if kind == netflow.KindMAC {
		return rows
	}
	return max(256, rows/2)
}

func bounds(v []uint64, signed bool) (lo, hi uint64) {
	var flip uint64
	if signed {
		flip = 1 << 63
	}
	lo, hi = v[0]^flip, v[0]^flip
	for _, x := range v {
		lo, hi = min(lo, x^flip), max(hi, x^flip)
	}
	return lo ^ flip, hi ^ flip
}

// appendValue appends a value as it stands in a dictionary or a plain page.
func appendValue(dst []byte, kind netflow.Kind, x uint64) []byte {
	switch columnTypes[kind].physical {
	case typeInt32:
		return le.AppendUint32(dst, uint32(x))
	case typeInt64:
		return le.AppendUint64(dst, x)
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	if x != 0 {
		dst = netflow.MACFrom(x).AppendText(dst)
	}
	le.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

func (e *Encoder) constantColumn(g *RowGroup, m *chunk, x uint64) {
	e.dict = appendValue(e.dict[:0], m.column.Kind(), x)
	e.data = appendConstantCodes(e.data[:0], g.rows)
	m.encoding = encodingRLEDictionary
	e.pages(g, m, 1)
}

// denseColumn writes the values themselves or their differences, what is smaller in a sample.
func (e *Encoder) denseColumn(g *RowGroup, m *chunk, v []uint64) {
	kind := m.column.Kind()
	sample := v[:min(len(v), 8192)]
	m.encoding = encodingPlain
	if e.compressed(appendDelta(e.data[:0], sample)) < e.compressed(appendPlain(e.data[:0], kind, sample)) {
		m.encoding = encodingDeltaBinaryPacked
		e.data = appendDelta(e.data[:0], v)
	} else {
		e.data = appendPlain(e.data[:0], kind, v)
	}
	e.pages(g, m, 0)
}

func (e *Encoder) compressed(page []byte) int {
	e.data = page[:0]
	e.packed = e.z.EncodeAll(page, e.packed[:0])
	return len(e.packed)
}

func appendPlain(dst []byte, kind netflow.Kind, v []uint64) []byte {
	for _, x := range v {
		dst = appendValue(dst, kind, x)
	}
	return dst
}

func (e *Encoder) addrColumn(g *RowGroup, m *chunk, src source) error {
	v, err := src.addrs(e.addrs[:0], m.column)
	if err != nil {
		return err
	}
	e.addrs = v[:0]
	ofFlow := m.column == netflow.SrcAddr || m.column == netflow.DstAddr
	if len(v) == 0 && ofFlow { // :: for all flows that have addresses
		v = room(e.addrs, g.rows)
		clear(v)
		e.addrs = v[:0]
	}
	var versions []uint8
	if ofFlow {
		if versions, err = e.ipVersions(g.rows, src); err != nil {
			return err
		}
	}
	e.addrDict.encode(e.codes, v, versions)
	if len(v) == 0 {
		e.addrDict.none()
	}
	n := len(e.addrDict.values)
	codes := e.codes[:g.rows]
	var order []uint32
	if n > 1 {
		order = e.ranks.order(codes, n)
	}
	bloom := ofFlow && !e.opt.NoBloom
	if bloom {
		size := bloomSize(n)
		e.blooms[m.column] = room(e.blooms[m.column], size)
		clear(e.blooms[m.column])
	}
	e.dict = e.dict[:0]
	for i := range n {
		if order != nil {
			i = int(order[i])
		}
		at := len(e.dict)
		e.dict = append(e.dict, 0, 0, 0, 0)
		if i+1 != e.addrDict.absent {
			e.dict = appendAddr(e.dict, &e.addrDict.values[i])
		}
		le.PutUint32(e.dict[at:], uint32(len(e.dict)-at-4))
		if bloom {
			bloomInsert(e.blooms[m.column], bloomHash(e.dict[at+4:]))
		}
	}
	if n == 1 {
		e.data = appendConstantCodes(e.data[:0], g.rows)
	} else {
		e.data = appendCodes(e.data[:0], codes, n)
	}
	m.encoding = encodingRLEDictionary
	e.pages(g, m, n)
	return nil
}

// ipVersions returns the IP version of every row, or nil when all are 0.
func (e *Encoder) ipVersions(rows int, src source) ([]uint8, error) {
	if len(e.versions) == rows {
		return e.versions, nil
	}
	v, err := src.numbers(e.nums[:0], netflow.IPVersion)
	if err != nil || len(v) == 0 {
		return nil, err
	}
	e.nums = v[:0]
	e.versions = room(e.versions, rows)
	for i, x := range v {
		e.versions[i] = uint8(x)
	}
	return e.versions, nil
}

// pages appends the dictionary page of n values, when the encoding has one, and the data page to g and finishes m.
func (e *Encoder) pages(g *RowGroup, m *chunk, n int) {
	begin := len(g.data)
	if m.encoding == encodingRLEDictionary {
		m.dictAt = int64(begin)
		e.page(g, m, pageHeader{kind: pageDictionary, values: int32(n), encoding: encodingPlain}, e.dict)
	}
	m.dataAt = int64(len(g.data))
	e.page(g, m, pageHeader{kind: pageData, values: int32(g.rows), encoding: m.encoding}, e.data)
	m.size = int64(len(g.data) - begin)
}

func (e *Encoder) page(g *RowGroup, m *chunk, h pageHeader, body []byte) {
	z, at, stored := e.z, len(g.data), 0
	if len(body) < 64 {
		z = nil
	}
	g.data, stored = appendPage(g.data, z, h, body, &e.packed)
	m.rawSize += int64(len(g.data) - at - stored + len(body))
}
