package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

var (
	// ErrFull means that the disk, or the processor, does not keep up: the batch stays with the caller.
	ErrFull = errors.New("queue of the storage is full")
	// ErrClosed means that the writer has been told to stop.
	ErrClosed = errors.New("storage is closed")
)

// Writer owns a folder and puts flows into it. NewWriter locks the folder and takes up what a crash left; Run does the
// work, and finishes everything when its context ends; Write and WriteWait hand over flows in the meantime.
type Writer struct {
	cfg    Config
	folder folder
	lock   io.Closer
	queue  *queue
	memory *memory

	// Owned by Run.
	open    []*slot // the slot that takes flows, behind it for a moment the one before
	closing []*slot // over; oldest first
	newest  time.Time
	stuck   stuckBatch
	job     *job // running, or nil
	syncing bool
	giveUp  time.Time // of appends: what is not in Parquet then stays in the journal; zero: never

	firstRetry time.Duration // as the constants, but for tests
	maxGroups  int
	cutAfter   int64

	ending atomic.Bool // Run was told to end

	mu     sync.Mutex
	stats  WriterStats
	logged map[string]time.Time // mishaps
}

// WriterStats counts what happened since NewWriter. Flows = Stored + Pending + Lost.Unreadable, once Write's queue is empty.
type WriterStats struct {
	Flows    uint64 // put into the journal, those recovered included
	Stored   uint64 // of them, in Parquet files
	Pending  uint64 // of them, only in the journal yet
	Durable  uint64 // of them, safe from a loss of power
	Queued   int    // batches that wait for the journal
	Journal  uint64 // bytes written to journals
	Parquet  uint64 // bytes written to Parquet files
	Appends  uint64 // row groups appended
	Files    uint64 // files finished
	Refused  uint64 // calls of Write that returned ErrFull
	Failures uint64 // operations on files that failed
	Failing  string // what the last one said, as long as flows have to wait for it; else empty

	Recovered Recovered
	Lost      Lost
}

// Recovered says what NewWriter took up after a crash.
type Recovered struct {
	Slots     int    // that were not finished
	Flows     uint64 // in journals and not in Parquet
	TornBytes int64  // cut off the ends of journals and Parquet files: what was being written
}

// Lost counts flows that were accepted and could not be stored, by reason.
type Lost struct {
	Unreadable  uint64 // the journal gave other bytes than were written
	Unjournaled uint64 // the writer ended while the disk refused them
}

// Total returns the sum over all reasons.
func (l Lost) Total() uint64 { return l.Unreadable + l.Unjournaled }

// NewWriter locks the folder and takes up what a crash left there. Zero fields of cfg other than Dir and Nesting mean the
// values of DefaultConfig. The error wraps ErrLocked when somebody else owns the folder.
func NewWriter(cfg Config) (*Writer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	f, err := openFolder(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	lock, err := lockFolder(f.root)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("storage %s: %w", cfg.Dir, err), f.Close())
	}
	return newWriter(cfg, f, lock)
}

// newWriter is NewWriter on a folder that a test may have wrapped.
func newWriter(cfg Config, f folder, lock io.Closer) (*Writer, error) {
	w := &Writer{
		cfg: cfg, folder: f, lock: lock, queue: newQueue(cfg.Queue), memory: newMemory(&cfg),
		firstRetry: firstRetry, maxGroups: maxGroups, cutAfter: cutAfter, logged: map[string]time.Time{},
	}
	if err := w.adopt(); err != nil {
		return nil, errors.Join(fmt.Errorf("storage %s: %w", cfg.Dir, err), w.Close())
	}
	return w, nil
}

// Batch returns an empty batch to fill. A producer asks for one when it starts; after that Write keeps it supplied.
func (w *Writer) Batch() *netflow.Batch { return w.memory.get() }

// Write hands over a batch and returns an empty one to fill next. It never waits: when the error is ErrFull or ErrClosed
// nothing was taken, and the batch returned is b.
func (w *Writer) Write(b *netflow.Batch) (*netflow.Batch, error) {
	if b.Len() == 0 {
		return b, nil
	}
	if err := w.queue.push(b); err != nil {
		if errors.Is(err, ErrFull) {
			w.count(func(s *WriterStats) { s.Refused++ })
		}
		return b, err
	}
	return w.memory.get(), nil
}

// WriteWait is Write for a producer that can wait, as one that reads files: until there is room, or ctx ends.
func (w *Writer) WriteWait(ctx context.Context, b *netflow.Batch) (*netflow.Batch, error) {
	if b.Len() == 0 {
		return b, nil
	}
	if err := w.queue.pushWait(ctx, b); err != nil {
		return b, err
	}
	return w.memory.get(), nil
}

// Stats returns the counters as they are now.
func (w *Writer) Stats() WriterStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Queued = w.queue.len()
	s.Pending = s.Flows - s.Stored - s.Lost.Unreadable
	return s
}

func (w *Writer) count(f func(*WriterStats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.stats)
}

// Close gives the folder back without finishing anything; what is open is taken up by the next NewWriter. It is for a
// Writer whose Run is not called, or has returned.
func (w *Writer) Close() error {
	if w.lock == nil {
		return nil
	}
	w.queue.close()
	var errs []error
	for _, s := range append(w.open, w.closing...) {
		errs = append(errs, s.abandon())
	}
	w.open, w.closing = nil, nil
	errs = append(errs, w.folder.Close(), w.lock.Close())
	w.lock = nil
	return errors.Join(errs...)
}
