package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caprock-net/caprock/netflow"
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

	path  string
	data  *os.File
	index *os.File // nil: there is none
	size  int64    // of data, when it was opened
	read  int64
	keys  []Key
	body  []byte
	x     *indexer
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
	return nil
}

// Path is that of the capture when it was opened.
func (f *File) Path() string { return f.path }

// Size is that of the capture when it was opened, in bytes.
func (f *File) Size() int64 { return f.size }

// BytesRead counts the bytes of packets read from the capture so far.
func (f *File) BytesRead() int64 { return f.read }

// Close closes the files.
func (f *File) Close() error {
	err := f.data.Close()
	if f.index != nil {
		err = errors.Join(err, f.index.Close())
	}
	return err
}

// Blocks calls visit with the blocks that have packets in from <= time < to, in the order of the file; a zero bound is
// none. The block is valid until visit returns. What the index lacks, because it is damaged, missing or cut, is made up
// from the packets, which then have to be read.
func (f *File) Blocks(from, to netflow.Timestamp, visit func(*Block) error) error {
	within := func(b *Block) bool { return b.Last >= from && (to == 0 || b.First < to) }
	at := int64(pcapHeaderLen)
	if f.index != nil {
		for place := int64(indexHeaderLen); ; {
			h, next, err := f.entryAt(place, at)
			if err != nil {
				if errors.Is(err, ErrCorrupt) {
					break
				}
				return err
			}
			if within(&h.Block) {
				h.Keys, err = f.keysAt(&h, place+entryHeaderLen)
				if errors.Is(err, ErrCorrupt) {
					break
				}
				if err == nil {
					err = visit(&h.Block)
				}
				if err != nil {
					return err
				}
			}
			at += int64(h.Bytes)
			place = next
		}
	}
	_, err := f.scan(at, func(b *Block) error {
		if within(b) {
			return visit(b)
		}
		return nil
	})
	return err
}

// entryAt reads the header of the entry at a place in the index, which must be that of the block at an offset.
func (f *File) entryAt(place, offset int64) (h entryHeader, next int64, err error) {
	var b [entryHeaderLen]byte
	n, err := f.index.ReadAt(b[:], place)
	if err != nil && err != io.EOF {
		return h, 0, err
	}
	if h, err = readEntryHeader(b[:n]); err != nil {
		return h, 0, err
	}
	if h.Offset != offset || h.Offset+int64(h.Bytes) > f.size {
		return h, 0, fmt.Errorf("%w: an entry is not for this capture", ErrCorrupt)
	}
	return h, place + entryHeaderLen + int64(h.keysLen()), nil
}

func (f *File) keysAt(h *entryHeader, place int64) ([]Key, error) {
	f.body = resize(f.body, h.keysLen())
	n, err := f.index.ReadAt(f.body, place)
	if err != nil && err != io.EOF {
		return nil, err
	}
	f.keys, err = h.appendKeys(f.keys[:0], f.body[:n])
	return f.keys, err
}

func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// scan makes blocks of the packets from an offset on, and returns the end of the last whole packet.
func (f *File) scan(at int64, visit func(*Block) error) (int64, error) {
	if at >= f.size {
		return at, nil
	}
	if f.x == nil {
		f.x = newIndexer()
	}
	buf := make([]byte, BlockSize)
	for {
		n, err := f.data.ReadAt(buf[:min(BlockSize, max(0, f.size-at))], at)
		if err != nil && err != io.EOF {
			return at, err
		}
		f.read += int64(n)
		b := f.x.index(f.Link, buf[:n])
		if b.Packets == 0 {
			return at, nil
		}
		b.Offset = at
		if err := visit(&b); err != nil {
			return at, err
		}
		at += int64(b.Bytes)
	}
}

// AppendPackets reads a block of this file and appends its packets to dst, in the order of the file; their data lies in
// memory of its own.
func (f *File) AppendPackets(dst []Packet, b *Block) ([]Packet, error) {
	buf := make([]byte, b.Bytes)
	n, err := f.data.ReadAt(buf, b.Offset)
	f.read += int64(n)
	if err != nil {
		return dst, fmt.Errorf("%s: at byte %d: %w", f.path, b.Offset, err)
	}
	found := 0
	for _, p := range packetsOf(buf) {
		dst = append(dst, p)
		found++
	}
	if found != b.Packets {
		return dst, fmt.Errorf("%s: at byte %d: %w: %d packets instead of %d", f.path, b.Offset, ErrCorrupt, found, b.Packets)
	}
	return dst, nil
}
