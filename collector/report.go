package collector

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
)

// report is an account as JSON: of --summary json, and of the ledger in a file's footer (storage/FORMAT.md). The names
// are part of that format; zero counters of problems are left out.
type report struct {
	Since     time.Time        `json:"since"`
	Until     time.Time        `json:"until"`
	Datagrams datagramReport   `json:"datagrams"`
	Flows     flowReport       `json:"flows"`
	Templates templateReport   `json:"templates"`
	Exporters []exporterReport `json:"exporters"`
	Omitted   int              `json:"exporters_omitted,omitempty"` // heard, and not listed

	Sockets  []socketReport `json:"sockets,omitempty"`
	Captures *captureReport `json:"captures,omitempty"`
	Storage  *storageReport `json:"storage,omitempty"`
}

// datagramReport: received = refused + unusable + used.
type datagramReport struct {
	Received    uint64            `json:"received"`
	Bytes       uint64            `json:"bytes"` // of those not refused
	Refused     uint64            `json:"refused"`
	Unusable    uint64            `json:"unusable"`
	Used        uint64            `json:"used"`
	KernelDrops uint64            `json:"kernel_drops"`
	Truncated   uint64            `json:"truncated,omitempty"`
	Malformed   map[string]uint64 `json:"malformed,omitempty"` // by reason, those of unusable datagrams included
}

// flowReport: decoded = stored + pending + lost.
type flowReport struct {
	Decoded   uint64     `json:"decoded"`
	Stored    uint64     `json:"stored"`
	Pending   uint64     `json:"pending"`
	Lost      lostReport `json:"lost"`
	Options   uint64     `json:"options_records"`
	Undated   uint64     `json:"undated,omitempty"`
	Recovered uint64     `json:"recovered,omitempty"` // of an earlier run, and not in decoded
}

type lostReport struct {
	QueueFull  uint64 `json:"queue_full"`
	Unfinished uint64 `json:"unfinished"`
	Disk       uint64 `json:"disk"`
}

type templateReport struct {
	New         uint64 `json:"new"`
	Refreshed   uint64 `json:"refreshed"`
	Changed     uint64 `json:"changed"`
	Withdrawals uint64 `json:"withdrawals,omitempty"`
	SetsWithout uint64 `json:"sets_without_template"`
	Evicted     uint64 `json:"evicted,omitempty"`
	Forgotten   uint64 `json:"exporters_forgotten,omitempty"`
}

type exporterReport struct {
	Exporter        string            `json:"exporter"`
	Version         uint8             `json:"version"`
	Domain          uint32            `json:"domain"`
	Datagrams       uint64            `json:"datagrams"`
	Bytes           uint64            `json:"bytes"`
	Flows           uint64            `json:"flows"`
	Options         uint64            `json:"options_records,omitempty"`
	Lost            uint64            `json:"lost"` // flows of v5 and v7, datagrams of v9, data records of IPFIX
	Gaps            uint64            `json:"gaps,omitempty"`
	Reordered       uint64            `json:"reordered,omitempty"`
	Duplicates      uint64            `json:"duplicates,omitempty"`
	Resets          uint64            `json:"resets,omitempty"`
	Templates       int               `json:"templates,omitempty"`
	SetsWithout     uint64            `json:"sets_without_template,omitempty"`
	WithoutTemplate map[uint16]uint64 `json:"without_template,omitempty"` // by set id
	Malformed       map[string]uint64 `json:"malformed,omitempty"`
	SamplingRate    uint32            `json:"sampling_rate,omitempty"`
	ClockOffset     float64           `json:"clock_offset_seconds"` // the exporter's clock minus ours
	First           time.Time         `json:"first"`
	Last            time.Time         `json:"last"`
}

type socketReport struct {
	Address       string `json:"address"`
	ReceiveBuffer int    `json:"receive_buffer"`
	Datagrams     uint64 `json:"datagrams"`
	KernelDrops   uint64 `json:"kernel_drops"`
}

type captureReport struct {
	Frames      uint64 `json:"frames"`
	Datagrams   uint64 `json:"datagrams"`
	Reassembled uint64 `json:"reassembled"`
	Fragments   uint64 `json:"fragments"`
	OtherPort   uint64 `json:"other_port"`
	NotExport   uint64 `json:"not_export"`
	NotUDP      uint64 `json:"not_udp"`
	Malformed   uint64 `json:"malformed"`
	Cut         uint64 `json:"cut"`
}

type storageReport struct {
	Files        uint64 `json:"files"`
	Appends      uint64 `json:"appends"`
	ParquetBytes uint64 `json:"parquet_bytes"`
	JournalBytes uint64 `json:"journal_bytes"`
	TornBytes    int64  `json:"torn_bytes"` // cut off what a crash had left
	Failures     uint64 `json:"failures"`
}

// maxExporters bounds the exporters listed in a report, for a footer is written with each append. Those with the most flows
// are.
const maxExporters = 1000

// report makes an account ready for JSON. Sockets, captures and storage are left to the caller.
func (s *Stats) report() report {
	d := &s.Decode
	r := report{
		Since: s.Since.UTC(), Until: s.Until.UTC(),
		Datagrams: datagramReport{
			Received: s.Datagrams, Bytes: d.Bytes, Refused: s.Refused, Unusable: s.Unusable(), Used: s.Used(),
			KernelDrops: s.KernelDrops, Truncated: s.Truncated, Malformed: byReason(&d.Counters),
		},
		Flows: flowReport{
			Decoded: d.Flows, Stored: s.Stored, Pending: s.Pending,
			Lost:    lostReport{s.Lost.QueueFull, s.Lost.Unfinished, s.Lost.Disk},
			Options: d.Options, Undated: d.Undated,
		},
		Templates: templateReport{
			New: d.TemplatesNew, Refreshed: d.TemplatesRefreshed, Changed: d.TemplatesChanged,
			Withdrawals: d.Withdrawals, SetsWithout: d.SetsWithoutTemplate,
		},
		Exporters: []exporterReport{},
	}
	exporters := d.Exporters
	if r.Omitted = max(len(exporters)-maxExporters, 0); r.Omitted > 0 {
		exporters = slices.Clone(exporters)
		slices.SortFunc(exporters, func(a, b decode.ExporterStats) int { return cmp.Compare(b.Flows, a.Flows) })
		exporters = exporters[:maxExporters]
		sortExporters(exporters)
	}
	for i := range exporters {
		e := &exporters[i]
		r.Exporters = append(r.Exporters, exporterReport{
			Exporter: e.Exporter.String(), Version: e.Version, Domain: e.Domain,
			Datagrams: e.Datagrams, Bytes: e.Bytes, Flows: e.Flows, Options: e.Options,
			Lost: e.Lost, Gaps: e.Gaps, Reordered: e.Reordered, Duplicates: e.Duplicates, Resets: e.Resets,
			Templates: e.Templates, SetsWithout: e.SetsWithoutTemplate, WithoutTemplate: e.WithoutTemplate,
			Malformed: byReason(&e.Counters), SamplingRate: e.SamplingRate, ClockOffset: e.ClockOffset.Seconds(),
			First: e.FirstSeen.Time(), Last: e.LastSeen.Time(),
		})
	}
	return r
}

func byReason(c *decode.Counters) map[string]uint64 {
	var m map[string]uint64
	for r, n := range c.Malformed {
		if n == 0 {
			continue
		}
		if m == nil {
			m = make(map[string]uint64)
		}
		m[decode.Reason(r).String()] = n
	}
	return m
}

// WriteJSON writes the account as one JSON object and a line feed.
func (s *Stats) WriteJSON(w io.Writer) error {
	r := s.report()
	r.Flows.Recovered = s.Storage.Recovered.Flows
	r.Templates.Evicted, r.Templates.Forgotten = s.Decode.Evicted, s.Decode.Forgotten
	for _, socket := range s.Sockets {
		r.Sockets = append(r.Sockets, socketReport{socket.Address.String(), socket.ReceiveBuffer, socket.Datagrams, socket.KernelDrops})
	}
	if c := &s.Captures; c.Frames > 0 {
		r.Captures = &captureReport{c.Frames, c.Datagrams, c.Reassembled, c.Fragments, c.OtherPort, c.NotExport, c.NotUDP, c.Malformed, c.Cut}
	}
	st := &s.Storage
	r.Storage = &storageReport{st.Files, st.Appends, st.Parquet, st.Journal, st.Recovered.TornBytes, st.Failures}
	return json.NewEncoder(w).Encode(r)
}
