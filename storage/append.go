package storage

import (
	"errors"
	"fmt"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/parquet"
)

// job is one append: flows of a slot on their way from the journal into its Parquet file, beside everything else. It owns
// the slot's hot file while it runs.
type job struct {
	slot  *slot
	spans []span
	last  bool // nothing comes after them: finish the file

	// The result.
	stored     bool  // the flows are in the file, and durable
	unreadable bool  // they are lost: the journal gives other bytes than were written
	over       bool  // the slot is finished
	bytes      int64 // written to the Parquet file
	files      int   // finished
	err        error
}

// run does the work, in the goroutine of the appends.
func (j *job) run(w *Writer) {
	if err := j.store(w); err != nil {
		j.err = err
		return
	}
	if s := j.slot; s.hot != nil && (j.last || s.hot.full(w.maxGroups)) {
		if j.err = s.finishPart(w); j.err != nil {
			return
		}
		j.files++
	}
	j.over = j.last
}

func (j *job) store(w *Writer) error {
	if len(j.spans) == 0 {
		return nil
	}
	batches, err := j.batches()
	if err != nil {
		j.unreadable = true
		return err
	}
	group, err := parquet.EncodeRowGroup(batches, parquet.Options{})
	if err != nil {
		j.unreadable = true
		return err
	}
	s := j.slot
	if s.hot == nil {
		if s.hot, err = createHot(w.folder, s.dir, fileName{slot: s.start, part: s.part, kind: kindOpen}); err != nil {
			return err
		}
		s.part = s.hot.name.part
	}
	var ledger []byte
	if w.cfg.Ledger != nil {
		ledger = w.cfg.Ledger()
	}
	before := s.hot.app.Size()
	err = s.hot.append(group, j.spans[len(j.spans)-1].last, ledger)
	if err == nil {
		j.stored = true
		j.bytes = s.hot.app.Size() - before
		return nil
	}
	return errors.Join(err, s.repair(w))
}

// batches gathers the flows of the spans, those not in memory from the journal.
func (j *job) batches() ([]*netflow.Batch, error) {
	var all []*netflow.Batch
	for i := 0; i < len(j.spans); {
		if b := j.spans[i].batch; b != nil {
			all = append(all, b)
			i++
			continue
		}
		to := i + 1
		for to < len(j.spans) && j.spans[to].batch == nil {
			to++
		}
		read, err := j.slot.journal.read(j.spans[i:to])
		if err != nil {
			return nil, fmt.Errorf("%s: flows wait in it and cannot be read: %w", j.slot.journal.name, err)
		}
		all = append(all, read...)
		i = to
	}
	return all, nil
}

// finishPart gives the open file its final name; the next append begins another part.
func (s *slot) finishPart(w *Writer) error {
	if err := s.hot.finish(w); err != nil {
		return err
	}
	s.part, s.hot = s.hot.name.part+1, nil
	return nil
}

// repair takes back what a failed append left. After a failed sync the file is not written to any more.
func (s *slot) repair(w *Writer) error {
	if err := s.hot.cutBack(); err != nil {
		return err // the next attempt begins here again
	}
	if s.hot.f.failed {
		return s.finishPart(w)
	}
	return nil
}
