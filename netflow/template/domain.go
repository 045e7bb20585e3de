package template

import (
	"bytes"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/plan"
	"github.com/caprock-net/caprock/netflow/internal/wire"
)

// Domain is what one exporter announced in one observation domain (v9: source id) with one protocol version.
type Domain struct {
	store     *Store
	exporter  *exporter
	version   uint8
	templates map[uint16]*entry
	peak      int    // most templates since the map was made
	last      *entry // the template of the last data set: often that of the next one

	rate     uint32            // sampling rate of the whole domain; 0: not told
	sole     uint32            // that of the only sampler; 0: there is none, or there are several
	samplers map[uint64]uint32 // sampling rates by sampler or selector id
	boot     int64             // systemInitTimeMilliseconds; 0: not told

	// OnChange, if set, is called when a template is replaced by one of another layout.
	OnChange func(old, new *Template)
}

// Message is what the header of a message tells about all its records.
type Message struct {
	Export    netflow.Timestamp
	Uptime    uint32 // milliseconds since the exporter booted, in v9
	HasUptime bool
}

// Len returns how many templates the domain has.
func (d *Domain) Len() int { return len(d.templates) }

// Template returns the template of an id, nil when there is none.
func (d *Domain) Template(id uint16) *Template {
	if e := d.templates[id]; e != nil {
		return e.Template
	}
	return nil
}

// SamplingRate returns the rate that applies to flows that name neither a rate nor a sampler: that of the domain, or
// of its only sampler. Zero: not told.
func (d *Domain) SamplingRate() uint32 {
	if d.rate == 0 {
		return d.sole
	}
	return d.rate
}

// BootTime returns when the exporter booted, in unix milliseconds, if its options data said so; else zero.
func (d *Domain) BootTime() int64 { return d.boot }

// Announce reads a set of templates or options templates, body being the set without its header.
func (d *Domain) Announce(options bool, body []byte, rep *Report) {
	for len(body) >= 4 { // less is padding
		if e := d.same(options, body); e != nil {
			d.store.all.touch(e)
			d.exporter.used.touch(e)
			rep.Refreshed++
			body = body[len(e.spec):]
			continue
		}
		n := d.announceOne(options, body, rep)
		if n == 0 {
			return
		}
		body = body[n:]
	}
}

// same returns the template at the start of body if it is known and announced with the very same bytes. A template
// record delimits itself, so equal bytes are an equal record.
func (d *Domain) same(options bool, body []byte) *entry {
	e := d.templates[uint16(body[0])<<8|uint16(body[1])]
	if e != nil && e.options == options && len(body) >= len(e.spec) && string(body[:len(e.spec)]) == e.spec {
		return e
	}
	return nil
}

// announceOne reads one template record and returns its length, or 0 when the rest of the set cannot be read.
func (d *Domain) announceOne(options bool, body []byte, rep *Report) int {
	c := wire.New(body)
	h, ok := readHead(&c, d.version, options)
	if c.Err() != nil || !ok {
		if isZero(body) {
			return 0 // padding
		}
		d.forget(h.id)
		rep.Note(BadTemplate)
		return 0
	}
	if h.fields == 0 {
		switch {
		case h.id == 0: // padding, or nonsense
			if !isZero(body) {
				rep.Note(BadTemplate)
			}
			return 0
		case d.version == netflow.VersionV9:
			d.forget(h.id)
			rep.Note(TemplateZero)
		default:
			rep.Withdrawals++ // over UDP they are to be ignored
		}
		return len(body) - c.Len()
	}
	t, problem := parse(body, &c, d.version, options, h)
	if t == nil {
		d.forget(h.id)
		rep.Note(problem)
		if problem == BadTemplate {
			return 0
		}
		return len(body) - c.Len()
	}
	old := d.Template(t.id)
	d.put(t)
	if old == nil {
		rep.New++
	} else {
		rep.Changed++
		if d.OnChange != nil {
			d.OnChange(old, t)
		}
	}
	return len(t.spec)
}

// forget drops the template of an id whose new definition is refused: data that follow do not have the old layout.
func (d *Domain) forget(id int) {
	if e := d.templates[uint16(id)]; e != nil && id >= FirstID {
		d.remove(e)
	}
}

// Data reads a data set, body being the set without its header: flows are appended to dst, options data are kept.
func (d *Domain) Data(dst *netflow.Batch, id uint16, body []byte, msg *Message, rep *Report) {
	t := d.find(id)
	if t == nil {
		rep.Missing = append(rep.Missing, id)
		return
	}
	if len(body) < t.Length() {
		if len(body) > 0 {
			rep.Note(ShortDataSet)
		}
		return
	}
	p := t.plan
	if t.options {
		n, bad := p.Options(body, d.learn)
		rep.Options += n
		if bad {
			rep.Note(BadRecord)
		}
		return
	}
	ctx := plan.Context{
		Export: msg.Export, Uptime: msg.Uptime, HasUptime: msg.HasUptime, Rate: d.SamplingRate(), Samplers: d.samplers,
		Scratch: d.store.scratch,
	}
	if !ctx.HasUptime && d.boot != 0 {
		ctx.Uptime, ctx.HasUptime = plan.UptimeAt(msg.Export, d.boot), true
	}
	res := p.DecodeFlows(dst, body, &ctx)
	d.store.scratch = ctx.Scratch
	rep.Flows += res.Rows
	rep.Undated += res.Undated
	rep.Problems[TooManyRecords] += uint32(res.Records - res.Rows)
	if res.Bad {
		rep.Note(BadRecord)
	}
}

// MaxRows returns how many rows a data set could append at most, given that templates may be announced before it in the
// same message.
func (d *Domain) MaxRows(id uint16, body []byte, announced bool) int {
	if t := d.Template(id); t != nil && !announced {
		if t.options {
			return 0
		}
		return len(body) / t.Length()
	}
	return len(body)
}

// learn keeps what a record of options data says.
func (d *Domain) learn(v *plan.Values) {
	if v.InitTime != 0 {
		d.boot = v.InitTime
	}
	switch {
	case v.Rate == 0:
	case v.Sampler == 0:
		d.rate = v.Rate
	default:
		l := &d.store.limits
		if _, known := d.samplers[v.Sampler]; !known {
			if len(d.samplers) >= l.Samplers || d.store.samplers >= l.TotalSamplers {
				return
			}
			d.store.samplers++
		}
		if d.samplers == nil {
			d.samplers = make(map[uint64]uint32)
		}
		d.samplers[v.Sampler] = v.Rate
		if d.sole = 0; len(d.samplers) == 1 {
			d.sole = v.Rate
		}
	}
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
