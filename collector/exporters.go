package collector

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
)

// exporterKey is what accounts are kept by.
type exporterKey struct {
	address netip.Addr
	domain  uint32
	version uint8
}

func keyOf(e *decode.ExporterStats) exporterKey { return exporterKey{e.Exporter, e.Domain, e.Version} }

func sortExporters(es []decode.ExporterStats) {
	slices.SortFunc(es, func(a, b decode.ExporterStats) int {
		return cmp.Or(a.Exporter.Compare(b.Exporter), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Domain, b.Domain))
	})
}

func index(es []decode.ExporterStats) map[exporterKey]*decode.ExporterStats {
	m := make(map[exporterKey]*decode.ExporterStats, len(es))
	for i := range es {
		m[keyOf(&es[i])] = &es[i]
	}
	return m
}

// merge adds the account of another decoder. An exporter that sends to two sockets is in it once.
func merge(a, b decode.Stats) decode.Stats {
	change(&a.Counters, &b.Counters, 1)
	a.Forgotten += b.Forgotten
	a.Templates += b.Templates
	a.TemplateBytes += b.TemplateBytes
	a.Evicted += b.Evicted
	known := index(a.Exporters)
	var others []decode.ExporterStats
	for _, e := range b.Exporters {
		have := known[keyOf(&e)]
		if have == nil {
			others = append(others, e)
			continue
		}
		change(&have.Counters, &e.Counters, 1)
		have.FirstSeen = min(have.FirstSeen, e.FirstSeen)
		if e.LastSeen > have.LastSeen {
			have.LastSeen, have.ClockOffset, have.SamplingRate = e.LastSeen, e.ClockOffset, e.SamplingRate
		}
		have.Templates += e.Templates
		for id, n := range e.WithoutTemplate {
			if have.WithoutTemplate == nil {
				have.WithoutTemplate = make(map[uint16]uint64)
			}
			have.WithoutTemplate[id] += n
		}
	}
	a.Exporters = append(a.Exporters, others...)
	return a
}

// since returns what happened between an earlier account and s: the differences of the counters, and only the exporters
// that were heard in between. What is a state and not a counter, such as Pending and Storage, is as in s.
func (s Stats) since(before *Stats) Stats {
	s.Since = before.Until
	s.Datagrams -= before.Datagrams
	s.Truncated -= before.Truncated
	s.KernelDrops -= before.KernelDrops
	s.Refused -= before.Refused
	s.Stored -= before.Stored
	s.Lost.QueueFull -= before.Lost.QueueFull
	s.Lost.Unfinished -= before.Lost.Unfinished
	s.Lost.Disk -= before.Lost.Disk
	change(&s.Decode.Counters, &before.Decode.Counters, minus)
	old := index(before.Decode.Exporters)
	exporters := s.Decode.Exporters
	s.Decode.Exporters = nil
	for _, e := range exporters {
		// One that was forgotten and came back has begun to count again.
		if o := old[keyOf(&e)]; o != nil && o.FirstSeen == e.FirstSeen {
			if e.Datagrams == o.Datagrams {
				continue
			}
			change(&e.Counters, &o.Counters, minus)
			e.FirstSeen = max(e.FirstSeen, netflow.TimestampOf(before.Until))
		}
		s.Decode.Exporters = append(s.Decode.Exporters, e)
	}
	return s
}

const minus = ^uint64(0) // -1, for sums that wrap

// change adds sign times b to a.
func change(a, b *decode.Counters, sign uint64) {
	a.Datagrams += sign * b.Datagrams
	a.Bytes += sign * b.Bytes
	a.Flows += sign * b.Flows
	a.Options += sign * b.Options
	a.Undated += sign * b.Undated
	a.TemplatesNew += sign * b.TemplatesNew
	a.TemplatesRefreshed += sign * b.TemplatesRefreshed
	a.TemplatesChanged += sign * b.TemplatesChanged
	a.Withdrawals += sign * b.Withdrawals
	a.SetsWithoutTemplate += sign * b.SetsWithoutTemplate
	a.Lost += sign * b.Lost
	a.Gaps += sign * b.Gaps
	a.Reordered += sign * b.Reordered
	a.Duplicates += sign * b.Duplicates
	a.Resets += sign * b.Resets
	for i := range a.Malformed {
		a.Malformed[i] += sign * b.Malformed[i]
	}
}
