package decode

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
	v5 "github.com/caprock-net/caprock/netflow/v5"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// Datagram is one UDP datagram from an exporter. Its payload is only read, and not kept.
type Datagram struct {
	Exporter netip.AddrPort    // where it came from
	Received netflow.Timestamp // when
	Payload  []byte
}

// Config bounds a Decoder. The zero value is usable.
type Config struct {
	MaxExporters int             // states kept, one for each address, domain and version: 65536
	Templates    template.Limits // templates and samplers kept
	Logger       *slog.Logger    // nil: silence
}

// ErrFull says that the batch may not have room for the flows of a datagram.
var ErrFull = errors.New("decode: batch is full")

// Decoder decodes datagrams. Decode must not be called from two goroutines at once; Stats may be called at any time.
type Decoder struct {
	log          *slog.Logger
	maxExporters int

	mu         sync.Mutex
	templates  *template.Store
	exporters  map[key]*exporter
	head, tail *exporter
	forgotten  uint64
	gone       Counters // of forgotten exporters and of datagrams that are nobody's
	report     template.Report
	minute     uint32 // of the last log line, and how many there were in it
	lines      int
	rejected   [NumReasons]uint32
}

// New makes a decoder.
func New(cfg Config) *Decoder {
	if cfg.MaxExporters <= 0 {
		cfg.MaxExporters = 65536
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Decoder{
		log:          cfg.Logger,
		maxExporters: cfg.MaxExporters,
		templates:    template.NewStore(cfg.Templates),
		exporters:    make(map[key]*exporter),
	}
}

// Decode appends the flows of a datagram to dst, every column filled in. It returns ErrFull, having done and counted
// nothing, when dst is not empty and may lack room: the caller hands dst on and calls again with an empty batch. No
// other error exists; malformed datagrams are counted.
//
// Of a datagram that holds more flows than an empty dst has room for, the rest is counted as TooManyRecords. In a batch
// of 16384 rows that takes a datagram of 64 KiB whose records are shorter than 4 bytes; ordinary datagrams of 1500
// bytes fit into 2048 rows whatever is in them.
func (d *Decoder) Decode(dst *netflow.Batch, dg *Datagram) error {
	d.mu.Lock()
	defer d.mu.Unlock()

	if len(dg.Payload) < 2 {
		d.reject(dg, ShortHeader)
		return nil
	}
	from := dst.Len()
	var x *exporter
	var err error
	switch binary.BigEndian.Uint16(dg.Payload) {
	case netflow.VersionV1, netflow.VersionV5, netflow.VersionV7:
		x, err = d.decodeV5(dst, dg)
	case netflow.VersionV9:
		x, err = d.decodeV9(dst, dg)
	case netflow.VersionIPFIX:
		x, err = d.decodeIPFIX(dst, dg)
	default:
		d.reject(dg, UnknownVersion)
	}
	if err != nil || x == nil {
		return err
	}
	x.Flows += uint64(dst.Len() - from)
	if dst.Len() > from {
		dst.Extend(0, netflow.SetOf(netflow.Received, netflow.Exporter))
		for i := from; i < dst.Len(); i++ {
			dst.Received[i] = dg.Received
		}
		for i := from; i < dst.Len(); i++ {
			dst.Exporter[i] = x.addr
		}
	}
	return nil
}

// heard counts a datagram of an exporter whose header says that it was sent at the given time.
func (x *exporter) heard(dg *Datagram, sent netflow.Timestamp) {
	if x.Datagrams == 0 {
		x.first = dg.Received
	}
	x.Datagrams++
	x.Bytes += uint64(len(dg.Payload))
	x.last = dg.Received
	x.clock = time.Duration(sent-dg.Received) * time.Microsecond
}

func (d *Decoder) decodeV5(dst *netflow.Batch, dg *Datagram) (*exporter, error) {
	h, err := v5.ParseHeader(dg.Payload)
	if err != nil {
		d.reject(dg, ShortHeader)
		return nil, nil
	}
	held := h.Records(dg.Payload)
	expect := min(held, int(h.Count))
	if expect > dst.Room() && dst.Len() > 0 {
		return nil, ErrFull
	}
	x := d.exporter(key{netflow.AddrFrom(dg.Exporter.Addr()), h.Engine(), uint8(h.Version)})
	x.heard(dg, h.Time())
	if h.Count == 0 || int(h.Count) != held {
		d.complain(x, BadCount, 1)
	}
	rows, _, _ := v5.Decode(dst, dg.Payload) // the header is known to be good
	if rows < expect {
		d.complain(x, TooManyRecords, uint64(expect-rows))
	}
	if h.Version != netflow.VersionV1 { // which has no sequence number
		x.sequence.follow(arrival{number: h.Sequence, units: uint32(expect), exact: int(h.Count) == expect,
			uptime: h.Uptime, hasUptime: true, received: dg.Received}, &x.Counters)
	}
	return x, nil
}

func (d *Decoder) decodeV9(dst *netflow.Batch, dg *Datagram) (*exporter, error) {
	h, err := v9.ParseHeader(dg.Payload)
	if err != nil {
		d.reject(dg, ShortHeader)
		return nil, nil
	}
	x := d.exporter(key{netflow.AddrFrom(dg.Exporter.Addr()), h.SourceID, netflow.VersionV9})
	if d.isFull(dst, dg) && v9.MaxRows(x.domain, dg.Payload) > dst.Room() {
		return nil, ErrFull
	}
	x.heard(dg, netflow.Timestamp(h.Seconds)*1e6)
	d.report.Reset()
	_ = v9.Decode(dst, x.domain, dg.Payload, &d.report) // the header is known to be good
	d.settle(x)
	x.sequence.follow(arrival{number: h.Sequence, units: 1, exact: true,
		uptime: h.Uptime, hasUptime: true, received: dg.Received}, &x.Counters)
	return x, nil
}

func (d *Decoder) decodeIPFIX(dst *netflow.Batch, dg *Datagram) (*exporter, error) {
	h, err := ipfix.ParseHeader(dg.Payload)
	if err != nil {
		d.reject(dg, ShortHeader)
		return nil, nil
	}
	x := d.exporter(key{netflow.AddrFrom(dg.Exporter.Addr()), h.Domain, netflow.VersionIPFIX})
	if d.isFull(dst, dg) && ipfix.MaxRows(x.domain, dg.Payload) > dst.Room() {
		return nil, ErrFull
	}
	x.heard(dg, netflow.Timestamp(h.Seconds)*1e6)
	d.report.Reset()
	_ = ipfix.Decode(dst, x.domain, dg.Payload, &d.report) // the header is known to be good
	d.settle(x)
	x.sequence.follow(arrival{number: h.Sequence, units: uint32(d.report.Flows + d.report.Options),
		exact: d.report.Complete(), received: dg.Received}, &x.Counters)
	return x, nil
}

// isFull reports whether dst could overflow, were the records of a datagram a byte each. It spares the common case a
// closer look.
func (d *Decoder) isFull(dst *netflow.Batch, dg *Datagram) bool {
	return dst.Len() > 0 && dst.Room() < len(dg.Payload)
}

// settle adds what a v9 or IPFIX message brought, but for its flows, to the exporter's account.
func (d *Decoder) settle(x *exporter) {
	r := &d.report
	x.Options += uint64(r.Options)
	x.Undated += uint64(r.Undated)
	x.TemplatesNew += uint64(r.New)
	x.TemplatesRefreshed += uint64(r.Refreshed)
	x.TemplatesChanged += uint64(r.Changed)
	x.Withdrawals += uint64(r.Withdrawals)
	for _, id := range r.Missing {
		x.miss(id)
	}
	for p, n := range r.Problems {
		if n > 0 {
			d.complain(x, firstProblem+Reason(p), uint64(n))
		}
	}
}

// Stats returns the accounts as they are now.
func (d *Decoder) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{
		Counters: d.gone, Exporters: make([]ExporterStats, 0, len(d.exporters)), Forgotten: d.forgotten,
		Templates: d.templates.Len(), TemplateBytes: d.templates.Bytes(), Evicted: d.templates.Evicted(),
	}
	for x := d.head; x != nil; x = x.next {
		s.Counters.add(&x.Counters)
		if x.Datagrams == 0 {
			continue // its first datagram waits for room
		}
		e := ExporterStats{
			Exporter: x.addr.Netip(), Domain: x.key.domain, Version: x.version, Counters: x.Counters,
			FirstSeen: x.first, LastSeen: x.last, ClockOffset: x.clock, WithoutTemplate: x.withoutTemplate(),
		}
		if x.domain != nil {
			e.SamplingRate, e.Templates = x.domain.SamplingRate(), x.domain.Len()
		}
		s.Exporters = append(s.Exporters, e)
	}
	return s
}
