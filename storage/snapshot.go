package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// Range is a span of time by the column received: From <= received < To. A zero time bounds nothing.
type Range struct {
	From, To time.Time
}

// lateness is by how much a flow may be received before the slot it lies in begins, for a bounded Range to find it. It is
// more than a writer's reordering; only a clock that was set back does worse.
const lateness = time.Hour

// mayBeIn reports whether a file of a slot may hold flows of the range.
func (r Range) mayBeIn(slot time.Time) bool {
	return (r.To.IsZero() || slot.Before(r.To.Add(lateness))) && (r.From.IsZero() || slot.Add(day).After(r.From))
}

// overlaps reports whether the range has times from lo to hi.
func (r Range) overlaps(lo, hi netflow.Timestamp) bool {
	return (r.To.IsZero() || lo < netflow.TimestampOf(r.To)) && (r.From.IsZero() || hi >= netflow.TimestampOf(r.From))
}

// Snapshot is what folders, files and streams held at one moment: every flow that had reached the journal, exactly once,
// whatever a Writer does meanwhile.
type Snapshot struct {
	within  Range
	sources []source
}

// source gives chunks in order. Those of open slots, and pipes, are open between their making and close; finished files
// and streams only while they are read, for there may be more of them than a process may have open.
type source interface {
	// chunks calls yield until that returns false, which it then returns too.
	chunks(within Range, yield func(column.Chunk, error) bool) bool
	close() error
}

// OpenSnapshot opens folders, with those below them, and files: Parquet files of this program, flow streams, journals.
// "-" is a flow stream on standard input. In folders only files with the names of slots count. Naming an open file or a
// journal means the open slot: both of them, and each flow once. The error wraps fs.ErrNotExist for a path that is not
// there.
func OpenSnapshot(paths []string, r Range) (*Snapshot, error) {
	s := &Snapshot{within: r}
	var named []File // explicitly
	var streams []source
	for _, path := range paths {
		if path == "-" {
			streams = append(streams, &streamSource{name: "standard input", r: os.Stdin})
			continue
		}
		if n, ok := parseName(filepath.Base(path)); ok && n.kind == kindUnborn {
			continue // a shell's * found a writer's half-made replacement of another file that it also found
		}
		info, err := os.Stat(path)
		if err != nil {
			if f, ok := fileOf(path); ok && f.State != Finished && errors.Is(err, fs.ErrNotExist) {
				named = append(named, f) // it may have been finished since its name was learnt
				continue
			}
			return nil, errors.Join(err, s.Close())
		}
		if info.IsDir() {
			slots, err := openSlots(r, func() ([]File, error) { return List(path) })
			s.sources = append(s.sources, slots...)
			if err != nil {
				return nil, errors.Join(err, s.Close())
			}
			continue
		}
		if f, ok := fileOf(path); ok {
			named = append(named, f)
			continue
		}
		source, err := sniff(path)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		streams = append(streams, source)
	}
	if len(named) > 0 {
		slots, err := openSlots(r, func() ([]File, error) { return listNamed(named) })
		s.sources = append(s.sources, slots...)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	slices.SortStableFunc(s.sources, func(a, b source) int { return compareFiles(a.(slotSource).file(), b.(slotSource).file()) })
	s.sources = append(s.sources, streams...)
	return s, nil
}

// Chunks returns the flows in order of time, as far as files have one: slot by slot, and in a slot as they arrived. Row
// groups of which the footer says that nothing is in the Range are passed over; in the others rows may be outside it.
//
// An error concerns one file: a caller that goes on gets what the others hold. The chunks may be read by several goroutines
// at once, one chunk by one of them; each must be closed. A stream on standard input can be read only once.
func (s *Snapshot) Chunks() iter.Seq2[column.Chunk, error] {
	return func(yield func(column.Chunk, error) bool) {
		for _, src := range s.sources {
			if !src.chunks(s.within, yield) {
				return
			}
		}
	}
}

// Close closes what the snapshot holds open. Chunks that are still in use stay valid until they are closed too.
func (s *Snapshot) Close() error {
	var errs []error
	for _, src := range s.sources {
		errs = append(errs, src.close())
	}
	s.sources = nil
	return errors.Join(errs...)
}

// slotSource is a source that lies in a slot.
type slotSource interface {
	source
	file() File
}

const (
	listAttempts = 200
	listPause    = 5 * time.Millisecond // from the tenth attempt on
)

// openSlots opens what list returns, open slots at once, finished files when they are read. A listing is taken before and
// after: files that appear, vanish or change their name in between, as a writer makes them, mean another attempt.
//
// This is what makes an open slot exactly-once. The journal is opened, and its length noted, before any Parquet file of
// the slot: so whatever the writer has cut off the journal is in a footer that is read later. From the other side, frames
// up to the highest number in those footers are left out. And since the set of parts did not change, no part is missing
// that took flows out of the journal.
func openSlots(r Range, list func() ([]File, error)) ([]source, error) {
	for attempt := 0; ; attempt++ {
		before, err := list()
		if err != nil {
			return nil, err
		}
		slots, err := openListed(r, before)
		if err != nil {
			return nil, err
		}
		after, err := list()
		if err == nil && sameFiles(before, after) {
			return slots, nil
		}
		for _, s := range slots {
			err = errors.Join(err, s.close())
		}
		if err != nil {
			return nil, err
		}
		if attempt == listAttempts {
			return nil, errors.New("the folder keeps changing")
		}
		if attempt >= 10 {
			time.Sleep(listPause)
		}
	}
}

// sameFiles compares listings by slot and part. An open file that got its final name in between is the same file.
func sameFiles(a, b []File) bool {
	return slices.EqualFunc(onePerPart(a), onePerPart(b), func(a, b File) bool { return samePart(a, b) })
}

func samePart(a, b File) bool {
	return a.Slot.Equal(b.Slot) && a.Part == b.Part && (a.State == Journal) == (b.State == Journal) &&
		filepath.Dir(a.Path) == filepath.Dir(b.Path)
}

// onePerPart leaves out the second name of a file that a listing met before and after its renaming.
func onePerPart(files []File) []File {
	return slices.CompactFunc(slices.Clone(files), samePart)
}

// openListed makes sources of the files of a listing, which is in order.
func openListed(r Range, files []File) (sources []source, err error) {
	files = onePerPart(files)
	for len(files) > 0 {
		n := 1
		open := files[0].State != Finished
		for n < len(files) && files[n].Slot.Equal(files[0].Slot) && filepath.Dir(files[n].Path) == filepath.Dir(files[0].Path) {
			open = open || files[n].State != Finished
			n++
		}
		slot := files[:n]
		files = files[n:]
		switch {
		case !r.mayBeIn(slot[0].Slot):
		case open:
			opened, err := openSlot(slot)
			sources = append(sources, opened...)
			if err != nil {
				for _, s := range sources {
					err = errors.Join(err, s.close())
				}
				return nil, err
			}
		default:
			for _, f := range slot {
				sources = append(sources, &fileSource{of: f})
			}
		}
	}
	return sources, nil
}

// openSlot opens the files of an open slot: the journal first.
func openSlot(files []File) (sources []source, err error) {
	var journal *journalSource
	name := filepath.Join(filepath.Dir(files[0].Path), fileName{slot: files[0].Slot, kind: kindJournal}.String())
	opened, err := os.Open(name)
	switch {
	case err == nil:
		info, err := opened.Stat()
		if err != nil {
			return nil, errors.Join(err, opened.Close())
		}
		journal = &journalSource{of: File{Path: name, Slot: files[0].Slot, State: Journal}, f: opened, size: info.Size()}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var stored uint64
	for _, f := range files {
		if f.State == Journal {
			continue
		}
		part := &fileSource{of: f}
		switch err := part.open(); {
		case err == nil:
			stored = max(stored, sequenceOf(part.p.Meta()))
		case errors.Is(err, errUnborn) || errors.Is(err, fs.ErrNotExist):
			continue // being made; or removed: then the listing has changed
		default:
			// Chunks will say so. Opening must not fail, because of one damaged file, for all the others.
		}
		sources = append(sources, part)
	}
	if journal != nil {
		journal.stored = stored
		sources = append(sources, journal)
	}
	return sources, nil
}

// listNamed lists the files that were named one by one. An open one stands for its slot, as it is now: for the open part,
// those that have followed it, and the journal.
func listNamed(named []File) ([]File, error) {
	var files []File
	for _, f := range named {
		if f.State == Finished {
			files = append(files, f)
			continue
		}
		var beside []File
		entries, err := os.ReadDir(filepath.Dir(f.Path))
		if err != nil {
			return nil, err
		}
		found := false
		for _, e := range entries {
			b, ok := fileOf(filepath.Join(filepath.Dir(f.Path), e.Name()))
			if !ok || !b.Slot.Equal(f.Slot) {
				continue
			}
			found = found || samePart(b, f)
			if b.State != Finished || f.State == Open && b.Part >= f.Part {
				beside = append(beside, b)
			}
		}
		if !found && len(beside) == 0 {
			return nil, fmt.Errorf("%s: %w", f.Path, fs.ErrNotExist)
		}
		files = append(files, beside...)
	}
	slices.SortFunc(files, compareFiles)
	return files, nil
}

// sniff opens a file whose name says nothing by what it begins with.
func sniff(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, errors.Join(err, f.Close())
	}
	if string(head[:n]) == "PAR1" {
		return &fileSource{of: File{Path: path}}, f.Close()
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return &streamSource{name: path}, f.Close()
	}
	return &streamSource{name: path, r: io.MultiReader(byteReader(head[:n]), f), closer: f}, nil
}
