// Package uptime chooses the two clocks that the headers of NetFlow v1, v5 and v9 carry, so that the times of flows
// survive the journey.
//
// Those formats date a flow by sysUptime: milliseconds since the exporter booted, 32 bits. A collector computes
// unix_secs*1000 - (sysUptime - First) (RFC 3954 section 5.1), so a flow time is exact when the header's two clocks
// are. A Clock therefore makes up a boot that lies on a whole second before every flow it has seen, whatever year the
// packets are from, and header times on whole seconds too: version 9 has no fraction, and some collectors ignore the
// nanoseconds of version 5. The header is never earlier than the end of a flow in its message: nfcapd takes such an end
// for a wrapped one and dates the flow 49.7 days back.
//
// A message is one epoch of the clock: before 2^31 ms are over, which is where signed differences end, the boot moves,
// and it moves between messages only. The caller asks Holds, completes its message if not, and calls Rebase.
package uptime

import "github.com/caprock-net/caprock/netflow"

const (
	margin  = 3600_000           // ms between the boot and the flow it is chosen by: room for flows that began earlier
	window  = 24 * 24 * 3600_000 // ms after the boot in which flows may end, less than 2^31
	longest = window / 2         // ms that a flow may last
	maxUnix = (1<<32 - 1) * 1000 // ms: the last second that 32 bits of unix seconds can name, in 2106
)

// MaxDuration is the longest flow that can be expressed, in microseconds; of a longer one the start is moved.
const MaxDuration = longest * 1000

// Span is a flow's time from first to last packet, in whole milliseconds since 1970.
type Span struct{ start, end int64 }

// SpanOf takes a flow's times. A time that is not told (zero or before 1970) is replaced by the other one, or by now; a
// flow that ends before it starts ends when it starts.
func SpanOf(now netflow.Timestamp, start, end netflow.Timestamp) Span {
	s := Span{int64(start) / 1000, int64(end) / 1000}
	if start <= 0 || end <= 0 {
		s = told(now, start, end)
	}
	s.start = min(s.start, maxUnix)
	s.end = min(max(s.start, s.end), maxUnix)
	if s.end-s.start > longest {
		s.start = s.end - longest
	}
	return s
}

func told(now, start, end netflow.Timestamp) Span {
	if start <= 0 {
		start = end
	}
	if start <= 0 {
		start = max(now, 0)
	}
	return Span{int64(start) / 1000, int64(max(start, end)) / 1000}
}

// Clock holds the made-up boot. The zero Clock holds no flow and wants a Rebase first.
type Clock struct {
	boot   int64 // ms since 1970, a whole second
	header int64 // the newest header time given out, ms since 1970, a whole second
	latest int64 // the newest end in the message at hand, ms since 1970
	epochs int   // number of Rebase calls
}

// Holds reports whether a flow can be expressed with the present boot.
func (c *Clock) Holds(s Span) bool {
	return s.start >= c.boot && s.end <= c.boot+window && c.epochs > 0
}

// Rebase chooses a boot by a flow that the clock does not hold. No message may be under way.
func (c *Clock) Rebase(s Span) {
	c.boot = floor(s.start) - margin
	c.epochs++
	c.latest = 0
	if c.header > c.boot+window {
		c.header = 0 // an earlier epoch, as when an older capture is replayed after a younger
	}
}

// Uptimes expresses a flow that the clock holds, and remembers its end for the header.
func (c *Clock) Uptimes(s Span) (first, last uint32) {
	c.latest = max(c.latest, s.end)
	return uint32(s.start - c.boot), uint32(s.end - c.boot)
}

// Header returns the clocks of the message that has the flows passed to Uptimes since the last call: the whole second at
// or before now, but never before the end of one of them nor before an earlier header. A now beyond the reach of the
// boot is ignored: the flows are of another time.
func (c *Clock) Header(now netflow.Timestamp) (unixSeconds, sysUptime uint32) {
	h := floor(int64(now) / 1000)
	if h < c.latest || h > c.boot+window {
		h = floor(c.latest + 999)
	}
	h = max(h, c.header)
	c.header, c.latest = h, 0
	return uint32(h / 1000), uint32(h - c.boot)
}

// floor cuts ms to the whole second before; boots of captures dated 1970 are negative.
func floor(ms int64) int64 {
	s := ms / 1000
	if ms%1000 < 0 {
		s--
	}
	return s * 1000
}
