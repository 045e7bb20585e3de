package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/stream"
)

const (
	grace      = 2 * time.Second // how long after its end a slot still takes flows that were received in it
	maxClosing = 4               // slots that may wait to be finished; then the journal waits for them
	firstRetry = time.Second     // after a failed append; doubles up to 64 times that
	// attempts of a failing operation when the writer has been told to end
	lastAttempts = 3
)

// errBusy means that a slot cannot be opened before others are finished.
var errBusy = errors.New("earlier slots are still being finished")

// Run stores what Write hands over until ctx ends; then it stores what it has accepted, finishes the open slot, gives the
// folder back, and returns nil, or what kept it from that: flows that are then only in the journal are taken up by the
// next NewWriter. It is no failure to leave them there because Config.Patience is over. Run must be called once.
func (w *Writer) Run(ctx context.Context) error {
	jobs, results := make(chan *job, 1), make(chan *job, 1)
	syncs, synced := make(chan *syncRun, 1), make(chan *syncRun, 1)
	var helpers sync.WaitGroup
	helpers.Go(func() {
		for j := range jobs {
			j.run(w)
			results <- j
		}
	})
	helpers.Go(func() {
		for r := range syncs {
			for i := range r.tasks {
				r.tasks[i].run(w.folder)
			}
			synced <- r
		}
	})
	tick := time.NewTicker(min(max(w.cfg.Sync/4, 5*time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()

	done, draining := ctx.Done(), false
	var errs []error
	for {
		ready := w.queue.ready
		if w.stuck.b != nil {
			ready = nil
		}
		select {
		case <-ready:
			if b := w.queue.pop(); b != nil {
				w.store(b)
			}
		case j := <-results:
			w.finished(j)
			w.unstick(errBusy)
		case r := <-synced:
			w.finishedSync(r)
		case <-tick.C:
			w.unstick(nil)
			w.closeOver(w.cfg.Now())
			w.startSync(syncs, time.Now())
		case <-done:
			done, draining = nil, true
			w.queue.close()
			w.ending.Store(true)
			if w.cfg.Patience > 0 {
				w.giveUp = time.Now().Add(w.cfg.Patience)
			}
			w.forgive()
		}
		if draining {
			if err := w.drain(); err != nil {
				errs = append(errs, err)
			}
			if w.job == nil && len(w.open)+len(w.closing) == 0 && w.stuck.b == nil {
				break
			}
		}
		w.schedule(jobs, time.Now())
	}
	close(jobs)
	close(syncs)
	helpers.Wait()
	if len(errs) == 0 {
		w.count(func(s *WriterStats) { s.Durable = s.Flows - s.Lost.Unreadable })
	}
	return errors.Join(append(errs, w.Close())...)
}

// drain takes the steps to the end that are possible now.
func (w *Writer) drain() error {
	for w.stuck.b == nil {
		b := w.queue.pop()
		if b == nil {
			break
		}
		w.store(b)
	}
	if w.stuck.b != nil {
		if errors.Is(w.stuck.err, errBusy) || w.stuck.attempts < lastAttempts {
			return nil
		}
		return w.giveUpQueue()
	}
	slices.Reverse(w.open)
	w.closing = append(w.closing, w.open...) // oldest first
	w.open = nil
	var errs []error
	kept := w.closing[:0]
	for _, s := range w.closing {
		if s.attempts >= lastAttempts && (w.job == nil || w.job.slot != s) {
			errs = append(errs, fmt.Errorf("storage: slot %s is left unfinished: %w", s.start.Format(slotLayout), s.err), s.abandon())
			continue
		}
		kept = append(kept, s)
	}
	w.closing = kept
	if len(kept) > 0 && w.job == nil && !w.giveUp.IsZero() && time.Now().After(w.giveUp) {
		errs = append(errs, w.leave())
	}
	return errors.Join(errs...)
}

// leave leaves the slots that are not finished as they are, safe from a loss of power, to the next NewWriter.
func (w *Writer) leave() error {
	var errs []error
	rows := 0
	for _, s := range w.closing {
		rows += s.rows
		var err error
		if s.journal.damaged {
			err = s.cutJournal(w.cutAfter)
		}
		if err == nil {
			err = s.journal.f.Sync()
		}
		if err == nil {
			err = syncFolders(w.folder, s.dir)
		}
		errs = append(errs, err, s.abandon())
	}
	w.cfg.Logger.Warn("flows are left in the journal for the next start", "flows", rows, "slots", len(w.closing))
	w.closing = nil
	return errors.Join(errs...)
}

// giveUpQueue counts as lost what the disk refuses to the end.
func (w *Writer) giveUpQueue() error {
	lost, err := 0, w.stuck.err
	for b, from := w.stuck.b, w.stuck.from; b != nil; b, from = w.queue.pop(), 0 {
		lost += b.Len() - from
	}
	w.stuck = stuckBatch{}
	w.count(func(s *WriterStats) { s.Lost.Unjournaled += uint64(lost) })
	return fmt.Errorf("storage: %d flows are lost: %w", lost, err)
}

// route finds the slot of row from and how far the rows that follow belong to it too. It opens slots, and lets those go
// that are over.
func (w *Writer) route(b *netflow.Batch, from int) (s *slot, to int, err error) {
	r := b.Received[from]
	if len(w.open) == 0 || r >= w.open[0].hi {
		start := slotOf(r.Time(), w.cfg.Rotate)
		if start.Before(w.newest) {
			start = w.newest // names stay in order
		}
		if err := w.openSlot(start); err != nil {
			return nil, 0, err
		}
	}
	s = w.open[0]
	lo, hi := s.lo, s.hi
	if len(w.open) > 1 {
		before := w.open[1]
		switch {
		case r >= s.lo+netflow.Timestamp(grace.Microseconds()):
			w.closing = append(w.closing, before)
			w.open = w.open[:1]
			lo = -1 << 63
		case r >= before.lo && r < before.hi:
			s, lo, hi = before, before.lo, before.hi
		}
	} else {
		lo = -1 << 63
	}
	limit := min(b.Len(), from+BatchRows)
	if b.Len()-from <= stream.MaxRows {
		limit = b.Len()
	}
	for to = from + 1; to < limit && b.Received[to] >= lo && b.Received[to] < hi; to++ {
	}
	return s, to, nil
}

// openSlot makes the slot of start the one that takes flows.
func (w *Writer) openSlot(start time.Time) error {
	if len(w.closing) >= maxClosing {
		return errBusy
	}
	for _, s := range w.closing {
		if s.start.Equal(start) {
			return errBusy
		}
	}
	s := newSlot(start, w.cfg.Rotate, w.cfg.Nesting)
	if err := s.takeUp(w); err != nil {
		return errors.Join(err, s.abandon())
	}
	w.cfg.Logger.Info("slot begins", "file", s.journalPath())
	w.closing = append(w.closing, w.open[min(1, len(w.open)):]...)
	w.open = append([]*slot{s}, w.open[:min(1, len(w.open))]...)
	w.newest = start
	return nil
}

// closeOver lets the open slots go whose time is over by the clock.
func (w *Writer) closeOver(now time.Time) {
	for len(w.open) > 0 {
		last := w.open[len(w.open)-1]
		if now.Before(last.end.Add(grace)) {
			return
		}
		w.closing = append(w.closing, last)
		w.open = w.open[:len(w.open)-1]
	}
}

// schedule starts the append that is most wanted, if none is running.
func (w *Writer) schedule(jobs chan<- *job, now time.Time) {
	if w.job != nil {
		return
	}
	for _, s := range w.closing {
		if now.Before(s.retry) {
			continue
		}
		spans := s.take(s.rowGroup(&w.cfg))
		w.start(jobs, &job{slot: s, spans: spans, last: len(spans) == len(s.spans)})
		return
	}
	for _, s := range w.open {
		if s.due(&w.cfg, now) {
			w.start(jobs, &job{slot: s, spans: s.take(s.rowGroup(&w.cfg))})
			return
		}
	}
}

func (w *Writer) start(jobs chan<- *job, j *job) {
	w.job = j
	jobs <- j
}

// finished takes the result of an append.
func (w *Writer) finished(j *job) {
	w.job = nil
	s := j.slot
	if j.stored || j.unreadable {
		rows := uint64(s.taken(w.memory))
		w.count(func(c *WriterStats) {
			c.Parquet += uint64(j.bytes)
			if j.stored {
				c.Stored += rows
				c.Appends++
			} else {
				c.Lost.Unreadable += rows
			}
		})
	}
	s.running = 0
	w.count(func(c *WriterStats) { c.Files += uint64(j.files) })
	if j.err != nil {
		s.err = j.err
		s.attempts++
		s.retry = time.Now().Add(w.firstRetry << min(s.attempts-1, 6))
		w.failed("parquet", j.err, s.attempts)
		return
	}
	if s.attempts > 0 {
		s.attempts, s.retry, s.err = 0, time.Time{}, nil
		w.recoveredFrom()
	}
	if j.over {
		w.closing = remove(w.closing, s)
		if err := s.journal.remove(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.mishap("journal", err) // the next NewWriter removes it
		}
		return
	}
	if err := s.cutJournal(w.cutAfter); err != nil {
		w.mishap("journal", err) // it stays longer than need be
	}
}

func remove(list []*slot, s *slot) []*slot {
	kept := list[:0]
	for _, other := range list {
		if other != s {
			kept = append(kept, other)
		}
	}
	return kept
}
