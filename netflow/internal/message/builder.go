// Package message puts the messages of NetFlow v9 and IPFIX together, and takes them apart, set by set. A Builder groups
// records into sets, keeps the message below its greatest size, and decides when templates go along; DecodeSets hands
// sets to the templates that know them. What the records hold, and the header, is left to the packages v9 and ipfix.
//
// A message built has at most one set of each kind, in this order: templates, options templates, options data, then one
// data set for each template used. A template travels only with messages that use it: with the first, and then again when
// so many messages or so much time have passed since. A collector therefore never waits for a template longer than that,
// and an exporter that knows fifty templates spends no bytes on the forty-six that its flows do not need.
package message

import (
	"encoding/binary"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Format is how the two protocols differ in putting sets together.
type Format struct {
	HeaderLen   int    // bytes before the first set
	TemplateSet uint16 // set id of templates
	OptionsSet  uint16 // set id of options templates
	Align       int    // sets are padded with zeros to a multiple of so many bytes
	OptionBytes bool   // an options template counts bytes, of scopes and of options; or else fields, all and scopes
}

// The two formats.
var (
	V9    = Format{HeaderLen: 20, TemplateSet: 0, OptionsSet: 1, Align: 4, OptionBytes: true} // RFC 3954 sections 5 and 6.1
	IPFIX = Format{HeaderLen: 16, TemplateSet: 2, OptionsSet: 3, Align: 1}                    // RFC 7011 sections 3.3.2 and 3.4.2.2
)

const setHeaderLen = 4 // id and length, 16 bits each

// Template is one template of the exporter.
type Template struct {
	ID     uint16 // also the id of its data sets
	Record []byte // the template record: id, field count, field specifiers
	Size   int    // bytes of a data record
}

// Config says what a Builder builds.
type Config struct {
	Format   Format
	MaxBytes int           // greatest length of a message, header included
	Every    time.Duration // resend a template when it was last sent so long ago
	Messages int           // or so many messages ago
	// Templates are named by their index here from now on.
	Templates []Template
	// Options, if it has a Record, is a template whose one data record OptionsData is sent along and again as templates are.
	Options     Template
	OptionsData []byte
}

// Builder collects the records of one message after the other. It allocates when a template is first used, and never
// after that. It is not for concurrent use.
type Builder struct {
	cfg      Config
	sets     []set
	options  schedule
	used     []int  // templates with records in this message, in order of use
	size     int    // greatest length that the message can have with the records so far
	records  int    // flow records in this message
	messages uint64 // completed before this one
	withOpts bool   // the options are due in this message
}

// set is a template's data set in the message at hand, without its header.
type set struct {
	template Template
	body     []byte
	due      bool // the template goes along with this message
	schedule schedule
}

// schedule remembers when a template was last sent.
type schedule struct {
	sent    bool
	at      netflow.Timestamp
	message uint64
}

// NewBuilder makes a Builder. MaxBytes must have room for the header, the options, and any one template with a record.
func NewBuilder(cfg Config) *Builder {
	b := &Builder{cfg: cfg, sets: make([]set, len(cfg.Templates)), used: make([]int, 0, len(cfg.Templates))}
	for i, t := range cfg.Templates {
		b.sets[i].template = t
	}
	b.size = cfg.Format.HeaderLen
	return b
}

// Len returns the number of flow records in the message at hand.
func (b *Builder) Len() int { return b.records }

// Record adds a record of template t, and returns its bytes for the caller to write all of them; they are valid until
// AppendSets. It returns nil when the message has no room: AppendSets, and ask again.
func (b *Builder) Record(now netflow.Timestamp, t int) []byte {
	s := &b.sets[t]
	n, size := len(s.body), s.template.Size
	if n == 0 {
		if !b.open(now, t) {
			return nil
		}
	} else if b.size+size > b.cfg.MaxBytes {
		return nil
	}
	b.size += size
	b.records++
	s.body = s.body[:n+size]
	return s.body[n : n+size : n+size]
}

// open begins the data set of template t, if it and one record fit.
func (b *Builder) open(now netflow.Timestamp, t int) bool {
	s := &b.sets[t]
	due := b.due(&s.schedule, now)
	opts := b.records == 0 && b.cfg.Options.Record != nil && b.due(&b.options, now)
	size := b.size + b.setSize(0)
	if due {
		size += b.setSize(len(s.template.Record))
	}
	if opts {
		size += b.setSize(len(b.cfg.Options.Record)) + b.setSize(len(b.cfg.OptionsData))
	}
	if size+s.template.Size > b.cfg.MaxBytes {
		return false
	}
	if s.body == nil {
		s.body = make([]byte, 0, b.cfg.MaxBytes)
	}
	s.due = due
	b.withOpts = b.withOpts || opts
	b.size = size
	b.used = append(b.used, t)
	return true
}

func (b *Builder) setSize(n int) int { return b.cfg.Format.setSize(n) }

// due compares times in both directions: replayed captures may step back by years.
func (b *Builder) due(s *schedule, now netflow.Timestamp) bool {
	if !s.sent || b.messages-s.message >= uint64(b.cfg.Messages) {
		return true
	}
	age := time.Duration(now-s.at) * time.Microsecond
	return age >= b.cfg.Every || -age >= b.cfg.Every
}

// Forget makes every template travel with the next message that uses it, as for a collector that seems to have started
// anew.
func (b *Builder) Forget() {
	b.options.sent = false
	for i := range b.sets {
		b.sets[i].schedule.sent = false
	}
}

// SetRefresh changes Config's Every and Messages.
func (b *Builder) SetRefresh(every time.Duration, messages int) {
	b.cfg.Every, b.cfg.Messages = every, max(messages, 1)
}

// Counts are the records in a message.
type Counts struct {
	Templates int // template and options template records
	Options   int // options data records
	Flows     int // flow records
}

// AppendSets appends the message's sets to dst and begins the next message.
func (b *Builder) AppendSets(dst []byte, now netflow.Timestamp) ([]byte, Counts) {
	counts := Counts{Flows: b.records}
	f := &b.cfg.Format
	sent := schedule{sent: true, at: now, message: b.messages}

	at := len(dst)
	for _, t := range b.used {
		if s := &b.sets[t]; s.due {
			if counts.Templates == 0 {
				dst = f.begin(dst, f.TemplateSet)
			}
			dst = append(dst, s.template.Record...)
			s.schedule, s.due = sent, false
			counts.Templates++
		}
	}
	if counts.Templates > 0 {
		dst = f.end(dst, at)
	}
	if b.withOpts {
		dst = f.appendSet(dst, f.OptionsSet, b.cfg.Options.Record)
		dst = f.appendSet(dst, b.cfg.Options.ID, b.cfg.OptionsData)
		counts.Templates++
		counts.Options++
		b.options, b.withOpts = sent, false
	}
	for _, t := range b.used {
		s := &b.sets[t]
		dst = f.appendSet(dst, s.template.ID, s.body)
		s.body = s.body[:0]
	}
	b.used, b.records, b.size = b.used[:0], 0, f.HeaderLen
	b.messages++
	return dst, counts
}

// AppendTemplates appends the sets of all templates and of the options, and notes that they are sent now. It is for the
// beginning of a session whose transport loses nothing, and to be called between messages only: Len must be 0.
func (b *Builder) AppendTemplates(dst []byte, now netflow.Timestamp) ([]byte, Counts) {
	var counts Counts
	f := &b.cfg.Format
	sent := schedule{sent: true, at: now, message: b.messages}
	at := len(dst)
	dst = f.begin(dst, f.TemplateSet)
	for i := range b.sets {
		if s := &b.sets[i]; s.template.Record != nil { // others no flow can have
			dst = append(dst, s.template.Record...)
			s.schedule = sent
			counts.Templates++
		}
	}
	dst = f.end(dst, at)
	if b.cfg.Options.Record != nil {
		dst = f.appendSet(dst, f.OptionsSet, b.cfg.Options.Record)
		dst = f.appendSet(dst, b.cfg.Options.ID, b.cfg.OptionsData)
		counts.Templates++
		counts.Options++
		b.options = sent
	}
	b.messages++
	return dst, counts
}

func (f *Format) appendSet(dst []byte, id uint16, body []byte) []byte {
	at := len(dst)
	return f.end(append(f.begin(dst, id), body...), at)
}

func (f *Format) begin(dst []byte, id uint16) []byte {
	return append(dst, byte(id>>8), byte(id), 0, 0)
}

// end pads the set that begins at dst[at] and writes its length, which counts the padding.
func (f *Format) end(dst []byte, at int) []byte {
	for (len(dst)-at)%f.Align != 0 {
		dst = append(dst, 0)
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	return dst
}
