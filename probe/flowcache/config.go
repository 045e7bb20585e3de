package flowcache

import (
	"errors"
	"fmt"
	"time"
)

// Config says how packets become flows. A zero number, duration or key means the default.
type Config struct {
	// MaxFlows bounds the flows held at a time, and with it the memory: BytesPerFlow each, touched only as flows come.
	MaxFlows int
	// Active is the longest time from the first to the last packet of a flow: a packet that would make it longer ends
	// the flow and starts the next.
	Active time.Duration
	// Inactive is the time without packets after which a flow ends.
	Inactive time.Duration
	// TCPExpiry ends a flow of TCP one second after a FIN or RST was seen in it, or sooner if the timeouts are shorter. It
	// has effect only while Key contains KeyFiveTuple: a coarser flow is more than one connection.
	TCPExpiry bool
	// Key tells flows apart.
	Key KeyFields
	// Details keeps, for each flow, what Record has of its packets' lengths, times to live and fragment flags, and of its
	// first packet's inner VLAN, MPLS label and tunnel.
	Details bool
	// Outers keeps, for each flow, what was around its first packet when that came in a tunnel.
	Outers bool
	// TCPMetrics measures, for each flow of TCP, the round-trip time of the handshake and the segments sent again; tcp.go
	// says how. Key must contain KeyFiveTuple.
	TCPMetrics bool
	// Biflow makes one flow of both directions of a conversation (RFC 5103); biflow.go says how. Its source is who sent
	// the first packet, or was answered by it (SYN/ACK, echo reply). The key must have both ends' addresses, and both
	// ends' ports and MAC addresses or neither; TOS is left out of it, for answers often have another.
	Biflow bool
	// Seed makes the hash of the table repeatable, for tests. Zero takes a random one, so that nobody outside can choose
	// packets that collide.
	Seed [32]byte
}

// Defaults: those of routers, and a table of 144 MiB.
const (
	DefaultMaxFlows = 1 << 20
	DefaultActive   = 2 * time.Minute
	DefaultInactive = 15 * time.Second
)

// BytesPerFlow is the most memory a flow takes: its entry, and one and a half to three slots of the hash table, whose size
// is a power of two. While the table doubles, the old one is there for a moment too.
const BytesPerFlow = entrySize + 3*8

// BytesPerFlow is the most memory a flow takes, with what Details, Outers, TCPMetrics and Biflow need.
func (cfg Config) BytesPerFlow() int { return BytesPerFlow + cfg.extraBytes() }

// maxFlows is what 31 bits of an index allow; the other bit marks the heads of lists.
const maxFlows = 1 << 30

// DefaultConfig returns the defaults, TCP expiry on.
func DefaultConfig() Config {
	return Config{MaxFlows: DefaultMaxFlows, Active: DefaultActive, Inactive: DefaultInactive, TCPExpiry: true, Key: DefaultKey}
}

// withDefaults replaces zeros.
func (cfg Config) withDefaults() Config {
	if cfg.MaxFlows == 0 {
		cfg.MaxFlows = DefaultMaxFlows
	}
	if cfg.Active == 0 {
		cfg.Active = DefaultActive
	}
	if cfg.Inactive == 0 {
		cfg.Inactive = DefaultInactive
	}
	if cfg.Key == 0 {
		cfg.Key = DefaultKey
	}
	return cfg
}

// Validate joins all complaints.
func (cfg Config) Validate() error {
	cfg = cfg.withDefaults()
	var errs []error
	if cfg.MaxFlows < 1 || cfg.MaxFlows > maxFlows {
		errs = append(errs, fmt.Errorf("flow table of %d flows: 1 to %d are possible", cfg.MaxFlows, maxFlows))
	}
	if cfg.Active < time.Millisecond {
		errs = append(errs, fmt.Errorf("active timeout of %v: at least 1ms is needed", cfg.Active))
	}
	if cfg.Inactive < time.Millisecond {
		errs = append(errs, fmt.Errorf("inactive timeout of %v: at least 1ms is needed", cfg.Inactive))
	}
	if cfg.Key >= 1<<len(keyNames) {
		errs = append(errs, fmt.Errorf("%w: unknown bits in %#x", ErrKey, uint16(cfg.Key)))
	}
	if cfg.TCPMetrics && cfg.Key&KeyFiveTuple != KeyFiveTuple {
		errs = append(errs, fmt.Errorf("%w: TCP metrics need %v in it", ErrKey, KeyFiveTuple))
	}
	if cfg.Biflow {
		errs = append(errs, cfg.Key.symmetric())
	}
	return errors.Join(errs...)
}
