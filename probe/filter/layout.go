package filter

import (
	"fmt"

	"golang.org/x/net/bpf"

	"github.com/caprock-net/caprock/probe/dissect"
)

// Values of the type field of Ethernet.
const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherRARP  = 0x8035
	etherVLAN  = 0x8100
	etherIPv6  = 0x86dd
	etherMPLS  = 0x8847
	etherPPPoE = 0x8864 // session
	etherQinQ  = 0x88a8
	etherOldQ  = 0x9100
	maxLength  = 1500 // not a type but an 802.3 length up to here
)

// What Linux keeps beside a packet is loaded from these places (SKF_AD_OFF, SKF_LL_OFF in <linux/filter.h>).
const (
	ancillary        = -0x1000
	skbProtocol      = ancillary + 0
	skbPacketType    = ancillary + 4
	skbTag           = ancillary + 44
	skbTagPresent    = ancillary + 48
	skbLinkHeader    = -0x200000 // where it begins
	packetOutgoing   = 4
	cookedHeader     = 16
	pppIPv4, pppIPv6 = 0x0021, 0x0057
)

// layout says where in the frames the headers are that the rest of the expression asks about.
type layout struct {
	text    string
	target  Target
	typeAt  int // the Ethernet or PPP type
	payload int // the network header
	tags    int // vlan so far
	labels  int // mpls so far
	ppp     bool
	beside  bool // the outermost tag is not in the frame but beside it
}

func newLayout(text string, t Target) (*layout, error) {
	l := &layout{text: text, target: t}
	switch t.Link {
	case dissect.LinkEthernet:
		l.typeAt, l.payload = 12, 14
	case dissect.LinkSLL:
		l.typeAt, l.payload = 14, cookedHeader
		if t.Kernel {
			l.payload = 0
		}
	case dissect.LinkSLL2:
		l.typeAt, l.payload = 0, 20
	case dissect.LinkNull, dissect.LinkLoop:
		l.payload = 4
	case dissect.LinkRaw, dissect.LinkRaw12, dissect.LinkRaw14, dissect.LinkIPv4, dissect.LinkIPv6:
	default:
		return nil, fmt.Errorf("%w %d", ErrLink, t.Link)
	}
	return l, nil
}

func (l *layout) errorf(at int, format string, args ...any) error {
	return &Error{l.text, at, fmt.Sprintf(format, args...)}
}

// typed reports whether there is a field with an Ethernet type.
func (l *layout) typed() bool {
	switch l.target.Link {
	case dissect.LinkEthernet, dissect.LinkSLL, dissect.LinkSLL2:
		return true
	}
	return false
}

// loadType loads the Ethernet or PPP type.
func (l *layout) loadType() bpf.RawInstruction {
	if l.target.Kernel && l.target.Link == dissect.LinkSLL && l.typeAt == 14 {
		return at(skbProtocol, sizeW)
	}
	return at(l.typeAt, sizeH)
}

// network tests for what is in the frame, told by its Ethernet type.
func (l *layout) network(etherType uint32) *predicate {
	nibble := func(offset int) *predicate {
		switch etherType {
		case etherIPv4:
			return masked(offset, sizeB, 0x40, 0xf0)
		case etherIPv6:
			return masked(offset, sizeB, 0x60, 0xf0)
		}
		return no
	}
	switch {
	case l.labels > 0: // the last label says that it is the last, and the nibble behind it what follows
		return and(masked(l.payload-2, sizeB, 1, 1), nibble(l.payload))
	case l.ppp && etherType == etherIPv4:
		etherType = pppIPv4
	case l.ppp && etherType == etherIPv6:
		etherType = pppIPv6
	}
	if l.typed() {
		return compare(l.loadType(), 0xffffffff, jumpEq, etherType)
	}
	switch l.target.Link {
	case dissect.LinkIPv4:
		return fixed(etherType == etherIPv4)
	case dissect.LinkIPv6:
		return fixed(etherType == etherIPv6)
	case dissect.LinkNull, dissect.LinkLoop:
		switch etherType {
		case etherIPv4:
			return family(2)
		case etherIPv6:
			return or(family(10), family(23), family(24), family(26), family(28), family(30)) // of the same systems as in dissect
		}
		return no
	}
	return nibble(0)
}

// family tests for an address family in front of the packet, in either byte order.
func family(f uint32) *predicate { return or(equal(0, sizeW, f), equal(0, sizeW, f<<24)) }

// transport4 tests for a protocol over IPv4.
func (l *layout) transport4(protocol uint32) *predicate {
	return and(l.network(etherIPv4), equal(l.payload+9, sizeB, protocol))
}

// transport6 tests for a protocol over IPv6: in the first header, or behind a fragment header.
func (l *layout) transport6(protocol uint32) *predicate {
	const fragment = 44
	return and(l.network(etherIPv6), or(equal(l.payload+6, sizeB, protocol),
		and(equal(l.payload+6, sizeB, fragment), equal(l.payload+40, sizeB, protocol))))
}

// firstFragment tests for IPv4 that has a transport header: not a later fragment.
func (l *layout) firstFragment() *predicate {
	return not(&predicate{load: []bpf.RawInstruction{at(l.payload+6, sizeH)}, jump: jumpSet, k: 0x1fff})
}

// tag returns where a tag of Ethernet lies, and moves on behind it: 4 bytes, the last two of them a type.
func (l *layout) tag() (at int) {
	if l.target.Kernel && l.target.Link == dissect.LinkSLL && !l.beside {
		// Linux takes the tag off all packets that arrive, but of those that leave perhaps not: then the packet begins
		// behind it all the same.
		l.typeAt = skbLinkHeader + 12 + 4*l.tags
		return l.typeAt - 2
	}
	at = l.payload
	l.typeAt = l.payload + 2
	l.payload += 4
	return at
}
