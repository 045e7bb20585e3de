package storage

import (
	"errors"
	"io/fs"
	"path"
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

// startSync syncs the journals that have waited long enough, unless a sync is running.
func (w *Writer) startSync(syncs chan<- []syncTask, now time.Time) {
	if w.syncing {
		return
	}
	var tasks []syncTask
	for _, list := range [][]*slot{w.open, w.closing} {
		for _, s := range list {
			j := s.journal
			if j.damaged && s.running == 0 {
				if err := s.cutJournal(); err != nil {
					w.mishap("journal", err)
				}
			}
			if j.dirty && !j.damaged && now.Sub(j.unsynct) >= w.cfg.Sync {
				tasks = append(tasks, syncTask{slot: s, f: j.f, folder: j.moved})
				j.dirty, j.moved = false, false
			}
		}
	}
	if len(tasks) > 0 {
		w.syncing = true
		syncs <- tasks
	}
}

// finishedSync takes the results. After a failed sync the kernel may have dropped what it could not write, so the frames
// go to a new file.
func (w *Writer) finishedSync(tasks []syncTask) {
	w.syncing = false
	for i := range tasks {
		t := &tasks[i]
		if t.err == nil || t.slot.journal.f != t.f || errors.Is(t.err, fs.ErrClosed) {
			continue
		}
		t.slot.journal.damaged = true
		w.mishap("sync of a journal", t.err)
	}
}
