package collector

import (
	"net/netip"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/collector/listen"
	"github.com/caprock-net/caprock/collector/replay"
	"github.com/caprock-net/caprock/storage"
)

// Stats is the account of a Collector since New. When it has stopped, nothing is pending and two sums are exact:
//
//	Datagrams     = Refused + Unusable() + Used()
//	Decode.Flows  = Stored + Pending + Lost.Total()
//
// While it runs the parts are read one after the other, and what is on its way counts as pending.
type Stats struct {
	Since, Until time.Time
	Sockets      []SocketStats
	Captures     replay.Stats

	Datagrams   uint64 // from sockets and captures
	Truncated   uint64 // of them, longer than a buffer: decoded as far as they go
	KernelDrops uint64 // datagrams that never came here, for the receive buffer was full
	Refused     uint64 // datagrams of exporters that are not allowed

	Decode  decode.Stats // all lanes together
	Stored  uint64       // flows in files or their journal, those of earlier runs not counted
	Pending uint64       // flows on their way there
	Lost    Lost
	Storage storage.WriterStats
}

// SocketStats is the account of one socket.
type SocketStats struct {
	Address       netip.AddrPort
	ReceiveBuffer int // bytes that the kernel gave
	listen.Stats
}

// Lost counts flows that were decoded and not stored, by reason.
type Lost struct {
	QueueFull  uint64 // the storage did not keep up
	Unfinished uint64 // the storage did not take them any more when the collector ended
	Disk       uint64 // the storage could not write them, or not read them again
}

// Total returns the sum over all reasons.
func (l Lost) Total() uint64 { return l.QueueFull + l.Unfinished + l.Disk }

// Unusable returns how many datagrams were no export of a known version: nothing in them was looked at.
func (s *Stats) Unusable() uint64 {
	m := &s.Decode.Malformed
	return m[decode.ShortHeader] + m[decode.UnknownVersion]
}

// Used returns how many datagrams were decoded, though some perhaps not to their end: Decode.Malformed tells.
func (s *Stats) Used() uint64 { return s.Decode.Datagrams - s.Unusable() }

// Stats returns the account. It may be called at any time, also after Run.
func (c *Collector) Stats() Stats {
	// Downstream first: what moves on meanwhile then counts as pending, never as stored and not decoded.
	s := Stats{Since: c.started, Storage: c.writer.Stats()}
	s.Lost.Disk = s.Storage.Lost.Total()
	for _, l := range c.lanes {
		s.Lost.QueueFull += l.queueFull.Load()
		s.Lost.Unfinished += l.unfinished.Load()
		s.Refused += l.refused.Load()
		s.Decode = merge(s.Decode, l.decoder.Stats())
	}
	sortExporters(s.Decode.Exporters)
	c.mu.Lock()
	s.Captures = c.captures
	c.mu.Unlock()
	s.Datagrams = c.replayed.Load()
	for _, socket := range c.sockets {
		_, got := socket.ReceiveBuffer()
		st := SocketStats{Address: socket.Addr(), ReceiveBuffer: got, Stats: socket.Stats()}
		s.Sockets = append(s.Sockets, st)
		s.Datagrams += st.Datagrams
		s.Truncated += st.Truncated
		s.KernelDrops += st.KernelDrops
	}
	s.Stored = s.Storage.Flows - s.Storage.Recovered.Flows - s.Storage.Lost.Unreadable
	s.Pending = s.Decode.Flows - s.Stored - s.Lost.Total()
	s.Until = time.Now()
	return s
}
