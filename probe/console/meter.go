package console

import (
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Meter is the probe as the console sees it. Its methods may be called at any time from any goroutine.
type Meter interface {
	Sources() []Source
	Cache() Cache
	// Flows calls f for each flow held until it returns false; the record is valid during the call. SrcIf is the name of the
	// interface or file that the flow's packets came from.
	Flows(f func(srcIf string, r *netflow.Record) bool)
	// Shutdown ends the probe in order. It returns at once.
	Shutdown()
}

// Source is an interface or file that is metered.
type Source struct {
	Name     string
	Down     bool   // it has failed, or ended early
	Received uint64 // packets
	Dropped  uint64 // by the kernel
}

// Cache is the flow cache.
type Cache struct {
	Flows            int
	Bytes            int64  // of memory for them
	Failures         uint64 // flows that ended early because the table was full
	Active, Inactive time.Duration
	Exported         bool // flows go to a collector
}
