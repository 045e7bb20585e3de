package export

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// Options are what Config.Options may ask for: what collectors are told in options data, of NetFlow v9 and IPFIX.
var Options = []string{OptionSampling, OptionInterfaces, OptionStatistics, OptionSystem}

// The values of Config.Options.
const (
	OptionSampling   = "sampling"   // the rate, if it is above 1; v5 has it in its header anyway
	OptionInterfaces = "interfaces" // names and descriptions
	OptionStatistics = "statistics" // what was exported and what was not
	OptionSystem     = "system"     // when the system was started; IPFIX
)

// DefaultOptions are those that the collectors tried make use of. nfcapd 1.7.1 does not count records of options data in the
// sequence of IPFIX, and reports an error for each message that has some; so the others are for those who ask for them.
var DefaultOptions = []string{OptionSampling}

// NoOptions, as the only value of Config.Options, tells nothing.
const NoOptions = "none"

func (c *Config) tells(option string) bool { return slices.Contains(c.Options, option) }

// validateOptions reports what Config.Options has that there is not.
func (c *Config) validateOptions() error {
	for _, o := range c.Options {
		if !slices.Contains(Options, o) && (o != NoOptions || len(c.Options) > 1) {
			return fmt.Errorf("options %q: want %s, or %s", strings.Join(c.Options, ","), strings.Join(Options, ","), NoOptions)
		}
		if o != OptionSampling && o != NoOptions && c.Protocol != "ipfix" && c.Protocol != "v9" {
			return fmt.Errorf("options: NetFlow %s has no place for %s; ipfix and v9 have", c.Protocol, o)
		}
	}
	return nil
}

// sampling is the rate that encoders tell.
func (c *Config) sampling() uint32 {
	if !c.tells(OptionSampling) && (c.Protocol == "ipfix" || c.Protocol == "v9") {
		return 0
	}
	return c.Sampling
}

// announcer says when a destination's collector is to be told about us, and what. It is for messages of their own: the
// sampling rate goes along with flows.
type announcer struct {
	cfg  *Config // nil: nothing
	sent bool
	at   netflow.Timestamp
	told time.Time // on the wall clock

	first, last netflow.Timestamp // when flows were first and last not sent
}

func newAnnouncer(cfg *Config) announcer {
	if cfg.tells(OptionInterfaces) || cfg.tells(OptionStatistics) || cfg.tells(OptionSystem) {
		return announcer{cfg: cfg}
	}
	return announcer{}
}

// due reports whether it is time, as it is for templates; times may go back in replayed captures. It is asked for each
// message, and says yes but once.
func (a *announcer) due(now netflow.Timestamp) bool {
	if a.cfg == nil {
		return false
	}
	age := time.Duration(now-a.at) * time.Microsecond
	if a.sent && age < a.cfg.TemplateEvery && -age < a.cfg.TemplateEvery {
		return false
	}
	a.sent, a.at, a.told = true, now, time.Now()
	return true
}

// again has everything told with the next message, unless that was done within a second: a collector that is away refuses
// every datagram.
func (a *announcer) again() {
	if time.Since(a.told) > time.Second {
		a.sent = false
	}
}

// lost notes that flows were not sent.
func (a *announcer) lost(now netflow.Timestamp) {
	if a.first == 0 {
		a.first = now
	}
	a.last = now
}

func (a *announcer) options(d *DestinationStats) *netflow.Options {
	o := &netflow.Options{}
	if a.cfg.tells(OptionInterfaces) && a.cfg.Interfaces != nil {
		o.Interfaces = a.cfg.Interfaces()
	}
	if a.cfg.tells(OptionSystem) {
		o.Boot = a.cfg.Boot
	}
	if a.cfg.tells(OptionStatistics) {
		lost := d.TotalLost()
		o.Statistics = &netflow.ExporterStatistics{
			Messages: d.Datagrams, Bytes: d.DatagramBytes, Flows: d.Records,
			NotSentFlows: lost.Flows, NotSentPackets: lost.Packets, NotSentBytes: lost.Bytes,
			FirstNotSent: a.first, LastNotSent: a.last,
		}
		if a.cfg.Ignored != nil {
			o.Statistics.Ignored = a.cfg.Ignored()
		}
	}
	return o
}

// announce sends options data ahead of the datagram at hand.
func (d *destination) announce(now netflow.Timestamp) {
	var datagrams [][]byte
	switch e := d.encoder.(type) {
	case *ipfix.Encoder:
		datagrams = e.Options(now, d.announcer.options(&d.stats), true)
	case *v9.Encoder:
		datagrams = e.Options(now, d.announcer.options(&d.stats))
	}
	for _, p := range datagrams {
		d.pacer.wait()
		if err := d.write(p); err != nil {
			d.stats.Lost[faultOf(err)].Datagrams++
			d.announcer.again()
			continue
		}
		d.stats.Datagrams++
		d.stats.DatagramBytes += uint64(len(p))
	}
}

// announce sends options data behind the message just sent, or at the beginning of a connection, with their templates.
func (s *stream) announce(conn connection, enc *ipfix.Encoder, begin bool) error {
	s.mu.Lock()
	now := s.now
	if begin {
		s.announcer.sent = false
		if now == 0 {
			now = netflow.TimestampOf(time.Now())
		}
	}
	due := s.announcer.due(now)
	a, stats := s.announcer, s.stats
	s.mu.Unlock()
	if !due {
		return nil
	}
	for _, msg := range enc.Options(now, a.options(&stats), begin) {
		if err := s.write(conn, msg); err != nil {
			return err
		}
		s.mu.Lock()
		s.stats.Datagrams++
		s.stats.DatagramBytes += uint64(len(msg))
		s.mu.Unlock()
	}
	return nil
}
