package storage

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// memFolder is a folder in memory that knows what would be left after a crash at any moment, and can be made to fail.
type memFolder struct {
	mu      sync.Mutex
	entries map[string]*memFile // files
	dirs    map[string]bool
	durable map[string]*memFile   // entries as they were at the last SyncDir of their folder
	since   []map[string]*memFile // and after each change since; a journaling file system may have got as far as any
	ops     int

	// before is called, with the lock held, before each operation that changes something; an error makes it fail.
	before func(op, name string) error
	// slow is how long the sync of a Parquet file takes; the folder can be used meanwhile.
	slow time.Duration
}

type memFile struct {
	name    string
	data    []byte
	durable []byte
	dropped []bool // bytes that a failed sync gave up: the next one does not write them, and does not say so
}

func newMemFolder() *memFolder {
	return &memFolder{entries: map[string]*memFile{}, dirs: map[string]bool{".": true}, durable: map[string]*memFile{}}
}

func (m *memFolder) change(op, name string) error {
	m.ops++
	if m.before != nil {
		if err := m.before(op, name); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	return nil
}

func (m *memFolder) OpenFile(name string, flag int) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	f := m.entries[name]
	switch {
	case f != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case f == nil && flag&os.O_CREATE == 0, !m.dirs[path.Dir(name)]:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case f == nil:
		if err := m.change("create", name); err != nil {
			return nil, err
		}
		f = &memFile{name: name}
		m.entries[name] = f
		m.changed()
	case flag&os.O_TRUNC != 0:
		f.data, f.dropped = nil, nil
	}
	return &memHandle{folder: m, f: f}, nil
}

func (m *memFolder) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = path.Clean(from), path.Clean(to)
	f := m.entries[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if err := m.change("rename", from); err != nil {
		return err
	}
	delete(m.entries, from)
	m.entries[to] = f
	f.name = to
	m.changed()
	return nil
}

func (m *memFolder) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	if m.entries[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := m.change("remove", name); err != nil {
		return err
	}
	delete(m.entries, name)
	m.changed()
	return nil
}

func (m *memFolder) changed() { m.since = append(m.since, maps.Clone(m.entries)) }

func (m *memFolder) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("mkdir", name); err != nil {
		return err
	}
	for name = path.Clean(name); name != "."; name = path.Dir(name) {
		m.dirs[name] = true
	}
	return nil
}

func (m *memFolder) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name = path.Clean(name); !m.dirs[name] {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	var entries []fs.DirEntry
	for p := range m.entries {
		if path.Dir(p) == name {
			entries = append(entries, memEntry{path.Base(p), false})
		}
	}
	for p := range m.dirs {
		if p != "." && path.Dir(p) == name {
			entries = append(entries, memEntry{path.Base(p), true})
		}
	}
	return entries, nil
}

func (m *memFolder) Exists(name string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[path.Clean(name)] != nil, nil
}

func (m *memFolder) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	if err := m.change("syncdir", name); err != nil {
		return err
	}
	// All files of a test lie in one folder; those above it have no files.
	m.durable, m.since = maps.Clone(m.entries), nil
	return nil
}

func (m *memFolder) Close() error { return nil }

type memEntry struct {
	name string
	dir  bool
}

func (e memEntry) Name() string { return e.name }
func (e memEntry) IsDir() bool  { return e.dir }
func (e memEntry) Type() fs.FileMode {
	if e.dir {
		return fs.ModeDir
	}
	return 0
}
func (e memEntry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

type memHandle struct {
	folder *memFolder
	f      *memFile
	closed bool
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes half of p before it fails, as a full disk does.
func (h *memHandle) WriteAt(p []byte, off int64) (int, error) {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	half := len(p) / 2
	h.put(p[:half], off)
	if err := h.folder.change("write", h.f.name); err != nil {
		return half, err
	}
	h.put(p[half:], off+int64(half))
	return len(p), nil
}

func (h *memHandle) put(p []byte, off int64) {
	if end := int(off) + len(p); end > len(h.f.data) {
		grown := make([]byte, end, end+end/2)
		copy(grown, h.f.data)
		h.f.data = grown
	}
	copy(h.f.data[off:], p)
	if int(off) < len(h.f.dropped) {
		clear(h.f.dropped[off:min(len(h.f.dropped), int(off)+len(p))])
	}
}

func (h *memHandle) Truncate(size int64) error {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	if err := h.folder.change("truncate", h.f.name); err != nil {
		return err
	}
	if size <= int64(len(h.f.data)) {
		h.f.data = h.f.data[:size:size]
		h.f.dropped = h.f.dropped[:min(len(h.f.dropped), int(size))]
	} else {
		h.put(nil, size)
	}
	return nil
}

func (h *memHandle) Sync() error {
	if !isJournal(h.f.name) {
		time.Sleep(h.folder.slow)
	}
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	if err := h.folder.change("sync", h.f.name); err != nil {
		dropped := make([]bool, len(h.f.data))
		copy(dropped, h.f.dropped)
		for i := range dropped {
			dropped[i] = dropped[i] || i >= len(h.f.durable) || h.f.durable[i] != h.f.data[i]
		}
		h.f.dropped = dropped
		return err
	}
	h.f.durable = append([]byte(nil), h.f.data...)
	for i, gone := range h.f.dropped {
		if gone {
			h.f.durable[i] = 0
		}
	}
	return nil
}

func (h *memHandle) Size() (int64, error) {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h *memHandle) Close() error {
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	h.closed = true
	return nil
}

// image is what is left when the process dies. The lock is held.
func (m *memFolder) image() map[string][]byte {
	files := map[string][]byte{}
	for p, f := range m.entries {
		files[p] = append([]byte(nil), f.data...)
	}
	return files
}

// powerLoss is what is left when the machine dies: what was synced. With chance, some of the rest was written too: names
// as they were at some moment since, most likely the last, and files as far as to some byte.
func (m *memFolder) powerLoss(chance *rand.Rand) map[string][]byte {
	names := m.durable
	if chance != nil && len(m.since) > 0 {
		names = m.since[len(m.since)-1]
		if i := chance.IntN(2 * len(m.since)); i < len(m.since) {
			names = m.since[i]
		}
	}
	files := map[string][]byte{}
	for p, f := range names {
		data := append([]byte(nil), f.durable...)
		if n := len(f.data) - len(data); chance != nil && n > 0 && f.dropped == nil {
			data = append(data, f.data[len(data):len(data)+chance.IntN(n+1)]...)
		}
		files[p] = data
	}
	return files
}

// lay puts an image into a real folder.
func lay(t testing.TB, image map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for p, data := range image {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func isJournal(name string) bool { return strings.Contains(name, journalSuffix) }

var (
	_ folder = (*memFolder)(nil)
	_ folder = osFolder{}

	errNoSpace error = syscall.ENOSPC
	errIO      error = syscall.EIO
	testSlot         = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
)
