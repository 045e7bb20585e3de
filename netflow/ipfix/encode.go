package ipfix

import (
	"encoding/binary"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
	"github.com/caprock-net/caprock/netflow/internal/layout"
	"github.com/caprock-net/caprock/netflow/internal/message"
)

// EncoderConfig says which messages an Encoder makes.
type EncoderConfig struct {
	MaxBytes         int           // greatest length of a message, at least MinBytes
	Domain           uint32        // observation domain id of the header
	Sampling         uint32        // one packet in Sampling was metered; told in options data when above 1
	SamplingRandom   bool          // chosen at random, and not every so many
	TemplateEvery    time.Duration // a template is resent when it was last sent so long ago, in the time of the flows
	TemplateMessages int           // or so many messages ago; at least 1
	TCPMetrics       bool          // flows may have TCP's round-trip time and retransmissions, to be sent when they do
	Fields           *fields.List  // what the templates are made of; nil: the usual, see Encoder
}

// MinBytes is the least MaxBytes: room for the largest template with the options and a record of its own, and the
// length that RFC 7011 section 10.3.3 allows when the path's is not known.
const MinBytes = 512

// Encoder makes messages for one transport session and observation domain, one after the other. It keeps the sequence number
// and which templates the collector has lately been told.
//
// Flows of one message are grouped by template: absolute times in milliseconds, 8-byte counters, the elements that every
// collector tried understands (8 12 27 28 7 11 4 6 5 60 152 153 1 2 10 14 136 61), and only for flows that have them ICMP
// type and code (176 177 178 179, besides the destination port, where most collectors look), VLAN and MAC addresses
// (58 56 80), the counters of the other direction (RFC 5103: 29305/1, 2 and 6), and AS numbers, masks, next hop and
// forwarding status (16 17 89 9 13 15 29 30 62); with EncoderConfig.TCPMetrics TCP's round-trip time and retransmissions too
// (39499/69 and 35632/109 110). With EncoderConfig.Fields there is one template for each address family instead, and one
// for two-way flows. It is not for concurrent use.
type Encoder struct {
	domain   uint32
	maxBytes int
	builder  *message.Builder
	fields   *fields.List
	layouts  layout.Layout // mask of those that are used
	sequence uint32        // data records in the messages before, those of options too
}

// NewEncoder makes an Encoder.
func NewEncoder(cfg EncoderConfig) *Encoder {
	b := message.Config{
		Format: message.IPFIX, MaxBytes: min(max(cfg.MaxBytes, MinBytes), 1<<16-1),
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
		b.Options, b.OptionsData = samplingOptions(&cfg)
	}
	return &Encoder{domain: cfg.Domain, maxBytes: b.MaxBytes, builder: message.NewBuilder(b), fields: cfg.Fields, layouts: known | layout.Families}
}

// Len returns the number of flow records in the message at hand.
func (e *Encoder) Len() int { return e.builder.Len() }

// Append adds a flow to the message at hand; now only says whether a template is due. It returns false, and adds nothing,
// when the message is full: AppendMessage, and call again.
func (e *Encoder) Append(now netflow.Timestamp, r *netflow.Record) bool {
	if e.fields != nil {
		return e.appendChosen(now, r)
	}
	l := layout.Of(r) & e.layouts
	p := e.builder.Record(now, int(l))
	if p == nil {
		return false
	}
	write(p, l, r)
	return true
}

// appendChosen is Append for templates of chosen fields.
func (e *Encoder) appendChosen(now netflow.Timestamp, r *netflow.Record) bool {
	t := e.fields.Of(r)
	p := e.builder.Record(now, t)
	if p == nil {
		return false
	}
	e.fields.Write(p, t, r, fields.Uptimes{})
	return true
}

// ResendTemplates makes every template travel with the next message that needs it.
func (e *Encoder) ResendTemplates() { e.builder.Forget() }

// SetRefresh changes how often templates are resent: see EncoderConfig.TemplateEvery and TemplateMessages.
func (e *Encoder) SetRefresh(every time.Duration, messages int) {
	e.builder.SetRefresh(every, messages)
}

// AppendMessage appends the message at hand, exported now, to dst and begins the next one. A message without flows is
// none: dst is returned as it is.
func (e *Encoder) AppendMessage(dst []byte, now netflow.Timestamp) []byte {
	if e.builder.Len() == 0 {
		return dst
	}
	at := len(dst)
	dst = e.appendHeader(dst, now)
	dst, counts := e.builder.AppendSets(dst, now)
	return e.complete(dst, at, counts)
}

// AppendTemplates appends a message with all templates, and the options, to dst. It is for the beginning of a session over
// TCP, where templates are told once (RFC 7011 section 8.1); the message at hand must have no flows. MaxBytes does not
// bound it: it has some 5 KiB, and twice that with TCPMetrics.
func (e *Encoder) AppendTemplates(dst []byte, now netflow.Timestamp) []byte {
	at := len(dst)
	dst = e.appendHeader(dst, now)
	dst, counts := e.builder.AppendTemplates(dst, now)
	return e.complete(dst, at, counts)
}

func (e *Encoder) appendHeader(dst []byte, now netflow.Timestamp) []byte {
	dst = append(dst, 0, netflow.VersionIPFIX, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(max(now, 0)/1e6))
	dst = binary.BigEndian.AppendUint32(dst, e.sequence)
	return binary.BigEndian.AppendUint32(dst, e.domain)
}

// complete fills in the length of the message that begins at dst[at].
func (e *Encoder) complete(dst []byte, at int, counts message.Counts) []byte {
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	e.sequence += uint32(counts.Options + counts.Flows)
	return dst
}
