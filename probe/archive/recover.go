package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// adopt looks at what the folder holds, and repairs and renames what was open when a process was killed.
func (a *Archive) adopt() error {
	found, err := captures(a.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range found {
		if e.tmp {
			kept, err := a.repair(&e)
			if err != nil { // it can still be read as it is
				a.cfg.Logger.Warn("a file of the archive could not be repaired", "file", tmpPrefix+e.base()+captureTail, "err", err)
				a.hold(e.size)
				continue
			}
			if !kept {
				continue
			}
		}
		a.addFinished(e)
		a.hold(e.size)
	}
	return a.removeOrphans()
}

// repair cuts a capture to its last whole packet, completes its index and renames both. A capture without packets is
// deleted, and not kept.
func (a *Archive) repair(e *entry) (kept bool, err error) {
	base := filepath.Join(a.cfg.Dir, e.base())
	tmp := filepath.Join(a.cfg.Dir, tmpPrefix+e.base())
	if _, err := os.Stat(base + captureTail); err == nil {
		return false, os.ErrExist
	}
	// A process killed while renaming has renamed the index only.
	if _, err := os.Stat(tmp + indexTail); errors.Is(err, os.ErrNotExist) {
		if err := os.Rename(base+indexTail, tmp+indexTail); err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
	}
	if info, err := os.Stat(tmp + captureTail); err != nil {
		return false, err
	} else if info.Size() <= pcapHeaderLen {
		return false, removeOpen(tmp)
	}
	f, err := OpenFile(a.cfg.Dir, e.base())
	if err != nil {
		return false, err
	}
	end, err := f.complete(tmp)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	if end == pcapHeaderLen {
		return false, removeOpen(tmp)
	}
	if err := rename(a.root, e.name); err != nil {
		return false, err
	}
	a.cfg.Logger.Info("a capture that was left open has been repaired", "file", e.base()+captureTail, "bytes_cut", f.size-end)
	e.size, e.tmp = 0, false
	for _, tail := range []string{captureTail, indexTail} {
		info, err := os.Stat(base + tail)
		if err != nil {
			return false, err
		}
		e.size += info.Size()
	}
	return true, nil
}

// removeOpen deletes a capture without packets and its index, if there is one.
func removeOpen(tmp string) error {
	err := os.Remove(tmp + indexTail)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(os.Remove(tmp+captureTail), err)
}

// complete makes the index cover every whole packet, and cuts what follows the last one, which ends at end.
func (f *File) complete(tmp string) (end int64, err error) {
	index, err := os.OpenFile(tmp+indexTail, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	if _, err := index.WriteAt(appendIndexHeader(nil, f.Link), 0); err != nil {
		return 0, err
	}
	s := newSummarizer(f.size)
	for f.index != nil {
		h, err := f.entryAt(s.end, s.captured)
		var keys []byte
		if err == nil {
			keys, err = f.keysAt(&h, s.end)
		}
		if errors.Is(err, ErrCorrupt) {
			break
		}
		if err != nil {
			return 0, err
		}
		s.addEntry(&h, keys)
	}
	if err := index.Truncate(s.end); err != nil {
		return 0, err
	}
	var b []byte
	end, err = f.scan(s.captured, f.size, func(x *Block) error {
		b = appendEntry(b[:0], x)
		_, err := index.WriteAt(b, s.end)
		s.add(b)
		return err
	})
	if err != nil {
		return 0, err
	}
	if end < f.size {
		err = os.Truncate(tmp+captureTail, end)
	}
	if err == nil && end > pcapHeaderLen {
		place := s.end
		if _, err := index.WriteAt(s.appendTo(nil), place); err != nil {
			return end, index.Truncate(place) // it does without
		}
	}
	return end, err
}

// removeOrphans deletes indexes whose capture is gone, as when a process was killed while deleting or making them.
func (a *Archive) removeOrphans() error {
	files, err := os.ReadDir(a.cfg.Dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		n, _, ok := parseName(file.Name(), indexTail)
		if !ok {
			continue
		}
		base := filepath.Join(a.cfg.Dir, n.base()+captureTail)
		tmp := filepath.Join(a.cfg.Dir, tmpPrefix+n.base()+captureTail)
		_, err1 := os.Stat(base)
		_, err2 := os.Stat(tmp)
		if errors.Is(err1, os.ErrNotExist) && errors.Is(err2, os.ErrNotExist) {
			if err := os.Remove(filepath.Join(a.cfg.Dir, file.Name())); err != nil {
				return fmt.Errorf("index without a capture: %w", err)
			}
		}
	}
	return nil
}
