package probe

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/export"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// Summary says what a probe has seen and what became of it. Balance lists the sums that hold. Its JSON is for programs.
type Summary struct {
	Sources []SourceSummary `json:"sources"`
	Packets PacketSummary   `json:"packets"`
	Flows   FlowSummary     `json:"flows"`
	Export  *ExportSummary  `json:"export,omitempty"`  // nil without destinations
	Archive *ArchiveSummary `json:"archive,omitempty"` // nil without an archive
	Tap     *TapSummary     `json:"tap,omitempty"`     // nil without one
}

// Tally counts flows, and the packets and IP bytes in them.
type Tally struct {
	Flows   uint64 `json:"flows"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

func tally(t export.Tally) Tally { return Tally(t) }

// SourceSummary is an interface or a file.
type SourceSummary struct {
	Name      string            `json:"name"`
	Packets   uint64            `json:"packets"`                      // read
	WireBytes uint64            `json:"wire_bytes"`                   // of them, link headers included
	Dropped   uint64            `json:"dropped"`                      // not read: the kernel's buffer was full
	Copies    uint64            `json:"copies,omitempty"`             // not read: leaving copies on the loopback interface
	Downs     uint64            `json:"downs,omitempty"`              // times that the interface went down
	Returns   uint64            `json:"returns,omitempty"`            // times that it was removed and came back
	Interface *InterfaceSummary `json:"interface_counters,omitempty"` // nil: not known, or a file
	Gone      bool              `json:"gone,omitempty"`               // it comes and goes, and is not there at the moment
	Error     string            `json:"error,omitempty"`              // what ended the source early
}

// InterfaceSummary is what the system counted at the interface meanwhile.
type InterfaceSummary struct {
	RxPackets uint64 `json:"rx_packets"`
	RxBytes   uint64 `json:"rx_bytes"`
	RxErrors  uint64 `json:"rx_errors"`
	RxDropped uint64 `json:"rx_dropped"`
	RxMissed  uint64 `json:"rx_missed"`
	TxPackets uint64 `json:"tx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`
}

// PacketSummary is what became of the packets read.
type PacketSummary struct {
	Read        uint64 `json:"read"`
	Metered     uint64 `json:"metered"`
	NonIP       uint64 `json:"non_ip"`
	Malformed   uint64 `json:"malformed"`    // announced as IP, but the header is cut or contradicts itself
	UnknownLink uint64 `json:"unknown_link"` // of a link type that is not read
	Underway    uint64 `json:"underway"`     // of files: read, but not yet with the worker that meters them
	Filtered    uint64 `json:"filtered"`     // of files: not wanted by the filter. On interfaces the kernel filters before they are read
	NotSampled  uint64 `json:"not_sampled"`  // left out by Config.Sample; of frames that are not IP too, unless flows are sampled
	IPBytes     uint64 `json:"ip_bytes"`     // of the packets metered, as their IP headers say
	Backwards   uint64 `json:"backwards"`    // metered, but older than one before
	Tunnelled   uint64 `json:"tunnelled"`    // metered by an IP header in a tunnel
	NotFollowed uint64 `json:"not_followed"` // metered by the header outside: in the tunnel no IP header could be read; or a later fragment
	Portless    uint64 `json:"portless"`     // metered without ports: later fragments, of which the first was not seen before
	ClockSteps  uint64 `json:"clock_steps"`  // times that the clock was set back by more than the active timeout
	Dropped     uint64 `json:"dropped"`      // not read: by the kernel
}

// FlowSummary is what became of the packets metered.
type FlowSummary struct {
	Ended     Tally  `json:"ended"`       // for all reasons
	Idle      uint64 `json:"idle"`        // of them: no packet for the inactive timeout
	Active    uint64 `json:"active"`      // longer than the active timeout
	EndOfFlow uint64 `json:"end_of_flow"` // FIN or RST
	Forced    uint64 `json:"forced"`      // at the end of the probe, or at a step of the clock
	Resources uint64 `json:"resources"`   // the table was full
	Held      Tally  `json:"held"`        // not yet ended
	Peak      uint64 `json:"peak"`        // most flows held at a time, by all interfaces and rings together at most
}

// ExportSummary is what became of the flows that ended.
type ExportSummary struct {
	Protocol   string               `json:"protocol"`
	Balance    string               `json:"balance"`    // none: every collector gets every flow; else each gets a part of them
	Given      Tally                `json:"given"`      // to the exporter
	QueueFull  Tally                `json:"queue_full"` // lost before it
	Underway   Tally                `json:"underway"`   // on the way to it
	IPv6       Tally                `json:"ipv6"`       // not carried by the protocol: IPv6 in v1 and v5
	NoAddress  Tally                `json:"no_address"` // not carried: metered without addresses
	Cut        Tally                `json:"cut"`        // counters too large for the protocol: the flows, and what is missing of them
	Split      uint64               `json:"split"`      // flows sent as several records
	Interfaces uint64               `json:"interfaces"` // flows whose interface is too large a number for the protocol
	Durations  uint64               `json:"durations"`  // flows sent with a later start: too long for the protocol
	Collectors []DestinationSummary `json:"collectors"`
}

// DestinationSummary is what became of the flows on the way to one collector.
type DestinationSummary struct {
	Name          string           `json:"name"`
	Remote        string           `json:"remote"`                // address and port
	Removed       bool             `json:"removed,omitempty"`     // by Reload
	Stream        bool             `json:"stream,omitempty"`      // over TCP or TLS, and not UDP
	Connections   uint64           `json:"connections,omitempty"` // of them
	Datagrams     uint64           `json:"datagrams"`             // or messages
	DatagramBytes uint64           `json:"datagram_bytes"`        // of payload
	Records       uint64           `json:"records"`
	Exported      Tally            `json:"exported"`
	Unconfirmed   Tally            `json:"unconfirmed,omitzero"` // of those exported: not acknowledged when a connection broke
	Buffered      Tally            `json:"buffered"`             // in datagrams that have not left, or waiting for a connection
	Missed        Tally            `json:"missed,omitzero"`      // flows of the time when it was none of the collectors
	Errors        map[string]int64 `json:"errors,omitempty"`     // of the socket, by reason: also when a second try succeeded
	Lost          map[string]Tally `json:"lost,omitempty"`       // not sent, by reason
	LostDatagrams uint64           `json:"lost_datagrams"`
}

// Summary counts everything up to now.
func (p *Probe) Summary() Summary {
	var s Summary
	s.Sources = []SourceSummary{}
	var refused Tally
	var tapped capture.TapCounts
	// All meters stand still meanwhile, and the exporter's figures are taken last: what it was given has left a meter.
	meters := p.all()
	for _, m := range meters {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.cache != nil {
			s.addCache(m.cache.Stats())
		}
		s.Packets.Underway += m.passed - m.taken
		refused.add(tally(m.refused))
		tapped.Add(m.tapped)
	}
	for _, source := range totals(meters) {
		s.addSource(source)
	}
	if p.tap != nil {
		s.Tap = tapSummary(p.cfg.Tap, tapped)
	}
	if p.archive != nil {
		s.Archive = archiveSummary(p.archive.Stats())
	}
	if p.exporter != nil {
		s.Export = summarize(&p.cfg.Export, p.exporter.Stats())
		s.Export.QueueFull = refused
		s.Export.Underway = s.Flows.Ended.minus(refused).minus(s.Export.Given)
	}
	return s
}

func (s *Summary) addSource(source *total) {
	c, stats := source.counts, source.stats
	sum := SourceSummary{
		Name: source.name, Packets: c.frames, WireBytes: c.bytes, Dropped: stats.Dropped, Copies: stats.Duplicate, Downs: stats.Downs,
		Returns: source.returns.Load(), Gone: source.gone(), Interface: interfaceSummary(stats.Interface),
	}
	if source.err != nil {
		sum.Error = source.err.Error()
	}
	s.Sources = append(s.Sources, sum)
	s.Packets.Read += c.frames
	s.Packets.NonIP += c.nonIP
	s.Packets.Malformed += c.malformed
	s.Packets.UnknownLink += c.unsupported
	s.Packets.Filtered += c.filtered
	s.Packets.Tunnelled += c.tunnelled
	s.Packets.NotFollowed += c.notFollowed
	s.Packets.Portless += c.portless
	s.Packets.NotSampled += c.unsampled
	s.Packets.Dropped += stats.Dropped
}

func interfaceSummary(c *capture.Counters) *InterfaceSummary {
	if c == nil {
		return nil
	}
	return &InterfaceSummary{
		RxPackets: c.RxPackets, RxBytes: c.RxBytes, RxErrors: c.RxErrors, RxDropped: c.RxDropped, RxMissed: c.RxMissed,
		TxPackets: c.TxPackets, TxBytes: c.TxBytes,
	}
}

func (s *Summary) addCache(c flowcache.Stats) {
	s.Packets.Metered += c.Packets
	s.Packets.IPBytes += c.Bytes
	s.Packets.Backwards += c.Backwards
	s.Packets.ClockSteps += c.ClockSteps
	for reason, n := range c.Emitted {
		s.Flows.Ended.Flows += n
		switch reason {
		case netflow.EndReasonIdle:
			s.Flows.Idle += n
		case netflow.EndReasonActive:
			s.Flows.Active += n
		case netflow.EndReasonEndOfFlow:
			s.Flows.EndOfFlow += n
		case netflow.EndReasonForced:
			s.Flows.Forced += n
		case netflow.EndReasonResources:
			s.Flows.Resources += n
		}
	}
	s.Flows.Ended.Packets += c.EmittedPackets
	s.Flows.Ended.Bytes += c.EmittedBytes
	s.Flows.Held.add(Tally{uint64(c.Flows), c.Packets - c.EmittedPackets, c.Bytes - c.EmittedBytes})
	s.Flows.Peak += uint64(c.PeakFlows)
}

func summarize(cfg *export.Config, e export.Stats) *ExportSummary {
	s := &ExportSummary{
		Protocol: cfg.Protocol, Balance: cmp.Or(cfg.Balance, export.Balances[0]), Given: tally(e.Given), IPv6: tally(e.IPv6), NoAddress: tally(e.NoAddress), Cut: tally(e.Cut),
		Split: e.Split, Interfaces: e.Interfaces, Durations: e.Durations,
	}
	for _, d := range e.Destinations {
		sum := DestinationSummary{
			Name: d.Destination, Remote: d.Remote, Datagrams: d.Datagrams, DatagramBytes: d.DatagramBytes, Records: d.Records,
			Exported: tally(d.Exported), Buffered: tally(d.Buffered), LostDatagrams: d.TotalLost().Datagrams,
			Stream: d.Stream, Connections: d.Connections, Unconfirmed: tally(d.Unconfirmed),
			Removed: d.Removed, Missed: tally(d.Missed),
		}
		for fault, n := range d.Errors {
			if n != 0 {
				if sum.Errors == nil {
					sum.Errors = map[string]int64{}
				}
				sum.Errors[export.Fault(fault).String()] = n
			}
		}
		for fault, lost := range d.Lost {
			if lost != (export.Loss{}) {
				if sum.Lost == nil {
					sum.Lost = map[string]Tally{}
				}
				sum.Lost[export.Fault(fault).String()] = tally(lost.Tally)
			}
		}
		s.Collectors = append(s.Collectors, sum)
	}
	return s
}

func (t *Tally) add(u Tally) {
	t.Flows += u.Flows
	t.Packets += u.Packets
	t.Bytes += u.Bytes
}

func (t Tally) plus(u Tally) Tally { t.add(u); return t }

func (t Tally) minus(u Tally) Tally {
	return Tally{t.Flows - u.Flows, t.Packets - u.Packets, t.Bytes - u.Bytes}
}

// balanced reports whether each collector gets a part of the flows only.
func (e *ExportSummary) balanced() bool { return e.Balance != export.Balances[0] }

// TotalLost adds up what was lost for all reasons.
func (d *DestinationSummary) TotalLost() Tally {
	var sum Tally
	for _, t := range d.Lost {
		sum.add(t)
	}
	return sum
}

// Balance checks that every packet and flow is accounted for:
//
//	packets read    = metered + non-IP + malformed + of unknown link types + filtered + not sampled + under way to a worker
//	packets metered = packets in flows that ended + packets in flows held; and so the bytes
//	flows ended     = idle + active + end of flow + forced + resources
//	flows ended     = given to the exporter + lost for a full queue + under way; and so the packets and bytes
//	given           = not carried + exported + lost + buffered + missed, for each collector, or for all together when flows
//	                  are balanced among them; and so the packets and bytes, but for what of them was cut
//	packets read    = sent on + not sent on, by reason; with a tap
//	packets read    = archived + not archived, by reason + under way; with an archive
//
// An error is a fault of this package.
func (s *Summary) Balance() error {
	var errs []error
	equal := func(what string, a, b uint64) {
		if a != b {
			errs = append(errs, fmt.Errorf("the summary does not add up: %s: %d and %d", what, a, b))
		}
	}
	p, f := &s.Packets, &s.Flows
	var read uint64
	for i := range s.Sources {
		read += s.Sources[i].Packets
	}
	equal("packets of the sources, packets read", read, p.Read)
	equal("packets read, what became of them", p.Read, p.Metered+p.NonIP+p.Malformed+p.UnknownLink+p.Filtered+p.NotSampled+p.Underway)
	equal("packets metered, in flows", p.Metered, f.Ended.Packets+f.Held.Packets)
	equal("bytes metered, in flows", p.IPBytes, f.Ended.Bytes+f.Held.Bytes)
	equal("flows ended, by reason", f.Ended.Flows, f.Idle+f.Active+f.EndOfFlow+f.Forced+f.Resources)
	if a := s.Archive; a != nil {
		equal("packets read, archived or not", p.Read, a.Archived+a.QueueFull+a.NoSpace+a.WriteErrors+a.BadTime+a.Underway)
	}
	if s.Tap != nil {
		equal("packets read, sent on or not", p.Read, s.Tap.Packets())
	}
	e := s.Export
	if e == nil {
		return errors.Join(errs...)
	}
	tallies := func(what string, a, b Tally) {
		equal("flows "+what, a.Flows, b.Flows)
		equal("packets "+what, a.Packets, b.Packets)
		equal("bytes "+what, a.Bytes, b.Bytes)
	}
	tallies("ended, on their way to the exporter", f.Ended, e.Given.plus(e.QueueFull).plus(e.Underway))
	none := e.IPv6.plus(e.NoAddress).plus(Tally{0, e.Cut.Packets, e.Cut.Bytes})
	all := none
	for i := range e.Collectors {
		d := &e.Collectors[i]
		became := d.Exported.plus(d.TotalLost()).plus(d.Buffered).plus(d.Missed)
		all.add(became)
		if !e.balanced() {
			tallies("given, for "+d.Name, e.Given, none.plus(became))
		}
	}
	if e.balanced() {
		tallies("given, for all collectors", e.Given, all)
	}
	return errors.Join(errs...)
}
