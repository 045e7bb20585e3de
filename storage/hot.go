package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/caprock-net/caprock/storage/parquet"
)

const (
	keySequence = "caprock.journal_seq" // number of the last frame whose flows a Parquet file of a slot has
	keyLedger   = "caprock.ledger"      // JSON, of the last run that wrote to the file; those before have .1, .2 and so on behind it

	maxGroups = 100 // row groups of a part; then the next one begins

	// A file that runs have left behind one after the other, each with its ledger, is not gone on with when it has so many,
	// or so many bytes of them: they stand in every footer.
	maxLedgers  = 8
	ledgerBytes = 256 << 10

	// A file is rewritten when it is finished if a full row group would hold tinyGroup average ones, or if old footers
	// take more than deadShare of it.
	tinyGroup = 4
	deadShare = 0.03
	// deadFloor is how many bytes of old footers an open file may have before they are compared with its size.
	deadFloor = 512 << 10
	// lastRewrite is how many rows are rewritten, at about a million a second, when the program is to end.
	lastRewrite = 500_000
)

// hot is the Parquet file of a slot that takes appends.
type hot struct {
	folder folder
	dir    string
	name   fileName
	f      *syncTracker
	app    *parquet.Appender
	good   int64 // size after the last good append
	footer int64 // bytes of its footer, which the next one makes dead; 0 when not known
	broken bool  // a later one failed and has not been taken back
	// earlier is the ledger of the run that left the file behind, until one of this run takes its key.
	earlier string
}

// syncTracker remembers that a sync failed: the kernel may have dropped what it could not write, and the next sync says
// nothing about it.
type syncTracker struct {
	file
	failed bool
}

func (t *syncTracker) Sync() error {
	err := t.file.Sync()
	t.failed = t.failed || err != nil
	return err
}

// createHot makes the part of a slot that name says, or the first one after it that nothing has the name of.
func createHot(dir folder, sub string, name fileName) (*hot, error) {
	name, err := freePart(dir, sub, name)
	if err != nil {
		return nil, err
	}
	h := &hot{folder: dir, dir: sub, name: name}
	f, err := dir.OpenFile(h.path(), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	h.f = &syncTracker{file: f}
	if h.app, err = parquet.Create(h.f); err == nil {
		err = syncFolders(dir, sub) // an append is durable only if the name is
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), dir.Remove(h.path()))
	}
	h.good = h.app.Size()
	return h, nil
}

// freePart returns name with its part raised until neither an open nor a finished file has it.
func freePart(dir folder, sub string, name fileName) (fileName, error) {
	for ; ; name.part++ {
		open, finished := name, name
		open.kind, finished.kind = kindOpen, kindFinished
		isOpen, err := dir.Exists(path.Join(sub, open.String()))
		if err != nil {
			return name, err
		}
		isFinished, err := dir.Exists(path.Join(sub, finished.String()))
		if err != nil || !isOpen && !isFinished {
			return name, err
		}
	}
}

func (h *hot) path() string { return path.Join(h.dir, h.name.String()) }

// full reports whether the next append belongs into another part.
func (h *hot) full(maxGroups int) bool { return h.app.RowGroups() >= maxGroups }

// earlierKey returns the key under which the earlier ledger is kept. It returns false when there are too many already.
func (h *hot) earlierKey() (key string, ok bool) {
	meta := h.app.Meta()
	size := len(h.earlier)
	for n := 1; n < maxLedgers; n++ {
		key = keyLedger + "." + strconv.Itoa(n)
		text, taken := meta[key]
		if !taken {
			return key, size <= ledgerBytes
		}
		size += len(text)
	}
	return "", false
}

// affordable reports whether old footers stay few with one more append.
func (h *hot) affordable() bool {
	dead := h.app.DeadBytes() + h.footer
	return dead <= deadFloor || float64(dead) <= deadShare*float64(h.app.Size())
}

// append adds a row group that reaches up to frame seq of the journal.
func (h *hot) append(group *parquet.RowGroup, seq uint64, ledger []byte) error {
	meta := map[string]string{keySequence: strconv.FormatUint(seq, 10)}
	if ledger != nil {
		if h.earlier != "" {
			key, _ := h.earlierKey()
			meta[key] = h.earlier
		}
		meta[keyLedger] = string(ledger)
	}
	if err := h.app.Append(group, meta); err != nil {
		h.broken = true
		return fmt.Errorf("%s: %w", h.path(), err)
	}
	h.footer = h.app.Size() - h.good - int64(group.Size())
	h.good = h.app.Size()
	if ledger != nil {
		h.earlier = ""
	}
	return nil
}

// cutBack takes back a failed append. What was appended before it is durable and stays.
func (h *hot) cutBack() error {
	if !h.broken {
		return nil
	}
	if err := h.f.Truncate(h.good); err != nil {
		return err
	}
	if err := h.f.file.Sync(); err != nil {
		return err
	}
	app, _, err := parquet.Recover(h.f, h.good)
	if err != nil {
		return err
	}
	h.app, h.broken = app, false
	return nil
}

// finish gives the file its final name, after a rewrite if that is worth it. A file without flows is removed.
func (h *hot) finish(w *Writer) error {
	if h.app.RowGroups() == 0 {
		if err := h.folder.Remove(h.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		h.close(w)
		return nil
	}
	if h.wantsRewrite(w.cfg.RowGroup) && (h.app.Rows() <= lastRewrite || !w.ending.Load()) {
		if err := h.rewrite(w.cfg.RowGroup); err != nil {
			// The file as it is has every flow; so this costs nothing but speed.
			w.mishap("rewrite", err)
		}
	}
	finished := h.name
	finished.kind = kindFinished
	if exists, err := h.folder.Exists(path.Join(h.dir, finished.String())); err != nil {
		return err
	} else if exists {
		if finished, err = freePart(h.folder, h.dir, finished); err != nil {
			return err
		}
	}
	if err := h.folder.Rename(h.path(), path.Join(h.dir, finished.String())); err != nil {
		return err
	}
	h.name.part = finished.part
	if err := h.folder.SyncDir(h.dir); err != nil {
		w.mishap("sync of the folder", err) // the rename is done; after a power loss it may be undone, and is repeated
	}
	w.cfg.Logger.Info("file finished", "file", path.Join(h.dir, finished.String()), "flows", h.app.Rows(), "bytes", h.app.Size())
	h.close(w)
	return nil
}

// close closes a file that is done with: what is in it was synced, so an error costs nothing.
func (h *hot) close(w *Writer) {
	if err := h.f.Close(); err != nil {
		w.mishap("close", err)
	}
}

func (h *hot) wantsRewrite(rowGroup int) bool {
	groups := int64(h.app.RowGroups())
	return groups > 1 && !h.f.failed &&
		(h.app.Rows()*tinyGroup < groups*int64(rowGroup) || float64(h.app.DeadBytes()) > deadShare*float64(h.app.Size()))
}

// rewrite replaces the file by one without old footers and with full row groups. Readers see the one or the other, with
// the same flows and the same number of the last frame.
func (h *hot) rewrite(rowGroup int) error {
	name := h.path() + newSuffix
	f, err := h.folder.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	var app *parquet.Appender
	src, err := parquet.Open(h.f, h.app.Size())
	if err == nil {
		app, err = parquet.Rewrite(f, src, rowGroup, nil)
	}
	if err == nil && app.Rows() != h.app.Rows() {
		err = fmt.Errorf("%d flows of %d were copied", app.Rows(), h.app.Rows())
	}
	if err == nil {
		err = h.folder.Rename(name, h.path())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), f.Close(), h.folder.Remove(name))
	}
	_ = h.f.Close()
	h.f, h.app, h.good = &syncTracker{file: f}, app, app.Size()
	return nil
}
