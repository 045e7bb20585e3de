package storage

import (
	"errors"
	"slices"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// stuckBatch is a batch that could not be put into the journal yet.
type stuckBatch struct {
	b        *netflow.Batch
	from     int // rows before that are in the journal
	err      error
	attempts int
}

// store puts a batch into the journals of its slots, or keeps it as stuck.
func (w *Writer) store(b *netflow.Batch) {
	w.stuck = stuckBatch{b: b, attempts: w.stuck.attempts}
	w.unstickNow()
}

// unstick tries again; with an error, only if that is what the batch waits for.
func (w *Writer) unstick(after error) {
	if w.stuck.b != nil && (after == nil || errors.Is(w.stuck.err, after)) {
		w.unstickNow()
	}
}

func (w *Writer) unstickNow() {
	b := w.stuck.b
	for from := w.stuck.from; from < b.Len(); from = w.stuck.from {
		s, to, err := w.route(b, from)
		kept := false
		if err == nil {
			before := s.journal.size
			kept, err = s.add(w.memory, b, from, to, from == 0 && to == b.Len())
			if err == nil {
				w.count(func(c *WriterStats) {
					c.Flows += uint64(to - from)
					c.Journal += uint64(s.journal.size - before)
				})
			}
		}
		if err != nil {
			if !errors.Is(err, errBusy) {
				w.stuck.attempts++
				w.failed("journal", err, w.stuck.attempts)
			}
			w.stuck.err = err
			return
		}
		if w.stuck.from = to; kept {
			b = nil
			break
		}
	}
	hadFailed := w.stuck.attempts > 0
	w.stuck = stuckBatch{}
	if hadFailed {
		w.recoveredFrom()
	}
	if b != nil {
		w.memory.put(b)
	}
}

// failed counts an error, and logs the first of a row and then fewer and fewer.
func (w *Writer) failed(what string, err error, attempt int) {
	w.count(func(s *WriterStats) { s.Failures++; s.Failing = what + ": " + err.Error() })
	if attempt&(attempt-1) == 0 {
		w.cfg.Logger.Error("storage fails", "what", what, "attempt", attempt, "err", err)
	}
}

// mishap counts an error that no flow has to wait for, and logs it, but not more than once a minute. The goroutine of the
// appends calls it too.
func (w *Writer) mishap(what string, err error) {
	log := false
	w.count(func(s *WriterStats) {
		s.Failures++
		if now := time.Now(); now.Sub(w.logged[what]) >= time.Minute {
			log = true
			w.logged[what] = now
		}
	})
	if log {
		w.cfg.Logger.Warn("storage fails and goes on", "what", what, "err", err)
	}
}

// recoveredFrom says that a failure is over, if no other is going on.
func (w *Writer) recoveredFrom() {
	for _, s := range slices.Concat(w.open, w.closing) {
		if s.attempts > 0 {
			return
		}
	}
	w.count(func(s *WriterStats) { s.Failing = "" })
	w.cfg.Logger.Info("storage works again")
}

// forgive lets everything that failed before be tried again at once: these are the last attempts.
func (w *Writer) forgive() {
	w.stuck.attempts = 0
	for _, s := range slices.Concat(w.open, w.closing) {
		s.attempts, s.retry = 0, time.Time{}
	}
}
