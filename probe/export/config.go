package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/v5"
)

// Values that a zero field of Config stands for.
const (
	DefaultProtocol        = "ipfix"
	DefaultMTU             = 1400        // bytes of UDP payload: Ethernet's 1500 less headers, and room for a tunnel's
	DefaultTemplateEvery   = time.Minute // a collector that was restarted misses at most the flows of a minute
	DefaultTemplatePackets = 20          // as Cisco's routers do
)

// The least and greatest MTU: the first is what RFC 7011 section 10.3.3 allows on any path, and holds every template with
// a flow; the second is the largest payload of UDP over IPv4.
const (
	MinMTU = 512
	MaxMTU = 65507
)

// Config says what is sent where. The zero value of each field but Destinations is a usable default.
type Config struct {
	Destinations    []string      // host:port or udp://host:port; for ipfix also tcp://host:port and tls://host:port
	Balance         string        // none: every destination gets every flow; round-robin, or hash of the conversation: one
	TLS             TLS           // for tls://
	QueueFlows      int           // flows that may wait for a connection, for each destination of tcp:// and tls://
	Wait            time.Duration // when that queue is full, wait for so long without progress before flows are lost
	LateRoute       bool          // over UDP, begin though there is no route to a destination, and look for one every second
	Protocol        string        // ipfix, v9, v5 or v1
	MTU             int           // greatest UDP payload, bytes
	TemplateEvery   time.Duration // templates are resent so often, in the time of the packets; v9 and ipfix
	TemplatePackets int           // and at least every so many datagrams
	MaxRate         int           // datagrams a second to each destination; 0: no limit
	Fields          []string      // names of the fields that flows are sent with, see FieldColumns; none: the usual; v9 and ipfix
	TCPMetrics      bool          // flows may have TCP's round-trip time and retransmissions, which are sent if they do; see Fields
	Domain          uint32        // observation domain, v9 source id, or v5 engine type << 8 | engine id
	Sampling        uint32        // one packet in Sampling is metered, and collectors are told; 0 and 1: all
	// SamplingAlgorithm says how they are chosen: SamplingDeterministic, which 0 stands for, or SamplingRandom.
	SamplingAlgorithm uint8
	Logger            *slog.Logger // nil: silent

	// Options are what collectors are told in options data of ipfix and v9, of Options; nil: DefaultOptions.
	Options    []string
	Interfaces func() []netflow.Interface // as of now; called by any goroutine. nil: there are none
	Ignored    func() uint64              // packets seen and not metered, likewise
	Boot       netflow.Timestamp          // when the system was started; 0: not known

	// Resolve finds the addresses of a name, at least one; nil: as the system does.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Values of Config.SamplingAlgorithm: samplingAlgorithm, IPFIX element 35.
const (
	SamplingDeterministic = 1
	SamplingRandom        = 2
)

// usesTLS reports whether a destination is of tls://.
func (c *Config) usesTLS() bool {
	return slices.ContainsFunc(c.Destinations, func(d string) bool { return strings.HasPrefix(d, "tls://") })
}

// withDefaults fills the fields that are zero.
func (c Config) withDefaults() Config {
	if c.Protocol == "" {
		c.Protocol = DefaultProtocol
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.TemplateEvery == 0 {
		c.TemplateEvery = DefaultTemplateEvery
	}
	if c.TemplatePackets == 0 {
		c.TemplatePackets = DefaultTemplatePackets
	}
	if c.Balance == "" {
		c.Balance = Balances[0]
	}
	if c.Options == nil {
		c.Options = DefaultOptions
	}
	c.Options = strings.Split(strings.Join(c.Options, ","), ",") // out of the environment they come as one
	if c.QueueFlows == 0 {
		c.QueueFlows = DefaultQueueFlows
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports everything that is wrong with a configuration, joined.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if len(c.Destinations) == 0 {
		complain("no destination")
	}
	seen := map[endpoint]bool{}
	for _, d := range c.Destinations {
		at, err := parseEndpoint(d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if seen[at] {
			complain("destination %q: given twice", d)
		}
		if at.stream() && c.Protocol != "ipfix" {
			complain("destination %q: only ipfix goes over %s; %s needs UDP", d, at.transport, c.Protocol)
		}
		seen[at] = true
	}
	if !slices.Contains(Balances, c.Balance) {
		complain("balance %q: want %s", c.Balance, strings.Join(Balances, ", "))
	}
	switch {
	case c.usesTLS() && (c.TLS.Cert == "" || c.TLS.Key == ""):
		complain("tls: a certificate of ours and its key are needed, for the collector to know us by")
	case !c.usesTLS() && c.TLS != (TLS{}):
		complain("tls: certificates without a destination tls://host:port")
	}
	if c.QueueFlows < 0 || c.Wait < 0 {
		complain("queue of %d flows, wait of %v: want more than 0", c.QueueFlows, c.Wait)
	}
	switch c.Protocol {
	case "ipfix", "v9":
	case "v5", "v1":
		if c.Domain > math.MaxUint16 {
			complain("domain %d: NetFlow v5 has engine type and id, together at most %d", c.Domain, math.MaxUint16)
		}
		if c.Protocol == "v5" && c.Sampling > v5.MaxSampling {
			complain("sampling %d: NetFlow v5 tells at most %d", c.Sampling, v5.MaxSampling)
		}
	default:
		complain("protocol %q: want ipfix, v9, v5 or v1", c.Protocol)
	}
	if c.MTU < MinMTU || c.MTU > MaxMTU {
		complain("mtu %d: want %d to %d bytes", c.MTU, MinMTU, MaxMTU)
	}
	if _, err := c.fieldList(); err != nil {
		errs = append(errs, err)
	}
	if c.SamplingAlgorithm > SamplingRandom {
		complain("sampling algorithm %d: want %d or %d", c.SamplingAlgorithm, SamplingDeterministic, SamplingRandom)
	}
	if c.TemplateEvery < 0 {
		complain("template interval %v: want more than 0", c.TemplateEvery)
	}
	if c.TemplatePackets < 0 {
		complain("template interval of %d datagrams: want more than 0", c.TemplatePackets)
	}
	if c.MaxRate < 0 {
		complain("rate %d: want datagrams a second, or 0 for no limit", c.MaxRate)
	}
	errs = append(errs, c.validateOptions())
	return errors.Join(errs...)
}
