package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caprock-net/caprock/probe/dissect"
)

// List returns the base names of the captures of a folder, the open ones included, oldest first, for OpenFile.
func List(dir string) ([]string, error) {
	found, err := captures(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range found {
		if base := e.base(); len(names) == 0 || names[len(names)-1] != base {
			names = append(names, base)
		}
	}
	return names, nil
}

// File is a capture of an archive and its index, open for reading. It belongs to one goroutine.
type File struct {
	Link dissect.LinkType

	path      string
	data      *os.File
	index     *os.File // nil: there is none
	size      int64    // of data, when it was opened
	indexSize int64
	summary   *summary // of the index; nil: there is none

	window      []byte // of the index, what was read last
	windowAt    int64
	keys        []Key
	x           *indexer
	read, asked int64 // bytes of data and of index
}

// OpenFile opens a capture of a folder by its base name, whether it is finished or not. The error is os.ErrNotExist when
// the ring has deleted it, or when nothing has been written to it yet.
func OpenFile(dir, base string) (*File, error) {
	f := &File{}
	var err error
	for range 2 { // it may be renamed meanwhile
		for _, prefix := range []string{tmpPrefix, ""} {
			f.path = filepath.Join(dir, prefix+base+captureTail)
			if f.data, err = os.Open(f.path); !errors.Is(err, os.ErrNotExist) {
				break
			}
		}
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	for _, prefix := range []string{tmpPrefix, "", tmpPrefix} {
		index, err := os.Open(filepath.Join(dir, prefix+base+indexTail))
		if err == nil {
			f.index = index
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err := f.readHeaders(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, err), f.Close())
	}
	return f, nil
}

// readHeaders compares the headers. An index that does not fit is as good as none.
func (f *File) readHeaders() error {
	info, err := f.data.Stat()
	if err != nil {
		return err
	}
	f.size = info.Size()
	var b [pcapHeaderLen]byte
	n, err := f.data.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if f.Link, err = readPcapHeader(b[:n]); err != nil {
		if n < pcapHeaderLen && strings.HasPrefix(filepath.Base(f.path), tmpPrefix) {
			return fmt.Errorf("just begun: %w", os.ErrNotExist)
		}
		return err
	}
	if f.index == nil {
		return nil
	}
	n, err = f.index.ReadAt(b[:indexHeaderLen], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if link, err := readIndexHeader(b[:n]); err != nil || link != f.Link {
		err = f.index.Close()
		f.index = nil
		return err
	}
	return f.readSummary()
}

// Path is that of the capture when it was opened.
func (f *File) Path() string { return f.path }

// Size is that of the capture when it was opened, in bytes.
func (f *File) Size() int64 { return f.size }

// BytesRead counts the bytes of packets read from the capture so far.
func (f *File) BytesRead() int64 { return f.read }

// IndexSize is that of the index, in bytes, 0 if there is none.
func (f *File) IndexSize() int64 { return f.indexSize }

// IndexRead counts the bytes read from the index so far.
func (f *File) IndexRead() int64 { return f.asked }

// Close closes the files.
func (f *File) Close() error {
	err := f.data.Close()
	if f.index != nil {
		err = errors.Join(err, f.index.Close())
	}
	return err
}

// Blocks calls visit with the blocks that a selection may have packets in, in the order of the file; their keys are those
// that meet its conditions. The block is valid until visit returns. What the index lacks, because it is damaged, missing or
// cut, is made up from the packets, which then have to be read.
func (f *File) Blocks(s *Selection, visit func(*Block) error) error {
	at := int64(pcapHeaderLen)
	if f.index != nil {
		if may, err := f.mayHave(s); err != nil || !may {
			return err
		}
		groups, err := f.groups()
		if err != nil {
			return err
		}
		for i, g := range groups[:len(groups)-1] {
			next := groups[i+1]
			if !s.Within(g.first, g.last) {
				at = next.offset
				continue
			}
			at, err = f.entries(g.place, next.place, at, s, visit)
			if err != nil {
				return err
			}
			if at == next.offset {
				continue
			}
			if at, err = f.made(at, next.offset, s, visit); err != nil || at != next.offset {
				return err
			}
		}
	}
	_, err := f.made(at, f.size, s, visit)
	return err
}

// entries calls visit with the blocks of the entries from place on, up to end or to the first that is none, the first being
// that of the block at an offset. It returns where the last block ends.
func (f *File) entries(place, end, at int64, s *Selection, visit func(*Block) error) (int64, error) {
	for place < end {
		h, err := f.entryAt(place, at)
		if err == nil && s.Within(h.First, h.Last) {
			var keys []byte
			if keys, err = f.keysAt(&h, place); err == nil {
				f.keys = h.appendKeys(f.keys[:0], keys, s)
				h.Keys = f.keys
				if s.wants(&h.Block) {
					if err := visit(&h.Block); err != nil {
						return at, err
					}
				}
			}
		}
		if errors.Is(err, ErrCorrupt) {
			return at, nil
		}
		if err != nil {
			return at, err
		}
		at += int64(h.Bytes)
		place += int64(entryHeaderLen + h.keysLen())
	}
	return at, nil
}

// made is entries for the packets from one offset to another, which no entry is for.
func (f *File) made(at, end int64, s *Selection, visit func(*Block) error) (int64, error) {
	return f.scan(at, end, func(b *Block) error {
		if b.Keys = s.keep(b.Keys); !s.Within(b.First, b.Last) || !s.wants(b) {
			return nil
		}
		return visit(b)
	})
}

func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// scan makes blocks of the packets from an offset on and up to another, and returns the end of the last whole packet.
func (f *File) scan(at, end int64, visit func(*Block) error) (int64, error) {
	if at >= end {
		return at, nil
	}
	if f.x == nil {
		f.x = newIndexer()
	}
	buf := make([]byte, min(BlockSize, end-at))
	for {
		n, err := f.data.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
		if err != nil && err != io.EOF {
			return at, err
		}
		f.read += int64(n)
		before := at
		for rest := buf[:n]; ; {
			b := f.x.index(f.Link, rest)
			if b.Packets == 0 {
				break
			}
			b.Offset = at
			if err := visit(&b); err != nil {
				return at, err
			}
			at += int64(b.Bytes)
			rest = rest[b.Bytes:]
		}
		if at == before || at == end {
			return at, nil
		}
	}
}

// AppendPackets reads a block of this file and appends its packets to dst, in the order of the file. Their data lies in
// *buf, which is made larger if need be and may be used again when the packets are not needed any more.
func (f *File) AppendPackets(dst []Packet, b *Block, buf *[]byte) ([]Packet, error) {
	*buf = resize(*buf, b.Bytes)
	n, err := f.data.ReadAt(*buf, b.Offset)
	f.read += int64(n)
	if err != nil {
		return dst, fmt.Errorf("%s: at byte %d: %w", f.path, b.Offset, err)
	}
	found, end := 0, 0
	for at, p := range packetsOf(*buf) {
		dst = append(dst, p)
		found, end = found+1, at+packetHeaderLen+len(p.Data)
	}
	if found != b.Packets || end != b.Bytes {
		return dst, fmt.Errorf("%s: at byte %d: %w: %d packets in %d bytes instead of %d in %d", f.path, b.Offset, ErrCorrupt, found, end, b.Packets, b.Bytes)
	}
	return dst, nil
}
