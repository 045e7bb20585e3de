package v9

import (
	"encoding/binary"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
	"github.com/caprock-net/caprock/netflow/internal/layout"
	"github.com/caprock-net/caprock/netflow/internal/message"
	"github.com/caprock-net/caprock/netflow/internal/uptime"
)

// EncoderConfig says which datagrams an Encoder makes.
type EncoderConfig struct {
	MaxBytes         int           // greatest length of a datagram, at least MinBytes
	SourceID         uint32        // of the header
	Sampling         uint32        // one packet in Sampling was metered; told in options data when above 1
	SamplingRandom   bool          // chosen at random, and not every so many
	TemplateEvery    time.Duration // a template is resent when it was last sent so long ago, in the time of the flows
	TemplateMessages int           // or so many datagrams ago; at least 1
	TCPMetrics       bool          // flows may have TCP's round-trip time and retransmissions, to be sent when they do
	Fields           *fields.List  // what the templates are made of; nil: the usual, see Encoder
}

// MinBytes is the least MaxBytes: room for the largest template with the options and a record of its own.
const MinBytes = 512

// Encoder makes datagrams one after the other. It keeps the sequence number, which templates the collector has lately
// been told, and a boot time chosen so that collectors compute the times of flows to the millisecond (package uptime).
//
// Flows of one datagram are grouped by template; 8-byte counters, the fields that every collector tried understands
// (8 12 27 28 7 11 4 6 5 60 61 136 22 21 1 2 10 14), and only for flows that have them ICMP type and code (32, 178 179), VLAN
// and MAC addresses (58 56 80), and AS numbers, masks, next hop and forwarding status (16 17 89 9 13 15 29 30 62); with
// EncoderConfig.TCPMetrics retransmissions too (57581, ntop's). With EncoderConfig.Fields there is one template for each
// address family instead. It is not for concurrent use.
type Encoder struct {
	sourceID uint32
	maxBytes int
	clock    uptime.Clock
	builder  *message.Builder
	fields   *fields.List
	layouts  layout.Layout // mask of those that are used
	sequence uint32        // datagrams before this one
}

// NewEncoder makes an Encoder.
func NewEncoder(cfg EncoderConfig) *Encoder {
	b := message.Config{
		Format: message.V9, MaxBytes: max(cfg.MaxBytes, MinBytes),
		Every: cfg.TemplateEvery, Messages: max(cfg.TemplateMessages, 1),
	}
	known := groups
	if cfg.TCPMetrics {
		known |= layout.TCP
	}
	if cfg.Fields == nil {
		b.Templates = own.Templates(known)
	} else {
		b.Templates, b.MaxBytes = cfg.Fields.Templates(), max(b.MaxBytes, cfg.Fields.MinBytes())
	}
	if cfg.Sampling > 1 {
		b.Options, b.OptionsData = message.V9.Sampling(optionsTemplate, scopeSystem, 0, cfg.Sampling, cfg.SamplingRandom) // there is one system
	}
	return &Encoder{sourceID: cfg.SourceID, maxBytes: b.MaxBytes, builder: message.NewBuilder(b), fields: cfg.Fields, layouts: known | layout.Families}
}

// Len returns the number of flow records in the datagram at hand.
func (e *Encoder) Len() int { return e.builder.Len() }

// Append adds a flow to the datagram at hand, with now for times that the flow does not tell. Reverse counters are not
// written: this version has no field for them.
//
// It returns false, and adds nothing, when the flow has to wait for the next datagram, because this one is full or its
// clock does not reach: AppendMessage, and call again.
func (e *Encoder) Append(now netflow.Timestamp, r *netflow.Record) bool {
	span := uptime.SpanOf(now, r.Start, r.End)
	if !e.clock.Holds(span) {
		if e.builder.Len() > 0 {
			return false
		}
		e.clock.Rebase(span)
		e.builder.Forget() // an uptime that jumps is taken for a restart
	}
	if e.fields != nil {
		return e.appendChosen(now, r, span)
	}
	l := layoutOf(r) & e.layouts
	p := e.builder.Record(now, int(l))
	if p == nil {
		return false
	}
	first, last := e.clock.Uptimes(span)
	write(p, l, r, first, last)
	return true
}

// appendChosen is Append for templates of chosen fields.
func (e *Encoder) appendChosen(now netflow.Timestamp, r *netflow.Record, span uptime.Span) bool {
	t := e.fields.Of(r)
	p := e.builder.Record(now, t)
	if p == nil {
		return false
	}
	first, last := e.clock.Uptimes(span)
	e.fields.Write(p, t, r, fields.Uptimes{First: first, Last: last})
	return true
}

// CutsStart reports whether a flow lasts longer than uptimes can tell, 12 days, so that its start is moved.
func CutsStart(r *netflow.Record) bool { return r.Start > 0 && r.End-r.Start > uptime.MaxDuration }

// ResendTemplates makes every template travel with the next datagram that needs it.
func (e *Encoder) ResendTemplates() { e.builder.Forget() }

// SetRefresh changes how often templates are resent: see EncoderConfig.TemplateEvery and TemplateMessages.
func (e *Encoder) SetRefresh(every time.Duration, messages int) {
	e.builder.SetRefresh(every, messages)
}

// AppendMessage appends the datagram at hand to dst and begins the next one. Its header's clock is now, moved only as far
// as the flows in it demand. A datagram without flows is none: dst is returned as it is.
func (e *Encoder) AppendMessage(dst []byte, now netflow.Timestamp) []byte {
	if e.builder.Len() == 0 {
		return dst
	}
	at := len(dst)
	dst = e.appendHeader(dst, &e.clock, now)
	dst, counts := e.builder.AppendSets(dst, now)
	return e.complete(dst, at, counts)
}

func (e *Encoder) appendHeader(dst []byte, clock *uptime.Clock, now netflow.Timestamp) []byte {
	seconds, sysUptime := clock.Header(now)
	dst = append(dst, 0, netflow.VersionV9, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, sysUptime)
	dst = binary.BigEndian.AppendUint32(dst, seconds)
	dst = binary.BigEndian.AppendUint32(dst, e.sequence)
	return binary.BigEndian.AppendUint32(dst, e.sourceID)
}

// complete fills in the count of the datagram that begins at dst[at]: records of every kind (RFC 3954 section 5.1). goflow2
// loses flows when it is smaller.
func (e *Encoder) complete(dst []byte, at int, counts message.Counts) []byte {
	binary.BigEndian.PutUint16(dst[at+2:], uint16(counts.Templates+counts.Options+counts.Flows))
	e.sequence++
	return dst
}
