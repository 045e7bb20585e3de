package storage

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/caprock-net/caprock/storage/parquet"
)

// adopt takes up what an earlier writer left unfinished: the slot that is still going on takes flows again, those that
// are over are finished by Run.
func (w *Writer) adopt() error {
	type place struct {
		dir   string
		start int64
	}
	var found []place
	seen := map[place]bool{}
	err := walkSlots(w.folder, ".", 0, func(dir string, n fileName, name string) error {
		switch n.kind {
		case kindFinished:
		case kindUnborn:
			return w.folder.Remove(path.Join(dir, name))
		default:
			if p := (place{dir, n.slot.Unix()}); !seen[p] {
				seen[p] = true
				found = append(found, p)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := w.cfg.Now()
	for _, p := range found {
		start := time.Unix(p.start, 0).UTC()
		s := newSlot(start, w.cfg.Rotate, w.cfg.Nesting)
		current := s.dir == p.dir && start.Equal(slotOf(now, w.cfg.Rotate))
		s.dir = p.dir
		if err := s.takeUp(w); err != nil {
			return err
		}
		w.stats.Recovered.Slots++
		if current {
			w.open, w.newest = []*slot{s}, start
		} else {
			w.closing = append(w.closing, s)
		}
	}
	return nil
}

// walkSlots calls f for every file of a slot in dir and the folders below it.
func walkSlots(top folder, dir string, depth int, f func(dir string, n fileName, name string) error) error {
	entries, err := top.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if depth < 3 && isDateFolder(e.Name()) {
				if err := walkSlots(top, path.Join(dir, e.Name()), depth+1, f); err != nil {
					return err
				}
			}
		} else if n, ok := parseName(e.Name()); ok && e.Type().IsRegular() {
			if err := f(dir, n, e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// isDateFolder reports whether a writer makes folders of that name: YYYY, YYYY-MM, YYYY-MM-DD.
func isDateFolder(name string) bool {
	for _, layout := range []string{"2006", "2006-01", "2006-01-02"} {
		if _, err := time.Parse(layout, name); err == nil {
			return true
		}
	}
	return false
}

// takeUp opens the slot's files: those that an earlier writer left, as far as they go, and a journal in any case. It never
// touches a finished file; numbering of parts and frames goes on behind them.
func (s *slot) takeUp(w *Writer) error {
	entries, err := w.folder.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = w.folder.MkdirAll(s.dir)
	}
	if err != nil {
		return err
	}
	var stored uint64
	var open []fileName
	hasJournal := false
	for _, e := range entries {
		n, ok := parseName(e.Name())
		if !ok || !n.slot.Equal(s.start) {
			continue
		}
		switch n.kind {
		case kindJournal:
			hasJournal = true
		case kindOpen:
			open = append(open, n)
			s.part = max(s.part, n.part+1)
		case kindFinished:
			s.part = max(s.part, n.part+1)
			seq, err := s.storedIn(w, n)
			if err != nil {
				return err
			}
			stored = max(stored, seq)
		}
	}
	for _, n := range open {
		seq, err := s.takePart(w, n)
		if err != nil {
			return err
		}
		stored = max(stored, seq)
	}
	if !hasJournal {
		s.journal, err = createJournal(w.folder, s.journalPath(), stored+1)
		return err
	}
	return s.takeJournal(w, stored)
}

// storedIn returns the number of the last frame in a finished part. A file that is not ours, or damaged, has none that
// anybody can read.
func (s *slot) storedIn(w *Writer, n fileName) (uint64, error) {
	name := path.Join(s.dir, n.String())
	f, err := w.folder.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	p, err := parquet.Open(f, size)
	if err != nil {
		w.cfg.Logger.Warn("finished file cannot be read", "file", name, "err", err)
		return 0, nil
	}
	return sequenceOf(p.Meta()), nil
}

func sequenceOf(meta map[string]string) uint64 {
	n, _ := strconv.ParseUint(meta[keySequence], 10, 64)
	return n
}

// takePart opens a Parquet file that was being written, cuts it to its last footer, and makes it the one that takes
// appends. There is one such file in a slot, or more after failures of the disk: then all but one are finished.
func (s *slot) takePart(w *Writer, n fileName) (stored uint64, err error) {
	h := &hot{folder: w.folder, dir: s.dir, name: n}
	f, err := w.folder.OpenFile(h.path(), os.O_RDWR)
	if err != nil {
		return 0, err
	}
	h.f = &syncTracker{file: f}
	size, err := f.Size()
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	app, torn, err := parquet.Recover(h.f, size)
	switch {
	case err == nil:
		h.app, h.good, h.earlier = app, app.Size(), app.Meta()[keyLedger]
		_, mayGoOn := h.earlierKey()
		w.stats.Recovered.TornBytes += torn
		stored = sequenceOf(app.Meta())
		if s.hot != nil {
			if err := s.hot.finish(w); err != nil {
				return 0, err
			}
		}
		if s.hot = h; h.full(w.maxGroups) || !mayGoOn {
			return stored, s.finishPart(w)
		}
		s.part = n.part
		return stored, nil
	case errors.Is(err, parquet.ErrSchema) || errors.Is(err, parquet.ErrVersion):
		// Another version of the program wrote it: complete to its last footer, and nothing for us to add to.
		finished := n
		finished.kind = kindFinished
		if err := f.Close(); err != nil {
			return 0, err
		}
		if finished, err = freePart(w.folder, s.dir, fileName{slot: n.slot, part: s.part, kind: kindFinished}); err != nil {
			return 0, err
		}
		if err := w.folder.Rename(h.path(), path.Join(s.dir, finished.String())); err != nil {
			return 0, err
		}
		s.part = finished.part + 1
		return s.storedIn(w, finished)
	case errors.Is(err, parquet.ErrNoFooter) || errors.Is(err, parquet.ErrNotParquet) || errors.Is(err, parquet.ErrCorrupt) || errors.Is(err, parquet.ErrForeign):
		// No flow was ever durable in it, or the disk has eaten it. In the second case somebody may want to look.
		w.stats.Recovered.TornBytes += size
		if err := f.Close(); err != nil {
			return 0, err
		}
		if size <= 4096 {
			return 0, w.folder.Remove(h.path())
		}
		w.cfg.Logger.Error("open file cannot be read and is set aside", "file", h.path(), "err", err)
		return 0, w.folder.Rename(h.path(), path.Join(s.dir, "damaged-"+n.String()))
	}
	return 0, errors.Join(err, f.Close())
}

func (s *slot) takeJournal(w *Writer, stored uint64) error {
	j, scan, err := openJournal(w.folder, s.journalPath(), stored)
	if err != nil {
		return err
	}
	s.journal, s.spans = j, scan.spans
	s.rows = scan.flows
	w.stats.Recovered.Flows += uint64(scan.flows)
	w.stats.Recovered.TornBytes += scan.tornOff
	w.stats.Flows += uint64(scan.flows)
	w.cfg.Logger.Info("slot taken up", "file", j.name, "flows", scan.flows, "torn", scan.tornOff)
	if scan.damage != nil {
		w.cfg.Logger.Error("journal is damaged", "file", j.name, "bytes", scan.tornOff, "err", scan.damage)
	}
	return nil
}

// abandon closes the slot's files as they are.
func (s *slot) abandon() error {
	var errs []error
	if s.journal != nil {
		errs = append(errs, s.journal.f.Close())
	}
	if s.hot != nil {
		errs = append(errs, s.hot.f.Close())
	}
	return errors.Join(errs...)
}
