package account

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"

	"github.com/caprock-net/caprock/netflow"
)

// EntrySize is the most memory an entry takes, in bytes: itself, and one and a half to three slots of the hash table.
const EntrySize = 64 + 3*8

// DefaultMemoryLimit is enough for 762,600 entries.
const DefaultMemoryLimit = 64 << 20

// maxEntries is what an index of 31 bits allows.
const maxEntries = 1<<31 - 1

// Config says what is told apart, and how much of it.
type Config struct {
	// Ports also tells ports, protocol and interface apart: IPCAD's capture-ports. PortsOf overrides it for interfaces by
	// name, or by a pattern of path.Match; a table with ports for one of them has the columns for all.
	Ports   bool
	PortsOf map[string]bool

	// MemoryLimit bounds a table, in bytes; 0: no limit. There are two tables.
	MemoryLimit int64

	Networks []Network   // the first that holds an address decides
	Ranges   []PortRange // the last that holds a port decides
}

// portsOf looks an interface up in PortsOf, by its name or else by the patterns there.
func (c *Config) portsOf(name string) (ports, ok bool) {
	if ports, ok = c.PortsOf[name]; ok {
		return ports, ok
	}
	for _, pattern := range slices.Sorted(maps.Keys(c.PortsOf)) {
		if match, err := path.Match(pattern, name); match && err == nil {
			return c.PortsOf[pattern], true
		}
	}
	return false, false
}

// Network aggregates the addresses inside Prefix: of each only the first Strip bits are kept.
type Network struct {
	Prefix netip.Prefix
	Strip  int
}

// PortRange makes one port, Into, out of those from First to Last, of all protocols with ports.
type PortRange struct{ First, Last, Into uint16 }

// Validate reports all that is wrong with the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.MemoryLimit != 0 && c.MemoryLimit < EntrySize {
		errs = append(errs, fmt.Errorf("memory limit: %d bytes, an entry takes %d", c.MemoryLimit, EntrySize))
	}
	for _, n := range c.Networks {
		if !n.Prefix.IsValid() || n.Strip < 0 || n.Strip > n.Prefix.Addr().BitLen() {
			errs = append(errs, fmt.Errorf("aggregate %v strip %d: not a network, or more bits than an address has", n.Prefix, n.Strip))
		}
	}
	for _, r := range c.Ranges {
		if r.First > r.Last {
			errs = append(errs, fmt.Errorf("aggregate %d-%d into %d: the range is empty", r.First, r.Last, r.Into))
		}
	}
	return errors.Join(errs...)
}

// rules are Networks and Ranges as they are applied.
type rules struct {
	networks []network
	ports    *[1 << 16]uint16 // nil: none
}

// network is a Network over 16 bytes.
type network struct {
	first, cover, keep netflow.Addr // first address; the bits that must equal its; the bits that are kept
	version            uint8
}

func newRules(c *Config) rules {
	var r rules
	for _, n := range c.Networks {
		offset, version := 0, uint8(6)
		if n.Prefix.Addr().Is4() {
			offset, version = 96, 4
		}
		r.networks = append(r.networks, network{
			netflow.AddrFrom(n.Prefix.Masked().Addr()), maskOf(offset + n.Prefix.Bits()), maskOf(offset + n.Strip), version,
		})
	}
	if len(c.Ranges) > 0 {
		r.ports = new([1 << 16]uint16)
		for i := range r.ports {
			r.ports[i] = uint16(i)
		}
		for _, p := range c.Ranges {
			for i := int(p.First); i <= int(p.Last); i++ {
				r.ports[i] = p.Into
			}
		}
	}
	return r
}

func maskOf(bits int) (mask netflow.Addr) {
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// address applies the networks.
func (r *rules) address(a *netflow.Addr, version uint8) {
next:
	for i := range r.networks {
		n := &r.networks[i]
		if n.version != version {
			continue
		}
		for j := range a {
			if a[j]&n.cover[j] != n.first[j] {
				continue next
			}
		}
		for j := range a {
			a[j] &= n.keep[j]
		}
		return
	}
}
