// Package export sends flows to collectors: flows → messages → UDP, TCP or TLS.
//
// An Exporter takes one flow after the other and puts it into a datagram for each destination, in NetFlow v1, v5, v9 or
// IPFIX. A datagram is full when the next flow does not fit, and never longer than the configured MTU; full ones leave
// several at a time, or each in its turn when there is a rate (Config.MaxRate), and all on Flush. Every destination has a
// socket, sequence numbers, templates and statistics of its own, and gets every flow, or its share of them (Config.Balance).
//
// Over UDP that is done in the call. Over TCP and TLS, which IPFIX may go by, it is left to a goroutine for each
// destination, behind a bounded queue: a collector that is slow or away makes nobody wait, but those who read files and
// ask for it (Config.Wait). It keeps connecting, and each connection begins with all templates. Names are looked up again
// every five minutes and after failures, in goroutines too.
//
// Time is an argument: the time of the packets stands in the headers and says when templates are due, so that replaying a
// capture of 2014 sends what was sent in 2014. Only pacing and the patience with a socket go by the wall clock.
//
// Nothing is lost silently and nothing blocks for ever. What the protocol cannot carry, what was sent in another shape and
// what the network refused is counted by reason, and the counts add up (Stats). An error of the network is not an error of
// Export: the next datagram may well arrive.
package export

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	v5 "github.com/caprock-net/caprock/netflow/v5"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// Exporter sends flows. Export, Flush and Close are for one goroutine; Stats for any.
type Exporter struct {
	version      uint8       // netflow.VersionIPFIX and so on
	cfg          Config      // as of New, or of Apply
	tls          *tls.Config // nil: no certificates
	places       []*place    // of all destinations there have been
	leaving      sync.WaitGroup
	destinations []sender // those that are given flows
	uptimes      bool     // v9: times are told by the header's clock
	balance      string
	turn         int      // whose is next, round robin
	chosen       []sender // the destinations of the flow at hand
	stats        Stats    // but its Destinations
	sent         bool     // since the last publish
	closed       bool

	forth, back, part netflow.Record // what a flow is split into; here, so that none is allocated

	mu     sync.Mutex
	public Stats // what Stats returns
}

// New opens a socket for each destination, or begins to connect to it. Names are resolved now.
func New(cfg Config) (*Exporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	list, _ := cfg.fieldList() // Validate has found it good
	e := &Exporter{cfg: cfg, version: versions[cfg.Protocol], balance: cfg.Balance, uptimes: list == nil || list.Uptimes()}
	if e.version == netflow.VersionV1 && cfg.Sampling > 1 {
		cfg.Logger.Warn("collectors are not told the sampling rate: NetFlow v1 has no place for it", "sampling", cfg.Sampling)
	}
	if err := e.open(&cfg); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	for _, d := range e.destinations {
		d.start()
	}
	e.publish()
	return e, nil
}

func (e *Exporter) open(cfg *Config) error {
	if cfg.usesTLS() {
		var err error
		if e.tls, err = cfg.TLS.config(); err != nil {
			return err
		}
	}
	for _, name := range cfg.Destinations {
		at, err := parseEndpoint(name)
		if err != nil {
			return err
		}
		d, err := openSender(name, at, cfg, e.tls)
		if err != nil {
			return err
		}
		e.destinations = append(e.destinations, d)
		e.places = append(e.places, &place{at: at, name: name, sender: d})
	}
	return nil
}

var versions = map[string]uint8{
	"ipfix": netflow.VersionIPFIX, "v9": netflow.VersionV9, "v5": netflow.VersionV5, "v1": netflow.VersionV1,
}

func newEncoder(cfg *Config) encoder {
	list, _ := cfg.fieldList() // Validate has found it good
	switch version := versions[cfg.Protocol]; version {
	case netflow.VersionIPFIX:
		return ipfix.NewEncoder(ipfix.EncoderConfig{
			MaxBytes: cfg.MTU, Domain: cfg.Domain, Sampling: cfg.sampling(), SamplingRandom: cfg.SamplingAlgorithm == SamplingRandom,
			TemplateEvery: cfg.TemplateEvery, TemplateMessages: cfg.TemplatePackets,
			TCPMetrics: cfg.TCPMetrics, Fields: list,
		})
	case netflow.VersionV9:
		return v9.NewEncoder(v9.EncoderConfig{
			MaxBytes: cfg.MTU, SourceID: cfg.Domain, Sampling: cfg.sampling(), SamplingRandom: cfg.SamplingAlgorithm == SamplingRandom,
			TemplateEvery: cfg.TemplateEvery, TemplateMessages: cfg.TemplatePackets,
			TCPMetrics: cfg.TCPMetrics, Fields: list,
		})
	default:
		return v5.NewEncoder(v5.EncoderConfig{
			Version: version, MaxBytes: cfg.MTU, Engine: uint16(cfg.Domain), Sampling: uint16(min(cfg.Sampling, v5.MaxSampling)),
			SamplingRandom: cfg.SamplingAlgorithm == SamplingRandom,
		})
	}
}

// Export takes a flow, which is only read during the call. Datagrams that are full are sent, with now, the time of the
// packets, in their headers. The only error is net.ErrClosed, after Close.
func (e *Exporter) Export(now netflow.Timestamp, r *netflow.Record) error {
	if e.closed {
		return net.ErrClosed
	}
	if !r.NextHop.IsZero() && r.NextHop.Is4() != (r.IPVersion == 4) {
		e.stats.NextHops++
	}
	e.chosen = e.choose(r)
	switch e.version {
	case netflow.VersionIPFIX:
		e.send(now, r, tallyOf(r))
	case netflow.VersionV9:
		e.exportV9(now, r)
	default:
		e.exportV5(now, r)
	}
	e.stats.Given.add(tallyOf(r))
	if e.sent {
		e.publish()
	}
	return nil
}

// send gives each of the flow's destinations a record.
func (e *Exporter) send(now netflow.Timestamp, r *netflow.Record, t Tally) {
	for _, d := range e.chosen {
		if d.add(now, r, t) {
			e.sent = true
		}
	}
}

// Flush sends the datagrams at hand, full or not. It is to be called about every second, so that collectors are not kept
// waiting, and before Close. Its error is as Export's.
func (e *Exporter) Flush(now netflow.Timestamp) error {
	if e.closed {
		return net.ErrClosed
	}
	for _, d := range e.destinations {
		d.flush(now)
	}
	e.publish()
	return nil
}

// publish makes the present statistics those that Stats returns; only between flows, where they add up.
func (e *Exporter) publish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	destinations := e.public.Destinations[:0]
	for _, p := range e.places {
		destinations = append(destinations, p.snapshot(e))
	}
	e.public = e.stats
	e.public.Destinations = destinations
	e.sent = false
}

// Stats returns the statistics as of the last datagram sent over UDP, Flush or Close.
func (e *Exporter) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.public
	s.Destinations = append([]DestinationStats(nil), s.Destinations...)
	return s
}

// Close closes the sockets. Flows that are still in a datagram for UDP are not sent: Flush first. What is queued for
// connections is sent, within seconds, or as long as Config.Wait allows; then it counts as lost.
func (e *Exporter) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	var errs []error
	for _, d := range e.destinations {
		d.end()
	}
	for _, d := range e.destinations {
		errs = append(errs, d.close())
	}
	e.leaving.Wait()
	e.publish()
	return errors.Join(errs...)
}
