package collector

import (
	"encoding/json"
	"sync"
)

// ledger makes the accounts that stand in the footers of files. A file's says what happened between the last append of
// the file before it and its own last append, so the ledgers of all files together are the account of the whole run.
type ledger struct {
	mu     sync.Mutex
	files  uint64 // finished when the ledger was last asked for
	base   Stats  // where this file's account begins
	latest Stats  // what was last given out
}

// ledgerJSON is asked by the storage with each append.
func (c *Collector) ledgerJSON() []byte {
	if !c.ready.Load() {
		return nil // New has not returned: a file of an earlier run keeps its ledger
	}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	l := &c.ledger
	now := c.Stats()
	if now.Storage.Files != l.files {
		l.files, l.base = now.Storage.Files, l.latest
	}
	l.latest = now
	if l.base.Until.IsZero() {
		l.base.Until = now.Since
	}
	s := now.since(&l.base)
	text, err := json.Marshal(s.report())
	if err != nil {
		panic(err) // numbers and strings of our own
	}
	return text
}
