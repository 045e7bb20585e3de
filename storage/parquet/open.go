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
	scanStep     = 1 << 20 // bytes read at once while a torn tail is passed
	scanMagics   = 4096    // places looked at
	scanFooters  = 64      // footers read and checked
	scanChecksum = 4096    // bytes at a footer's end in which its checksum stands
)

// Open reads the footer of a file of size bytes. When there is none at the end, as after a crash or during an append, it
// goes back to the last complete one, over any number of bytes but not over arbitrarily many places that look like one;
// Ignored says how many bytes lie behind it. A file of an older version of the program, with fewer columns, is read as well.
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
	scan := tailScanner{r: r}
	magics, footers, foreign := 0, 0, false
	for end := size; ; {
		at, err := scan.lastMagic(end)
		if err != nil {
			return nil, err
		}
		if at < 0 || magics == scanMagics || footers == scanFooters {
			if foreign {
				return nil, ErrForeign
			}
			return nil, ErrNoFooter
		}
		magics++
		f, err := openAt(r, at+int64(len(magic)), magics == 1 && at+int64(len(magic)) == size)
		switch {
		case err == nil:
			f.ignored = size - f.end
			return f, nil
		case errors.Is(err, ErrForeign):
			foreign = true
		case errors.Is(err, errNoCandidate):
		case errors.Is(err, ErrCorrupt):
			footers++
		default:
			return nil, err
		}
		end = at + int64(len(magic)) - 1
	}
}

var errNoCandidate = errors.New("no footer here")

// tailScanner goes backwards through a file and keeps what it has read.
type tailScanner struct {
	r    io.ReaderAt
	from int64
	buf  []byte // of the file, at from
}

// lastMagic returns the offset of the last magic that ends at or before end, not counting the one at the beginning of the
// file, or -1.
func (s *tailScanner) lastMagic(end int64) (int64, error) {
	for end > int64(len(magic)) {
		if end <= s.from+int64(len(magic)) || end > s.from+int64(len(s.buf)) {
			step := int64(scanStep)
			if s.buf == nil { // in the usual case nothing is torn
				step = 8
			}
			s.from = max(1, end-step)
			s.buf = room(s.buf, int(end-s.from))
			n, err := s.r.ReadAt(s.buf, s.from)
			if err != nil && !errors.Is(err, io.EOF) {
				return 0, fmt.Errorf("open: %w", err)
			}
			clear(s.buf[n:])
		}
		if i := bytes.LastIndex(s.buf[:end-s.from], []byte(magic)); i >= 0 {
			return s.from + int64(i), nil
		}
		if s.from == 1 {
			break
		}
		end = s.from + int64(len(magic)) - 1
	}
	return -1, nil
}

// openAt reads the footer that ends, with its length and magic, at end. Only when asked to does it tell footers of other
// programs from what is none.
func openAt(r io.ReaderAt, end int64, foreign bool) (*File, error) {
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
	// First its end: what has no checksum there is not worth reading.
	last := make([]byte, min(n, scanChecksum))
	if err := readFull(r, last, end-8-int64(len(last))); err != nil {
		return nil, err
	}
	if checksumIn(last) < 0 && !foreign {
		return nil, errNoCandidate
	}
	b := make([]byte, n)
	if err := readFull(r, b, at); err != nil {
		return nil, err
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

func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return errNoCandidate
	}
	return fmt.Errorf("open: %w", err)
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
	for id, typ := range r.fields() {
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
