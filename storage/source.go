package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/storage/stream"
)

func byteReader(b []byte) io.Reader { return bytes.NewReader(b) }

// sharedFile is an open file that is closed by the last of those who use it.
type sharedFile struct {
	*os.File
	users atomic.Int32
}

func (f *sharedFile) release() error {
	if f.users.Add(-1) == 0 {
		return f.File.Close()
	}
	return nil
}

// fileSource is a Parquet file: one of an open slot, opened at once, or a finished one, opened when it is read.
type fileSource struct {
	of  File
	f   *sharedFile // nil: not opened yet
	p   *parquet.File
	err error // of the opening
}

func (s *fileSource) file() File { return s.of }

// errUnborn is the error of open for a file that is being made: before the first flows it gets a footer without any.
var errUnborn = errors.New("no footer yet")

// unbornSize is more than what a file without flows takes.
const unbornSize = 64 << 10

// open opens the file under either of its names. The error stays and is given again by chunks.
func (s *fileSource) open() error {
	s.err = s.tryOpen()
	if s.err != nil {
		s.err = fmt.Errorf("%s: %w", s.of.Path, unwrapPath(s.err))
	}
	return s.err
}

// unwrapPath takes the path off an error that names it, for the sake of one format.
func unwrapPath(err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}

func (s *fileSource) tryOpen() error {
	f, err := os.Open(s.of.Path)
	if s.of.State == Open && errors.Is(err, fs.ErrNotExist) {
		finished := filepath.Join(filepath.Dir(s.of.Path), strings.TrimPrefix(filepath.Base(s.of.Path), openPrefix))
		f, err = os.Open(finished)
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		s.p, err = parquet.Open(f, info.Size())
	}
	if s.of.State == Open && (errors.Is(err, parquet.ErrNotParquet) || errors.Is(err, parquet.ErrNoFooter)) && info.Size() < unbornSize {
		err = errUnborn
	}
	if err == nil && s.of.State == Finished && s.p.Ignored() > 0 {
		err = fmt.Errorf("%w: the last %d bytes are not a footer", parquet.ErrCorrupt, s.p.Ignored())
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.f = &sharedFile{File: f}
	s.f.users.Store(1)
	return nil
}

func (s *fileSource) chunks(within Range, yield func(column.Chunk, error) bool) bool {
	if s.err != nil {
		return yield(nil, s.err)
	}
	if s.f == nil {
		if err := s.open(); err != nil {
			s.err = nil // another attempt may find it well
			return yield(nil, err)
		}
		defer func() {
			_ = s.f.release() // it was only read
			s.f, s.p = nil, nil
		}()
	}
	for i := range s.p.NumRowGroups() {
		group := s.p.RowGroup(i)
		if lo, hi, ok := group.Bounds(netflow.Received); ok && !within.overlaps(netflow.Timestamp(lo), netflow.Timestamp(hi)) {
			continue
		}
		s.f.users.Add(1)
		if !yield(&fileChunk{RowGroupReader: group, f: s.f, name: s.of.Path}, nil) {
			return false
		}
	}
	return true
}

func (s *fileSource) close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.release()
}

// fileChunk is a row group that holds its file.
type fileChunk struct {
	*parquet.RowGroupReader
	f    *sharedFile
	name string
}

// Read adds the file's name to the error.
func (c *fileChunk) Read(col netflow.Column, v *column.Vector) error {
	if err := c.RowGroupReader.Read(col, v); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// Close gives the file back.
func (c *fileChunk) Close() error {
	if c.f == nil {
		return nil
	}
	f := c.f
	c.f = nil
	return f.release()
}

// journalSource is the journal of an open slot as it was: its first size bytes, without what is in Parquet.
type journalSource struct {
	of     File
	f      *os.File
	size   int64
	stored uint64
}

func (s *journalSource) file() File { return s.of }

func (s *journalSource) chunks(within Range, yield func(column.Chunk, error) bool) bool {
	more, err := streamChunks(io.NewSectionReader(s.f, 0, s.size), s.stored, within, yield)
	if err != nil && err != io.EOF && !isTorn(err) { // torn: a frame that is being written is not there yet
		return yield(nil, fmt.Errorf("%s: %w", s.of.Path, err))
	}
	return more
}

func (s *journalSource) close() error { return s.f.Close() }

// streamSource is a flow stream: a file, opened when it is read, or a pipe, open from the beginning and read once.
type streamSource struct {
	name   string
	r      io.Reader // nil: the file of that name
	closer io.Closer // of r, or nil
}

func (s *streamSource) chunks(within Range, yield func(column.Chunk, error) bool) bool {
	r := s.r
	if r == nil {
		f, err := os.Open(s.name)
		if err != nil {
			return yield(nil, err)
		}
		defer f.Close()
		if _, err := f.Seek(0, io.SeekStart); err != nil { // BSD: /dev/stdin goes on where it was
			return yield(nil, err)
		}
		r = f
	}
	more, err := streamChunks(r, 0, within, yield)
	if err == io.EOF {
		err = errEmpty
	}
	if err != nil {
		return yield(nil, fmt.Errorf("%s: %w", s.name, err))
	}
	return more
}

// errEmpty tells a pipe whose writer failed from a stream without flows.
var errEmpty = errors.New("empty: a flow stream has at least a header; did what writes it fail?")

func (s *streamSource) close() error {
	if s.closer == nil {
		return nil
	}
	return s.closer.Close()
}

func isTorn(err error) bool { return errors.Is(err, stream.ErrTorn) }

// batchPool holds batches of the size of the largest frame.
var batchPool = sync.Pool{New: func() any { return netflow.NewBatch(stream.MaxRows) }}

func putBatch(b *netflow.Batch) {
	b.Reset()
	batchPool.Put(b)
}

// streamChunks gives the flows of a stream's frames beyond number stored, small frames put together. An empty input gives
// io.EOF.
func streamChunks(r io.Reader, stored uint64, within Range, yield func(column.Chunk, error) bool) (more bool, err error) {
	frames, err := stream.NewReader(r)
	if err != nil {
		return true, err
	}
	frame, gathered := batchPool.Get().(*netflow.Batch), batchPool.Get().(*netflow.Batch)
	defer func() { putBatch(frame); putBatch(gathered) }()
	give := func(b **netflow.Batch) bool {
		if (*b).Len() == 0 {
			return true
		}
		c := newBatchChunk(*b)
		if !within.overlaps(c.lo, c.hi) {
			(*b).Reset()
			return true
		}
		*b = batchPool.Get().(*netflow.Batch)
		return yield(c, nil)
	}
	for {
		seq, err := frames.Next(frame)
		if err != nil {
			if !give(&gathered) {
				return false, nil
			}
			if err == io.EOF {
				err = nil
			}
			return true, err
		}
		if seq <= stored {
			continue
		}
		if gathered.Room() < frame.Len() && !give(&gathered) {
			return false, nil
		}
		if frame.Len() >= stream.MaxRows/4 {
			if !give(&gathered) || !give(&frame) {
				return false, nil
			}
			continue
		}
		gathered.AppendRows(frame, 0, frame.Len())
	}
}

// batchChunk is a batch as a chunk that knows its times.
type batchChunk struct {
	column.Chunk
	b      *netflow.Batch
	lo, hi netflow.Timestamp
}

func newBatchChunk(b *netflow.Batch) *batchChunk {
	received := b.Times(netflow.Received)
	c := &batchChunk{Chunk: column.FromBatch(b), b: b, lo: received[0], hi: received[0]}
	for _, t := range received[1:] {
		c.lo, c.hi = min(c.lo, t), max(c.hi, t)
	}
	return c
}

// Bounds knows the times of arrival, for which the rows were looked at.
func (c *batchChunk) Bounds(col netflow.Column) (lo, hi uint64, ok bool) {
	if col == netflow.Received {
		return uint64(c.lo), uint64(c.hi), true
	}
	return c.Chunk.Bounds(col)
}

// Close gives the batch back.
func (c *batchChunk) Close() error {
	if c.b != nil {
		putBatch(c.b)
		c.b, c.Chunk = nil, nil
	}
	return nil
}
