package dissect

import (
	"errors"
	"fmt"
	"strings"
)

// Tunnels is a set of kinds of tunnels that are looked into.
type Tunnels uint16

// The kinds of tunnels.
const (
	GRE    Tunnels = 1 << iota // RFC 2784, RFC 2890: IP, MPLS, or Ethernet (also NVGRE, RFC 7637); not version 1 (PPTP)
	IPIP                       // IPv4 in IPv4 (RFC 2003) or in IPv6 (RFC 2473)
	SixIn4                     // IPv6 in IPv4 (RFC 4213) or in IPv6 (RFC 2473)
	VXLAN                      // RFC 7348: UDP port 4789, and 8472 as Linux had it before there was a standard
	Geneve                     // RFC 8926: UDP port 6081
	GTPU                       // 3GPP TS 29.281: UDP port 2152, message 255
	MPLS                       // Ethernet behind a label stack (RFC 4448), stacks in IP (RFC 4023) and in UDP (RFC 7510)
	PPPoE                      // nothing more than is always done: sessions are not tunnels to Dissect

	AllTunnels = PPPoE<<1 - 1
)

// TunnelNames are the names that ParseTunnels knows, in the order of the bits.
var TunnelNames = []string{"gre", "ipip", "6in4", "vxlan", "geneve", "gtpu", "mpls", "pppoe"}

// ErrTunnel is wrapped by every error of ParseTunnels.
var ErrTunnel = errors.New("tunnels")

// ParseTunnels reads names separated by commas, as in "gre,vxlan", or "all". Nothing is no tunnel.
func ParseTunnels(text string) (Tunnels, error) {
	var set Tunnels
	if strings.TrimSpace(text) == "" {
		return 0, nil
	}
next:
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if name == "all" {
			set = AllTunnels
			continue
		}
		for i, known := range TunnelNames {
			if name == known {
				set |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("%w: unknown kind %q; valid are all, %s", ErrTunnel, name, strings.Join(TunnelNames, ", "))
	}
	return set, nil
}

// String is what ParseTunnels reads.
func (t Tunnels) String() string {
	if t == AllTunnels {
		return "all"
	}
	var names []string
	for i, name := range TunnelNames {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
