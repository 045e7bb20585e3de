package storage

import (
	"path"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/stream"
)

const (
	// cutAfter is how many bytes of flows that are in Parquet already may stay in a journal with newer ones behind them.
	cutAfter = 32 << 20
	// heldGroups bounds the flows that wait for Parquet in memory, in row groups; what exceeds it is read again from
	// the journal.
	heldGroups = 6
	// patience is how many times the append interval may be stretched to keep old footers few.
	patience = 10
	// firstAppend is how long the first flows of a slot wait: so soon there is a Parquet file to look at.
	firstAppend = 2 * time.Second
)

// slot is a slot that is not finished: its journal, the flows that are not in Parquet, and the open Parquet file.
// The writer's goroutine owns it; hot belongs to the append that is running.
type slot struct {
	start, end time.Time
	lo, hi     netflow.Timestamp // the same
	dir        string
	journal    *journal
	spans      []span
	rows       int // of the spans
	running    int // spans that are in a running append
	part       int // the open Parquet file's, or the next one's
	hot        *hot

	attempts int   // failed ones in a row
	err      error // of the last
	retry    time.Time
}

func newSlot(start time.Time, rotate time.Duration, nesting int) *slot {
	end := start.Add(rotate)
	return &slot{
		start: start, end: end,
		lo: netflow.TimestampOf(start), hi: netflow.TimestampOf(end),
		dir: slotFolder(start, nesting),
	}
}

// journalPath returns the journal's name in the folder.
func (s *slot) journalPath() string {
	return path.Join(s.dir, fileName{slot: s.start, kind: kindJournal}.String())
}

// memory lends out batches for flows that wait for Parquet, and takes back those of producers.
type memory struct {
	free chan *netflow.Batch
	held int // rows of capacity that wait in spans
	max  int
}

func newMemory(cfg *Config) *memory {
	return &memory{free: make(chan *netflow.Batch, cfg.Queue), max: heldGroups*cfg.RowGroup + 4*BatchRows}
}

// get returns an empty batch of BatchRows rows. It may be called by any goroutine.
func (m *memory) get() *netflow.Batch {
	select {
	case b := <-m.free:
		return b
	default:
		return netflow.NewBatch(BatchRows)
	}
}

// put takes a batch that nobody needs any more. It may be called by any goroutine.
func (m *memory) put(b *netflow.Batch) {
	if b.Cap() != BatchRows {
		return
	}
	b.Reset()
	select {
	case m.free <- b:
	default:
	}
}

// add puts rows from <= i < to of b into the journal and remembers them for Parquet. It reports whether the slot keeps b,
// which it does only when it may and it is worth it.
func (s *slot) add(m *memory, b *netflow.Batch, from, to int, mayKeep bool) (kept bool, err error) {
	added, err := s.journal.append(b, from, to)
	if err != nil {
		return false, err
	}
	s.rows += added.rows
	last := s.last()
	switch {
	case last != nil && last.batch != nil && last.batch.Room() >= added.rows:
		last.batch.AppendRows(b, from, to)
		last.extend(added)
		return false, nil
	case m.held+max(b.Cap(), BatchRows) > m.max:
		if last != nil && last.batch == nil && last.rows+added.rows <= stream.MaxRows {
			last.extend(added)
			return false, nil
		}
	case mayKeep && added.rows >= b.Cap()/2:
		added.batch, kept = b, true
		m.held += b.Cap()
	case added.rows <= BatchRows:
		added.batch = m.get()
		added.batch.AppendRows(b, from, to)
		m.held += added.batch.Cap()
	}
	s.spans = append(s.spans, added)
	return kept, nil
}

// last returns the span that may still grow.
func (s *slot) last() *span {
	if len(s.spans) == s.running {
		return nil
	}
	return &s.spans[len(s.spans)-1]
}

func (p *span) extend(by span) {
	p.last, p.end, p.rows = by.last, by.end, p.rows+by.rows
}

// take returns the oldest spans, as many as make a row group.
func (s *slot) take(rowGroup int) []span {
	n, rows := 0, 0
	for n < len(s.spans) && rows < rowGroup {
		rows += s.spans[n].rows
		n++
	}
	s.running = n
	return s.spans[:n:n]
}

// taken forgets the spans of the append that ran: they are in Parquet, or lost for good.
func (s *slot) taken(m *memory) (rows int) {
	for i := range s.spans[:s.running] {
		p := &s.spans[i]
		rows += p.rows
		if p.batch != nil {
			m.held -= p.batch.Cap()
			m.put(p.batch)
		}
	}
	s.spans = append(s.spans[:0:0], s.spans[s.running:]...)
	s.rows -= rows
	s.running = 0
	return rows
}

// cutJournal shortens the journal when that is worth its cost: when none of its flows are needed, or at least half of many.
func (s *slot) cutJournal(cutAfter int64) error {
	from := s.journal.size
	if len(s.spans) > 0 {
		from = s.spans[0].off
	}
	dead := from - int64(len(stream.AppendHeader(nil)))
	live := s.journal.size - from
	if !s.journal.damaged && (dead == 0 || live > 0 && (dead < cutAfter || dead < live)) {
		return nil
	}
	shift, err := s.journal.cut(from)
	for i := range s.spans {
		s.spans[i].off -= shift
		s.spans[i].end -= shift
	}
	return err
}

// due reports whether an append is worth it now: what failed before, a full row group, or flows that have waited long enough
// for the price of one more footer.
func (s *slot) due(cfg *Config, now time.Time) bool {
	switch {
	case now.Before(s.retry):
		return false
	case s.attempts > 0:
		return true // also without flows: only the file's end may have failed
	case s.rows == 0:
		return false
	}
	age := now.Sub(s.spans[0].born)
	switch {
	case s.rows >= s.rowGroup(cfg), age >= patience*cfg.MaxInterval, s.hot == nil && s.part == 0 && age >= firstAppend:
		return true
	case age >= cfg.MaxInterval:
		return s.hot == nil || s.hot.affordable()
	}
	return false
}

// rowGroup returns how many rows make a row group: in a slot of many parts more, so that footers and their number grow
// slower than the flows.
func (s *slot) rowGroup(cfg *Config) int {
	return cfg.RowGroup << min(s.part, 2)
}
