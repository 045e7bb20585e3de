package export

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Change is a change of where an Exporter sends flows and how fast, made ready: Destinations, MaxRate, TemplateEvery and
// TemplatePackets of its Config.
type Change struct {
	e     *Exporter
	cfg   Config
	order []endpoint // of the destinations
	names map[endpoint]string
	fresh map[endpoint]sender // opened, not yet started
	gone  []*leaving          // after Apply: no longer given flows
}

// place is a destination as long as the Exporter lives: it may be removed, and come back.
type place struct {
	at     endpoint
	name   string
	sender sender // nil: removed
	old    []*leaving
	past   DestinationStats // of earlier senders that have ended
	missed Tally            // given to the Exporter before, but for the time since left
	left   Tally            // carried by the Exporter when it was removed
}

// leaving is a sender that gets no more flows, and sends what it has.
type leaving struct {
	sender
	ended atomic.Bool
}

// Prepare opens the sockets of destinations that are new, and looks up their names; what may fail fails here, and changes
// nothing. Fields of cfg that cannot be changed must be as they were. It may run beside Export, but not beside itself, and
// must be followed by Apply or Discard.
func (e *Exporter) Prepare(cfg Config) (*Change, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Change{e: e, cfg: e.cfg, names: map[endpoint]string{}, fresh: map[endpoint]sender{}}
	cfg = cfg.withDefaults()
	c.cfg.Destinations, c.cfg.MaxRate = cfg.Destinations, cfg.MaxRate
	c.cfg.TemplateEvery, c.cfg.TemplatePackets = cfg.TemplateEvery, cfg.TemplatePackets
	for _, name := range c.cfg.Destinations {
		at, err := parseEndpoint(name)
		if err != nil {
			return nil, errors.Join(err, c.Discard())
		}
		c.order = append(c.order, at)
		c.names[at] = name
		if p := e.place(at); p != nil && p.sender != nil {
			continue
		}
		if at.transport == "tls" && e.tls == nil {
			return nil, errors.Join(fmt.Errorf("destination %s: no certificate was given at the start", name), c.Discard())
		}
		d, err := openSender(name, at, &c.cfg, e.tls)
		if err != nil {
			return nil, errors.Join(err, c.Discard())
		}
		c.fresh[at] = d
	}
	return c, nil
}

func openSender(name string, at endpoint, cfg *Config, t *tls.Config) (d sender, err error) {
	if at.stream() {
		d, err = newStream(name, at, cfg, t)
	} else {
		d, err = openDestination(name, at, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", name, err)
	}
	return d, nil
}

// Discard closes what Prepare has opened, instead of Apply.
func (c *Change) Discard() error {
	var errs []error
	for _, d := range c.fresh {
		d.end()
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// Apply makes the change; for the goroutine of Export. What a destination that is removed has, it sends: Finish, which may
// wait for that, is to be called after it, from another goroutine.
func (e *Exporter) Apply(now netflow.Timestamp, c *Change) {
	carried := e.carried()
	for _, p := range e.places {
		if p.sender == nil || slices.Contains(c.order, p.at) {
			continue
		}
		p.sender.flush(now)
		l := &leaving{sender: p.sender}
		p.old, c.gone = append(p.old, l), append(c.gone, l)
		p.sender, p.left = nil, carried
	}
	e.leaving.Add(len(c.gone))
	e.cfg = c.cfg
	e.destinations, e.turn, e.chosen = e.destinations[:0:0], 0, nil
	for _, at := range c.order {
		p := e.place(at)
		if p == nil {
			p = &place{at: at, name: c.names[at]}
			e.places = append(e.places, p)
		}
		if d := c.fresh[at]; d != nil {
			p.missed.add(carried)
			p.missed.sub(p.left)
			p.sender, p.left = d, Tally{}
			d.start()
		}
		if d, ok := p.sender.(*destination); ok {
			d.retime(&c.cfg)
		}
		e.destinations = append(e.destinations, p.sender)
	}
	e.publish()
}

// Finish closes the destinations that were removed when they have sent what they have, as Close does.
func (c *Change) Finish() error {
	var errs []error
	for _, l := range c.gone {
		l.end()
	}
	for _, l := range c.gone {
		errs = append(errs, l.close())
		l.ended.Store(true)
		c.e.leaving.Done()
	}
	return errors.Join(errs...)
}

// retime takes over the new rate and the times of templates.
func (d *destination) retime(cfg *Config) {
	if p := newPacer(cfg.MaxRate); p.interval != d.pacer.interval {
		d.pacer = p
	}
	if d.announcer.cfg != nil {
		d.announcer.cfg = cfg
	}
	if t, ok := d.encoder.(interface{ SetRefresh(time.Duration, int) }); ok {
		t.SetRefresh(cfg.TemplateEvery, cfg.TemplatePackets)
	}
}

func (e *Exporter) place(at endpoint) *place {
	if i := slices.IndexFunc(e.places, func(p *place) bool { return p.at == at }); i >= 0 {
		return e.places[i]
	}
	return nil
}

// carried is what each destination has been given up to now that was there all the time.
func (e *Exporter) carried() Tally {
	t := e.stats.Given
	t.sub(e.stats.NotCarried())
	t.sub(Tally{0, e.stats.Cut.Packets, e.stats.Cut.Bytes})
	return t
}

// snapshot adds up what became of a destination's flows.
func (p *place) snapshot(e *Exporter) DestinationStats {
	p.old = slices.DeleteFunc(p.old, func(l *leaving) bool {
		ended := l.ended.Load()
		if ended {
			p.past.add(l.snapshot())
		}
		return ended
	})
	s := p.past
	for _, l := range p.old {
		s.add(l.snapshot())
	}
	if p.sender != nil {
		s.add(p.sender.snapshot())
	}
	s.Removed = p.sender == nil
	if e.balance != Balances[0] {
		return s // no destination is given every flow
	}
	s.Missed = p.missed
	if s.Removed {
		s.Missed.add(e.carried())
		s.Missed.sub(p.left)
	}
	return s
}

// add adds what a later sender to the same destination did.
func (d *DestinationStats) add(o DestinationStats) {
	d.Destination, d.Remote, d.Local, d.Stream = o.Destination, o.Remote, o.Local, o.Stream
	d.Connections += o.Connections
	d.Datagrams += o.Datagrams
	d.DatagramBytes += o.DatagramBytes
	d.Records += o.Records
	d.Exported.add(o.Exported)
	d.Unconfirmed.add(o.Unconfirmed)
	d.Buffered.add(o.Buffered)
	for f := range o.Lost {
		d.Lost[f].Datagrams += o.Lost[f].Datagrams
		d.Lost[f].add(o.Lost[f].Tally)
	}
	for f := range o.Errors {
		d.Errors[f] += o.Errors[f]
	}
}
