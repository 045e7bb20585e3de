package parquet

import (
	"errors"
	"fmt"
	"maps"
)

// Appender writes one file. Between its calls the file is complete and valid Parquet.
type Appender struct {
	f      Target
	size   int64
	rows   int64
	n      int    // row groups
	groups []byte // their metadata, encoded, one after the other
	meta   map[string]string
	footer int   // bytes of the last footer with length and magic
	dead   int64 // bytes of footers before
	err    error // sticks
	buf    []byte
}

// Create empties f and writes a file without rows to it, so that it is valid from the beginning.
func Create(f Target) (*Appender, error) {
	a := &Appender{f: f, meta: map[string]string{}}
	if err := f.Truncate(0); err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	a.buf = append(a.buf, magic...)
	if err := a.commit(0, 0, nil); err != nil {
		return nil, err
	}
	return a, nil
}

// Recover takes up a file of size bytes that a crash may have left: it finds the last footer all of whose row group is
// whole, cuts off what lies behind it and returns the number of bytes cut. It refuses a file that has other columns than
// this program writes with ErrSchema, and one without any footer with ErrNoFooter; those it does not change.
func Recover(f Target, size int64) (a *Appender, cut int64, err error) {
	for end := size; ; {
		file, err := Open(f, end)
		if err != nil {
			return nil, 0, err
		}
		if !sameSchema(file.footer.columns) {
			return nil, 0, ErrSchema
		}
		// After a loss of power the footer may be on disk and the pages before it not. Older row groups were synced.
		if n := file.NumRowGroups(); n > 0 {
			if err := file.RowGroup(n - 1).Verify(); errors.Is(err, ErrCorrupt) {
				end = file.footerAt
				continue
			} else if err != nil {
				return nil, 0, err
			}
		}
		a := &Appender{f: f, size: file.end, rows: file.footer.rows, n: len(file.footer.groups), meta: maps.Clone(file.footer.meta)}
		a.groups = append(a.groups, file.footer.rawGroups...)
		a.footer = int(file.end - file.footerAt)
		a.dead = file.footerAt - int64(len(magic))
		for i := range file.footer.groups {
			from, to := file.footer.groups[i].extent()
			a.dead -= to - from
		}
		delete(a.meta, keyVersion)
		delete(a.meta, keyFooter)
		if cut := size - file.end; cut > 0 {
			if err := f.Truncate(file.end); err != nil {
				return nil, 0, fmt.Errorf("recover: %w", err)
			}
			if err := f.Sync(); err != nil {
				return nil, 0, fmt.Errorf("recover: %w", err)
			}
			return a, cut, nil
		}
		return a, 0, nil
	}
}

// Append writes rg, which may be nil, and a footer of all row groups so far in one write, and syncs. The pairs of meta
// are added to the footer's key-value metadata, in place of older ones with the same key. When it fails, the file is cut
// back to what it was, if that is possible, and every later call fails.
func (a *Appender) Append(rg *RowGroup, meta map[string]string) error {
	if a.err != nil {
		return a.err
	}
	a.buf = a.buf[:0]
	if rg != nil {
		a.add(rg, a.size)
	}
	if err := a.commit(a.size, rows(rg), meta); err != nil {
		return err
	}
	return nil
}

func rows(rg *RowGroup) int64 {
	if rg == nil {
		return 0
	}
	return int64(rg.rows)
}

// add puts a row group that will lie at offset at into the buffer and its metadata into the list.
func (a *Appender) add(rg *RowGroup, at int64) {
	a.buf = append(a.buf, rg.data...)
	w := thriftWriter{b: a.groups}
	appendGroup(&w, &rg.rowGroup, at, a.n)
	a.groups = w.b
	a.n++
}

// commit writes the buffer and a footer at offset at.
func (a *Appender) commit(at, rows int64, meta map[string]string) error {
	maps.Copy(a.meta, meta)
	a.rows += rows
	body := len(a.buf)
	a.buf = appendFooter(a.buf, a.rows, a.n, a.groups, a.meta)
	if len(a.buf)-body > maxFooter {
		a.err = fmt.Errorf("append: footer of %d bytes is larger than %d", len(a.buf)-body, maxFooter)
		return a.err
	}
	_, err := a.f.WriteAt(a.buf, at)
	if err == nil {
		err = a.f.Sync()
	}
	if err != nil {
		a.err = fmt.Errorf("append: %w", err)
		if terr := a.f.Truncate(a.size); terr != nil {
			a.err = errors.Join(a.err, fmt.Errorf("and cutting back: %w", terr))
		}
		return a.err
	}
	a.dead += int64(a.footer)
	a.footer = len(a.buf) - body
	a.size = at + int64(len(a.buf))
	return nil
}

// RowGroups returns the number of row groups.
func (a *Appender) RowGroups() int { return a.n }

// Rows returns the number of rows.
func (a *Appender) Rows() int64 { return a.rows }

// Size returns the number of bytes of the file.
func (a *Appender) Size() int64 { return a.size }

// DeadBytes returns how many bytes of the file are old footers.
func (a *Appender) DeadBytes() int64 { return a.dead }

// Meta returns a copy of the key-value metadata.
func (a *Appender) Meta() map[string]string { return maps.Clone(a.meta) }
