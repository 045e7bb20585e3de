package collector

import (
	"encoding/json"
	"sync"
	"time"
)

// ledgerAge is how old an account may be that is written with an append, for it costs some work where exporters are many.
// The last one is always new.
const ledgerAge = time.Second

// ledger makes the accounts that stand in the footers of files. A file's says what happened between the last append of
// the file before it and its own last append, so the ledgers of all files together are the account of the whole run.
type ledger struct {
	mu     sync.Mutex
	files  uint64 // finished when the ledger was last asked for
	base   Stats  // where this file's account begins
	latest Stats  // where it ends as yet
	text   []byte // the difference, as JSON
}

// ledgerJSON is asked by the storage with each append.
func (c *Collector) ledgerJSON() []byte {
	if !c.ready.Load() {
		return nil // New has not returned: a file of an earlier run keeps its ledger
	}
	l := &c.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	files := c.writer.Stats().Files
	if l.text != nil && files == l.files && !c.ended.Load() && time.Since(l.latest.Until) < ledgerAge {
		return l.text
	}
	if files != l.files {
		l.files, l.base = files, l.latest
	}
	if l.latest = c.Stats(); l.base.Until.IsZero() {
		l.base.Until = l.latest.Since
	}
	s := l.latest.since(&l.base)
	text, err := json.Marshal(s.report())
	if err != nil {
		panic(err) // numbers and strings of our own
	}
	l.text = text
	return text
}
