package probe

import (
	"slices"
	"sync/atomic"

	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/capture"
)

// origin is what the Summary shows as one source: a file, or an interface, with all its rings and over all its lives.
type origin struct {
	name string
	feed *account.Interface // of the accounting table; nil: there is none

	comes   bool          // it is an interface that comes and goes
	lives   atomic.Int32  // how often it is there at the moment: an interface may come again before the former is done with
	returns atomic.Uint64 // times that it has come again
}

func (p *Probe) origin(name string) *origin { return &origin{name: name, feed: p.feed(name)} }

// gone reports whether it is not there at the moment.
func (o *origin) gone() bool { return o.comes && o.lives.Load() == 0 }

// sourceState is what one meter reads of an origin: a file, or a ring of an interface; and what came of it.
type sourceState struct {
	*origin
	ring   int            // of the interface; or what a worker has of a file
	source capture.Source // nil when it is at its end
	counts verdicts
	stats  capture.Stats // at its end
	err    error         // what ended it, if not its end
}

// total is what came of an origin.
type total struct {
	*origin
	counts verdicts
	stats  capture.Stats
	err    error
	first  bool // stats has what a first ring says
}

// add adds what a meter has. Every ring sees that an interface goes down; the first one says so, and has the counters of
// the interface, which are known if they are of all lives.
func (t *total) add(s *sourceState) {
	stats := s.stats
	if s.source != nil {
		stats = s.source.Stats()
	}
	switch {
	case s.ring > 0:
		t.stats.Dropped += stats.Dropped
		t.stats.Duplicate += stats.Duplicate
	case t.first:
		t.stats.Add(stats)
	default:
		t.first = true
		stats.Dropped += t.stats.Dropped
		stats.Duplicate += t.stats.Duplicate
		t.stats = stats
	}
	t.counts.add(s.counts)
	if s.err != nil {
		t.err = s.err
	}
}

// totals adds up what meters have, which stand still meanwhile, in the order in which they have got it.
func totals(meters []*meter) []*total {
	var all []*total
	of := map[*origin]*total{}
	for _, m := range meters {
		for _, s := range m.sources {
			t := of[s.origin]
			if t == nil {
				t = &total{origin: s.origin}
				of[s.origin] = t
				all = append(all, t)
			}
			t.add(s)
		}
	}
	return all
}

// merge makes one of a meter's sources of an origin, which have ended.
func merge(sources []*sourceState, o *origin) []*sourceState {
	sum := total{origin: o}
	var merged *sourceState
	sources = slices.DeleteFunc(sources, func(s *sourceState) bool {
		if s.origin != o {
			return false
		}
		sum.add(s)
		if merged == nil {
			merged = s
			return false
		}
		return true
	})
	if merged != nil {
		merged.counts, merged.stats, merged.err = sum.counts, sum.stats, sum.err
		if sum.first {
			merged.ring = 0
		}
	}
	return sources
}
