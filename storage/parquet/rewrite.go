package parquet

import (
	"fmt"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// RewriteRows is the number of rows that Rewrite gathers in a row group when it is not told: large enough for small
// dictionaries, small enough to read with little memory and on several cores.
const RewriteRows = 1 << 19

// Rewrite copies the rows and the metadata of src to dst, which is emptied: without old footers, and with neighbouring
// row groups merged as long as they have at most rows rows together (0: RewriteRows). A row group that stays alone is
// copied as it is. meta is added to the metadata. The order of rows stays. Memory is that of one row group's encoder and
// bytes, about 60 MiB.
//
// Only when Rewrite returns nil is dst complete and synced.
func Rewrite(dst Target, src *File, rows int, meta map[string]string) (*Appender, error) {
	if rows <= 0 {
		rows = RewriteRows
	}
	rows = min(rows, MaxRows)
	a, err := Create(dst)
	if err != nil {
		return nil, err
	}
	for k, v := range src.Meta() {
		if k != keyVersion {
			a.meta[k] = v
		}
	}
	// From here on dst is written without footers in between: the one of Create is overwritten.
	a.size, a.footer = int64(len(magic)), 0
	e := NewEncoder(Options{})
	same := sameSchema(src.footer.columns)
	for i := 0; i < src.NumRowGroups(); {
		n, sum := 0, 0
		for ; i+n < src.NumRowGroups(); n++ {
			more := src.footer.groups[i+n].rows
			if n > 0 && sum+more > rows {
				break
			}
			sum += more
		}
		var g *RowGroup
		if n == 1 && same {
			g, err = src.rawGroup(i)
		} else {
			g, err = e.encode(&mergeSource{file: src, from: i, to: i + n})
		}
		if err != nil {
			return nil, fmt.Errorf("rewrite: %w", err)
		}
		i += n
		a.buf = a.buf[:0]
		a.add(g, a.size)
		if _, err := dst.WriteAt(a.buf, a.size); err != nil {
			return nil, fmt.Errorf("rewrite: %w", err)
		}
		a.size += int64(len(a.buf))
		a.rows += int64(g.rows)
	}
	a.buf = a.buf[:0]
	if err := a.commit(a.size, 0, meta); err != nil {
		return nil, err
	}
	return a, dst.Truncate(a.size)
}

// rawGroup reads a row group as it lies in the file, its checksums compared.
func (f *File) rawGroup(i int) (*RowGroup, error) {
	if err := f.RowGroup(i).Verify(); err != nil {
		return nil, err
	}
	from, to := f.footer.groups[i].extent()
	g := &RowGroup{rowGroup: rowGroup{rows: f.footer.groups[i].rows}, data: make([]byte, to-from)}
	if err := f.RowGroup(i).readAt(g.data, from); err != nil {
		return nil, err
	}
	for _, c := range f.footer.groups[i].chunks {
		c.dataAt -= from
		if c.encoding == encodingRLEDictionary {
			c.dictAt -= from
		}
		if c.bloomAt > 0 {
			c.bloomAt -= from
		}
		g.chunks = append(g.chunks, c)
	}
	return g, nil
}

// mergeSource is the rows of several row groups of a file.
type mergeSource struct {
	file     *File
	from, to int
	v        column.Vector
}

func (s *mergeSource) rows() (n int) {
	for i := s.from; i < s.to; i++ {
		n += s.file.footer.groups[i].rows
	}
	return n
}

func (s *mergeSource) numbers(dst []uint64, c netflow.Column) ([]uint64, error) {
	dst = room(dst, s.rows())
	to := dst
	for i := s.from; i < s.to; i++ {
		if err := s.file.RowGroup(i).Read(c, &s.v); err != nil {
			return nil, err
		}
		to = to[scatter(to, &s.v, s.v.Num):]
	}
	return dst, nil
}

func (s *mergeSource) addrs(dst []netflow.Addr, c netflow.Column) ([]netflow.Addr, error) {
	dst = room(dst, s.rows())
	to := dst
	for i := s.from; i < s.to; i++ {
		if err := s.file.RowGroup(i).Read(c, &s.v); err != nil {
			return nil, err
		}
		to = to[scatter(to, &s.v, s.v.Addr):]
	}
	return dst, nil
}

// scatter writes a vector's values, one a row, and returns their number.
func scatter[T any](dst []T, v *column.Vector, values []T) int {
	if !v.Coded {
		return copy(dst, values)
	}
	for i, code := range v.Codes {
		dst[i] = values[code]
	}
	return len(v.Codes)
}
