package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
)

// File is an open file. It may be used by several goroutines at once.
type File struct {
	r        io.ReaderAt
	footer   *footer
	footerAt int64
	end      int64 // of the footer
	ignored  int64
}

const (
	scanStep       = 1 << 20 // bytes read at once while a torn tail is passed
	scanCandidates = 64      // footers tried at most
)

// Open reads the footer of a file of size bytes. When there is none at the end, as after a crash or during an append, it
// goes back to the last complete one, over any number of bytes but at most 64 places that look like one; Ignored says how
// many bytes lie behind it. A file of an older version of the program, with fewer columns, is read as well.
func Open(r io.ReaderAt, size int64) (*File, error) {
	head := make([]byte, len(magic))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("open: %w", err)
		}
		return nil, ErrNotParquet
	}
	if string(head) != magic {
		return nil, ErrNotParquet
	}
	foreign := false
	tries := 0
	for end, first := size, true; ; first = false {
		at, err := lastMagic(r, end)
		if err != nil {
			return nil, err
		}
		if at < 0 || tries == scanCandidates {
			if foreign {
				return nil, ErrForeign
			}
			return nil, ErrNoFooter
		}
		f, err := openAt(r, at+int64(len(magic)))
		switch {
		case err == nil:
			f.ignored = size - f.end
			return f, nil
		case errors.Is(err, ErrForeign):
			foreign = foreign || first && at+int64(len(magic)) == size
			tries++
		case errors.Is(err, errNoCandidate):
		case errors.Is(err, ErrCorrupt):
			tries++
		default:
			return nil, err
		}
		end = at + int64(len(magic)) - 1
	}
}

var errNoCandidate = errors.New("no footer here")

// lastMagic returns the offset of the last magic that ends at or before end, not counting the one at the beginning of the
// file, or -1.
func lastMagic(r io.ReaderAt, end int64) (int64, error) {
	var tail [len(magic)]byte
	if at := end - int64(len(magic)); at > 0 { // the usual case
		if _, err := r.ReadAt(tail[:], at); err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("open: %w", err)
		}
		if string(tail[:]) == magic {
			return at, nil
		}
	}
	buf := make([]byte, min(scanStep, max(0, end)))
	for end > int64(len(magic)) {
		from := max(1, end-int64(len(buf)))
		n, err := r.ReadAt(buf[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("open: %w", err)
		}
		if i := bytes.LastIndex(buf[:n], []byte(magic)); i >= 0 {
			return from + int64(i), nil
		}
		if from == 1 {
			break
		}
		end = from + int64(len(magic)) - 1
	}
	return -1, nil
}

// openAt reads the footer that ends, with its length and magic, at end.
func openAt(r io.ReaderAt, end int64) (*File, error) {
	var tail [8]byte
	if end < int64(len(magic)+len(tail)) {
		return nil, errNoCandidate
	}
	if _, err := r.ReadAt(tail[:], end-8); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("open: %w", err)
	}
	n := int64(le.Uint32(tail[:]))
	at := end - 8 - n
	if n < 16 || n > maxFooter || at < int64(len(magic)) {
		return nil, errNoCandidate
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, at); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errNoCandidate
		}
		return nil, fmt.Errorf("open: %w", err)
	}
	has, right := checkFooter(b)
	if !has {
		if looksLikeFooter(b) {
			return nil, ErrForeign
		}
		return nil, errNoCandidate
	}
	if !right {
		return nil, corrupt("checksum of the footer")
	}
	if err := checkVersion(b); err != nil {
		return nil, err
	}
	foot, err := readFooter(b, at)
	if err != nil {
		return nil, err
	}
	return &File{r: r, footer: foot, footerAt: at, end: end}, nil
}

// looksLikeFooter reports whether all of b is a Thrift struct.
func looksLikeFooter(b []byte) bool {
	r := thriftReader{b: b}
	r.skip(thriftStruct)
	return !r.bad && len(r.b) == 0
}

// checkVersion looks only at the metadata of a footer, so that it works whatever a newer version has changed elsewhere.
func checkVersion(b []byte) error {
	f := footer{meta: map[string]string{}}
	r := thriftReader{b: b}
	for last := int16(0); ; {
		id, typ := r.field(&last)
		if typ == thriftStop {
			break
		}
		if id == 5 && typ == thriftList {
			f.readMeta(&r)
		} else {
			r.skip(typ)
		}
	}
	v, err := strconv.Atoi(f.meta[keyVersion])
	switch {
	case r.bad || err != nil || v < 1:
		return corrupt("version %q", f.meta[keyVersion])
	case v > Version:
		return fmt.Errorf("%w: %d, this program reads up to %d", ErrVersion, v, Version)
	}
	return nil
}

// Meta returns a copy of the key-value metadata.
func (f *File) Meta() map[string]string {
	m := maps.Clone(f.footer.meta)
	delete(m, keyFooter)
	return m
}

// Rows returns the number of rows of all row groups.
func (f *File) Rows() int64 { return f.footer.rows }

// Ignored returns how many bytes lie behind the last complete footer: the torn tail of a crashed or running append.
func (f *File) Ignored() int64 { return f.ignored }

// NumRowGroups returns the number of row groups.
func (f *File) NumRowGroups() int { return len(f.footer.groups) }

// RowGroup returns row group i, which is below NumRowGroups.
func (f *File) RowGroup(i int) *RowGroupReader {
	return &RowGroupReader{r: f.r, g: &f.footer.groups[i], index: i}
}
