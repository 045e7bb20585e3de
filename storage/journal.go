package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/stream"
)

// span is a run of consecutive frames of a journal whose flows are not yet in a Parquet file.
type span struct {
	first, last uint64 // sequence numbers
	off, end    int64  // where the frames lie in the journal
	rows        int
	batch       *netflow.Batch // the flows, or nil: they are read again from the journal
	born        time.Time      // when the first frame was written
}

// journal is the journal of one slot: every frame goes to the kernel as soon as it is made.
type journal struct {
	folder folder
	name   string
	f      file
	size   int64  // up to here the file is good
	next   uint64 // number of the next frame
	torn   bool   // behind size lies the beginning of a frame that could not be written
	buf    []byte

	dirty   bool // written to since the last sync began
	unsynct time.Time
	moved   bool // the folder needs a sync too: the file is new under its name
	damaged bool // a sync failed: the frames must be written again, to another file
}

// createJournal makes the journal of a slot that has none. next is the number of its first frame.
func createJournal(dir folder, name string, next uint64) (*journal, error) {
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	j := &journal{folder: dir, name: name, f: f, next: next, moved: true}
	if err := j.write(stream.AppendHeader(nil)); err != nil {
		return nil, errors.Join(err, f.Close(), dir.Remove(name))
	}
	return j, nil
}

// write puts b behind the good part, wholly or not at all.
func (j *journal) write(b []byte) error {
	if j.torn {
		if err := j.f.Truncate(j.size); err != nil {
			return err
		}
		j.torn = false
	}
	if _, err := j.f.WriteAt(b, j.size); err != nil {
		j.torn = j.f.Truncate(j.size) != nil
		return err
	}
	j.size += int64(len(b))
	if !j.dirty {
		j.dirty, j.unsynct = true, time.Now()
	}
	return nil
}

// append writes rows from <= i < to of b as a frame.
func (j *journal) append(b *netflow.Batch, from, to int) (span, error) {
	j.buf = stream.AppendRows(j.buf[:0], j.next, b, from, to)
	at := j.size
	if err := j.write(j.buf); err != nil {
		return span{}, err
	}
	j.next++
	return span{first: j.next - 1, last: j.next - 1, off: at, end: j.size, rows: to - from, born: time.Now()}, nil
}

// cut replaces the file by one that holds only what lies at and beyond from, and returns by how much offsets shrink. A
// reader or a crash finds the old file or the new one. What was durable stays so: the new file is synced before it takes
// the name, unless there is nothing in it that could be lost.
func (j *journal) cut(from int64) (shift int64, err error) {
	name := j.name + newSuffix
	f, err := j.folder.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return 0, err
	}
	header := stream.AppendHeader(nil)
	live := io.NewSectionReader(j.f, from, j.size-from)
	_, err = f.WriteAt(header, 0)
	if err == nil && live.Size() > 0 {
		_, err = io.CopyBuffer(struct{ io.Writer }{io.NewOffsetWriter(f, int64(len(header)))}, struct{ io.Reader }{live}, make([]byte, 1<<20))
		if err == nil {
			err = f.Sync()
		}
	}
	if err == nil {
		err = j.folder.Rename(name, j.name)
	}
	if err != nil {
		return 0, errors.Join(err, f.Close(), j.folder.Remove(name))
	}
	_ = j.f.Close() // nothing of it is needed any more
	shift = from - int64(len(header))
	j.f, j.size, j.torn, j.damaged, j.moved = f, j.size-shift, false, false, true
	if !j.dirty {
		j.dirty, j.unsynct = true, time.Now()
	}
	return shift, nil
}

// remove closes and removes the file.
func (j *journal) remove() error {
	return errors.Join(j.f.Close(), j.folder.Remove(j.name))
}

// read returns the flows of spans, which are consecutive and not in memory, in batches of at least BatchRows.
func (j *journal) read(spans []span) ([]*netflow.Batch, error) {
	return readFrames(j.f, spans)
}

func readFrames(f io.ReaderAt, spans []span) ([]*netflow.Batch, error) {
	off, end := spans[0].off, spans[len(spans)-1].end
	want := 0
	for i := range spans {
		want += spans[i].rows
	}
	r, err := stream.NewReader(io.MultiReader(bytes.NewReader(stream.AppendHeader(nil)), io.NewSectionReader(f, off, end-off)))
	if err != nil {
		return nil, err
	}
	var batches []*netflow.Batch
	frame := batchPool.Get().(*netflow.Batch)
	defer putBatch(frame)
	next, got := spans[0].first, 0
	for {
		seq, err := r.Next(frame)
		if err == io.EOF {
			break
		}
		if err == nil && seq != next {
			err = fmt.Errorf("frame %d where %d was written", seq, next)
		}
		if err != nil {
			return nil, err
		}
		next++
		got += frame.Len()
		batches = appendRows(batches, frame)
	}
	if got != want {
		return nil, fmt.Errorf("%d flows where %d were written", got, want)
	}
	return batches, nil
}

// appendRows copies the rows of b behind those of the last batch, and into further ones of the size of a frame.
func appendRows(batches []*netflow.Batch, b *netflow.Batch) []*netflow.Batch {
	for from := 0; from < b.Len(); {
		if len(batches) == 0 || batches[len(batches)-1].Room() == 0 {
			batches = append(batches, netflow.NewBatch(stream.MaxRows))
		}
		from += batches[len(batches)-1].AppendRows(b, from, b.Len())
	}
	return batches
}

// journalScan is what openJournal found.
type journalScan struct {
	spans   []span // frames beyond the number asked for
	frames  int
	flows   int   // of them
	tornOff int64 // bytes cut off the end: a frame that was being written
	damage  error // what was wrong with them, when it was not only that they end early
}

// openJournal opens a journal that a crash left, reads it through, and cuts off what is not a whole frame. Frames up to
// number stored are in Parquet files already. Damage in the middle costs what follows it; the whole file is then kept
// under another name.
func openJournal(dir folder, name string, stored uint64) (*journal, journalScan, error) {
	var scan journalScan
	f, err := dir.OpenFile(name, os.O_RDWR)
	if err != nil {
		return nil, scan, err
	}
	j := &journal{folder: dir, name: name, f: f, next: stored + 1, moved: true, dirty: true, unsynct: time.Now()}
	if err := j.scan(&scan, stored); err != nil {
		return nil, scan, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return j, scan, nil
}

func (j *journal) scan(scan *journalScan, stored uint64) error {
	whole, err := j.f.Size()
	if err != nil {
		return err
	}
	good, err := scanFrames(io.NewSectionReader(j.f, 0, whole), func(seq uint64, rows int, off, end int64) error {
		if len(scan.spans) > 0 && seq != j.next {
			return fmt.Errorf("%w: frame %d follows frame %d", stream.ErrCorrupt, seq, j.next-1)
		}
		j.next = max(j.next, seq+1)
		if seq <= stored {
			return nil
		}
		scan.frames++
		scan.flows += rows
		scan.spans = appendSpan(scan.spans, span{first: seq, last: seq, off: off, end: end, rows: rows, born: time.Now()})
		return nil
	})
	switch {
	case err == nil:
	case errors.Is(err, stream.ErrTorn) || errors.Is(err, stream.ErrCorrupt) || errors.Is(err, stream.ErrNotStream):
		if !errors.Is(err, stream.ErrTorn) {
			scan.damage = err
		}
	default:
		return err // the disk's, or a newer version's: nothing may be cut
	}
	scan.tornOff = whole - good
	if scan.damage != nil && good > 0 {
		if err := j.keepCopy(good, whole); err != nil {
			return err
		}
	}
	if good < whole {
		if err := j.f.Truncate(good); err != nil {
			return err
		}
	}
	if j.size = good; good == 0 {
		return j.write(stream.AppendHeader(nil))
	}
	return nil
}

// scanFrames calls f for each whole frame and returns where they end. The error is nil at the end of a whole stream.
func scanFrames(r io.Reader, f func(seq uint64, rows int, off, end int64) error) (good int64, err error) {
	s, err := stream.NewReader(r)
	if err != nil {
		if err == io.EOF {
			err = nil
		}
		return 0, err
	}
	b := batchPool.Get().(*netflow.Batch)
	defer putBatch(b)
	for {
		off := s.Offset()
		seq, err := s.Next(b)
		if err == io.EOF {
			return s.Offset(), nil
		}
		if err != nil {
			return s.Offset(), err
		}
		if err := f(seq, b.Len(), off, s.Offset()); err != nil {
			return off, err
		}
	}
}

// keepCopy puts the bytes from..to, which make no sense, into a file beside the journal, for somebody to look at.
func (j *journal) keepCopy(from, to int64) error {
	dir, base := path.Split(j.name)
	f, err := j.folder.OpenFile(dir+"damaged-"+base, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, 0), io.NewSectionReader(j.f, from, to-from))
	return errors.Join(err, f.Close())
}

// appendSpan adds s, merged into the last span when both are small and not in memory.
func appendSpan(spans []span, s span) []span {
	if n := len(spans); n > 0 {
		if last := &spans[n-1]; last.batch == nil && s.batch == nil && last.rows+s.rows <= BatchRows && last.end == s.off {
			last.last, last.end, last.rows = s.last, s.end, last.rows+s.rows
			return spans
		}
	}
	return append(slices.Grow(spans, 1), s)
}
