package decode

import (
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

const (
	lateWindow = 32        // datagrams that a late one may be behind
	maxGaps    = 16        // gaps remembered for late datagrams to fill
	maxRate    = 4_000_000 // units a second that an exporter may plausibly send; a greater leap is no loss
	uptimeSlip = 60_000    // ms that the uptimes of reordered datagrams may differ by; a greater fall is a restart
)

// sequence follows the sequence numbers of one exporter, domain and version. Their unit is a flow record (v5, v7), a
// datagram (v9) or a data record (IPFIX); all arithmetic is modulo 2^32.
type sequence struct {
	started   bool
	unsure    bool   // units of the last datagram could not be counted: next is only the least that may come
	next      uint32 // number that the next datagram should have
	uptime    uint32 // of the last datagram in order, ms
	received  netflow.Timestamp
	datagrams uint32    // in order, for ages
	floor     [2]uint32 // numbers that lateWindow to 2*lateWindow datagrams ago, and up to lateWindow ago, began with
	gaps      []gap
}

// gap is a run of units that did not come (yet).
type gap struct {
	from, to uint32
	at       uint32 // datagrams in order when it was found
}

// arrival is what one datagram tells about its place in the sequence.
type arrival struct {
	number    uint32
	units     uint32 // that it brought
	exact     bool   // units is not a lower bound
	uptime    uint32
	hasUptime bool
	received  netflow.Timestamp
}

// follow takes the next datagram into account.
func (s *sequence) follow(a arrival, c *Counters) {
	distance := int32(a.number - s.next)
	switch {
	case !s.started:
		s.restart(a)
	case distance == 0, s.unsure && distance > 0:
		s.advance(a)
	case a.hasUptime && int32(a.uptime-s.uptime) < -uptimeSlip:
		c.Resets++
		s.restart(a)
	case distance > 0:
		seconds := max(int64(a.received-s.received), 0)/1e6 + 2
		if int64(distance) > seconds*maxRate {
			c.Resets++
			s.restart(a)
			return
		}
		c.Gaps++
		c.Lost += uint64(distance)
		s.remember(gap{from: s.next, to: a.number, at: s.datagrams})
		s.advance(a)
	case s.fill(a, c):
		c.Reordered++
	case int32(a.number-s.floor[0]) >= 0:
		if a.units == 0 {
			c.Reordered++ // only templates: it may have been sent between any two
		} else {
			c.Duplicates++
		}
	default:
		c.Resets++
		s.restart(a)
	}
}

func (s *sequence) restart(a arrival) {
	*s = sequence{started: true, floor: [2]uint32{a.number, a.number}, gaps: s.gaps[:0]}
	s.advance(a)
}

func (s *sequence) advance(a arrival) {
	s.next = a.number + a.units
	s.unsure = !a.exact
	s.uptime, s.received = a.uptime, a.received
	if s.datagrams++; s.datagrams%lateWindow == 0 {
		s.floor[0], s.floor[1] = s.floor[1], a.number
	}
}

// fill takes the units of a late datagram out of the gap that it left, if that is not too long ago.
func (s *sequence) fill(a arrival, c *Counters) bool {
	for i, g := range s.gaps {
		if s.datagrams-g.at > lateWindow || a.number-g.from >= g.to-g.from {
			continue
		}
		found := min(a.units, g.to-a.number)
		c.Lost -= uint64(found)
		s.gaps = slices.Delete(s.gaps, i, i+1)
		s.remember(gap{from: g.from, to: a.number, at: g.at})
		s.remember(gap{from: a.number + found, to: g.to, at: g.at})
		return true
	}
	return false
}

// remember keeps a gap, unless it is empty, at the cost of those that are too old to be filled, or else of the oldest.
func (s *sequence) remember(g gap) {
	if g.from == g.to {
		return
	}
	s.gaps = slices.DeleteFunc(s.gaps, func(old gap) bool { return s.datagrams-old.at > lateWindow })
	if len(s.gaps) == maxGaps {
		s.gaps = slices.Delete(s.gaps, 0, 1)
	}
	s.gaps = append(s.gaps, g)
}
