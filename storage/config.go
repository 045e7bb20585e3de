package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// BatchRows is the capacity of the batches that a Writer gives out. It is at most stream.MaxRows.
const BatchRows = 8192

// Config says how a Writer keeps a folder. DefaultConfig has sensible values for all but Dir.
type Config struct {
	Dir         string        // the folder; it must exist
	Rotate      time.Duration // length of a slot: a divisor of a day, at least a minute
	Nesting     int           // folders below Dir: 0 none, 1 YYYY, 2 YYYY/YYYY-MM, 3 YYYY/YYYY-MM/YYYY-MM-DD
	Sync        time.Duration // how often the journal is fsynced: the bound of what a power loss costs
	RowGroup    int           // rows of a Parquet row group
	MaxInterval time.Duration // a row group is appended after so long even if it is not full
	Queue       int           // batches that Write accepts beyond what has been put into the journal
	Patience    time.Duration // of Run, told to end, with Parquet; then the rest is left in the journal. 0: without end

	// Now ends slots in which no flow arrives any more. A program that replays old datagrams gives the time of the
	// last one.
	Now func() time.Time
	// Ledger returns JSON for the key caprock.ledger of a file's footer. It is called at each append, from a goroutine of
	// the Writer; nil: no ledger.
	Ledger func() []byte
	Logger *slog.Logger // nil: no log
}

// DefaultConfig returns hourly slots, three levels of folders, an fsync a second, and row groups of 131072 flows or a
// minute.
func DefaultConfig() Config {
	return Config{
		Rotate:      time.Hour,
		Nesting:     3,
		Sync:        time.Second,
		RowGroup:    131072,
		MaxInterval: time.Minute,
		Queue:       32,
		Now:         time.Now,
		Logger:      slog.New(slog.DiscardHandler),
	}
}

// Validate returns every complaint about the configuration, joined.
func (c *Config) Validate() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		complain("no folder to write to")
	}
	if c.Rotate < time.Minute || c.Rotate > day || day%c.Rotate != 0 || c.Rotate%time.Second != 0 {
		complain("rotation of %v: want a divisor of a day from 1m to 24h, in whole seconds", c.Rotate)
	}
	if c.Nesting < 0 || c.Nesting > 3 {
		complain("nesting of %d levels: want 0 to 3", c.Nesting)
	}
	if c.Sync <= 0 {
		complain("sync interval of %v: want more than nothing", c.Sync)
	}
	if c.RowGroup < 1 || c.RowGroup > 1<<24 {
		complain("row group of %d rows: want 1 to %d", c.RowGroup, 1<<24)
	}
	if c.MaxInterval <= 0 {
		complain("append interval of %v: want more than nothing", c.MaxInterval)
	}
	if c.Queue < 1 {
		complain("queue of %d batches: want at least 1", c.Queue)
	}
	return errors.Join(errs...)
}

// withDefaults replaces zero values by those of DefaultConfig. Nesting 0 is a value.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Rotate == 0 {
		c.Rotate = d.Rotate
	}
	if c.Sync == 0 {
		c.Sync = d.Sync
	}
	if c.RowGroup == 0 {
		c.RowGroup = d.RowGroup
	}
	if c.MaxInterval == 0 {
		c.MaxInterval = d.MaxInterval
	}
	if c.Queue == 0 {
		c.Queue = d.Queue
	}
	if c.Now == nil {
		c.Now = d.Now
	}
	if c.Logger == nil {
		c.Logger = d.Logger
	}
	return c
}
