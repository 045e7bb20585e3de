package storage

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"
)

// syncTask is the sync of a journal, done beside everything else: a slow disk delays only itself.
type syncTask struct {
	slot   *slot
	f      file // as it was when the sync began; the journal may have another one by now
	folder bool // the name is new
	err    error
}

func (t *syncTask) run(dir folder) {
	if t.err = t.f.Sync(); t.err == nil && t.folder {
		t.err = syncFolders(dir, path.Clean(t.slot.dir))
	}
}

// syncRun is a sync of all journals that were written to since the last one.
type syncRun struct {
	tasks []syncTask
	flows uint64 // in the journals when it began
	whole bool   // nothing else is needed to make them durable
}

// startSync syncs the journals when one of them has waited long enough, unless a sync is running.
func (w *Writer) startSync(syncs chan<- *syncRun, now time.Time) {
	if w.syncing {
		return
	}
	due := false
	r := &syncRun{whole: true}
	for _, s := range slices.Concat(w.open, w.closing) {
		j := s.journal
		if j.damaged && s.running == 0 {
			if err := s.cutJournal(w.cutAfter); err != nil {
				w.mishap("journal", err)
			}
		}
		if j.damaged {
			r.whole = false
		} else if j.dirty {
			due = due || now.Sub(j.unsynct) >= w.cfg.Sync
			r.tasks = append(r.tasks, syncTask{slot: s, f: j.f, folder: j.moved})
		}
	}
	if !due {
		return
	}
	for i := range r.tasks {
		j := r.tasks[i].slot.journal
		j.dirty, j.moved = false, false
	}
	w.count(func(s *WriterStats) { r.flows = s.Flows })
	w.syncing = true
	syncs <- r
}

// finishedSync takes the results. After a failed sync the kernel may have dropped what it could not write, so the frames
// go to a new file.
func (w *Writer) finishedSync(r *syncRun) {
	w.syncing = false
	for i := range r.tasks {
		t := &r.tasks[i]
		if t.err == nil {
			continue
		}
		// The journal may have been replaced or removed meanwhile; its flows were made durable elsewhere before that.
		if t.slot.journal.f == t.f && !errors.Is(t.err, fs.ErrClosed) {
			t.slot.journal.damaged = true
			w.mishap("sync of a journal", t.err)
		}
		r.whole = false
	}
	if r.whole {
		w.count(func(s *WriterStats) { s.Durable = r.flows })
	}
}
