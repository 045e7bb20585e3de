package dissect

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
)

// MaxTunnels is how many tunnels in each other are entered.
const MaxTunnels = 4

// Way says how a packet was come to. Both bits are set when one tunnel was entered and the next one in it was not.
type Way uint8

// The bits of Way.
const (
	Entered Way = 1 << iota // the packet was taken out of a tunnel
	Stopped                 // it is a tunnel of the set, but what is in it is cut, broken, no IP, or too deep
)

// UDP ports of tunnels: that of the destination tells, the source has any.
const (
	portGTPU   = 2152
	portVXLAN  = 4789
	portGeneve = 6081
	portMPLS   = 6635
	portVXLANs = 8472
)

// IP protocols that are tunnels.
const (
	protoIPv4 = 4
	protoUDP  = 17
	protoIPv6 = 41
	protoGRE  = 47
	protoMPLS = 137
)

// Outer is the IP header that carries a tunnel, as far as flows tell of it. It is zero when none does: Ethernet behind the
// MPLS labels of a frame.
type Outer struct {
	Src, Dst netflow.Addr
	Proto    uint8 // IP protocol: 4, 17, 41, 47, 137
	Type     uint8 // netflow.TunnelVXLAN and its siblings; 0: of another kind
}

// Enter looks into the tunnels of the set: when p, as Dissect has filled it from the frame with that verdict, is the
// packet that carries another one, p becomes the inner packet, and so on up to MaxTunnels times. The addresses and all else
// of IP are then those of the inner packet, TunnelID is that of the innermost tunnel that has a number (the VXLAN or
// Geneve network identifier, the tunnel endpoint identifier of GTP-U; for keys of GRE there is no element in IPFIX, and
// they are left alone), and what belongs to the link (MAC addresses, VLANs, the MPLS label) is still that of the frame.
//
// When no IP header can be found in a tunnel, or one that contradicts the packet around it, p stays the packet around it.
// Of a fragmented outer packet the first fragment is looked into, later ones are not. A frame that was not IP becomes OK
// when it is Ethernet behind MPLS labels, with or without a control word, and holds IP. Every step consumes bytes.
//
// When a tunnel was entered, outer gets what carries the innermost one of them; nil: that is not asked for.
func (t Tunnels) Enter(frame []byte, wireLen int, verdict Verdict, p *Packet, outer *Outer) (Verdict, Way) {
	missing := max(wireLen-len(frame), 0)
	var way Way
	if verdict != OK {
		if t&MPLS == 0 || p.Captured == 0 || !enterPseudowire(frame, missing, p) {
			return verdict, 0
		}
		way = Entered
		if outer != nil {
			*outer = Outer{}
		}
	}
	for range MaxTunnels {
		if t.carriedBy(p) == 0 {
			return OK, way
		}
		if !t.enter(frame, missing, p, outer) {
			return OK, way | Stopped
		}
		way = Entered
	}
	if t.carriedBy(p) != 0 {
		way |= Stopped
	}
	return OK, way
}

// carriedBy tells which tunnel of the set a packet is, by the protocol or port in it.
func (t Tunnels) carriedBy(p *Packet) Tunnels {
	switch p.Proto {
	case protoUDP:
		switch p.DstPort {
		case portVXLAN, portVXLANs:
			return t & VXLAN
		case portGTPU:
			return t & GTPU
		case portGeneve:
			return t & Geneve
		case portMPLS:
			return t & MPLS
		}
	case protoIPv4:
		return t & IPIP
	case protoIPv6:
		return t & SixIn4
	case protoGRE:
		return t & GRE
	case protoMPLS:
		return t & MPLS
	}
	return 0
}

// enter replaces p by the packet in it, if it can be found; outer, unless it is nil, by what was p's.
func (t Tunnels) enter(frame []byte, missing int, p *Packet, outer *Outer) bool {
	if p.Fragment == Later || p.IPHeader > p.Captured {
		return false
	}
	payload := frame[len(frame)-int(p.Captured-p.IPHeader):]
	b := payload
	if length := int(p.IPBytes - p.IPHeader); p.IPBytes == 40 && p.IPVersion == 6 {
		// Payload length 0, a jumbogram: to the end of the frame.
	} else if length < len(b) {
		b, missing = b[:length], 0
	} else {
		missing = length - len(b)
	}
	room := len(b) + missing
	trail := len(payload) - len(b)
	if p.Proto == protoUDP {
		if len(b) < 8 {
			return false
		}
		b = b[8:]
	}
	var q Packet
	q.TunnelID = p.TunnelID
	var verdict Verdict
	start := b
	switch t.carriedBy(p) {
	case GRE:
		verdict = gre(b, missing, &q)
	case IPIP:
		verdict = ipv4(b, missing, &q)
	case SixIn4:
		verdict = ipv6(b, &q)
	case VXLAN:
		verdict = vxlan(b, missing, &q)
	case Geneve:
		verdict = geneve(b, missing, &q)
	case GTPU:
		verdict = gtpu(b, missing, &q)
	case MPLS:
		verdict = mpls(b, missing, &q)
	}
	if verdict != OK && q.Captured != 0 && t&MPLS != 0 {
		verdict = pseudowire(start[len(start)-int(q.Captured):], missing, &q)
	}
	if verdict != OK || p.Fragment == Whole && int(q.IPBytes) > room {
		return false
	}
	if outer != nil {
		*outer = Outer{Src: p.Src, Dst: p.Dst, Proto: p.Proto, Type: t.carriedBy(p).number()}
	}
	q.Captured += uint32(trail)
	p.takeOver(&q)
	return true
}

// number is the tunnelType of one kind of tunnel.
func (t Tunnels) number() uint8 {
	switch t {
	case VXLAN:
		return netflow.TunnelVXLAN
	case GRE:
		return netflow.TunnelGRE
	case Geneve:
		return netflow.TunnelGeneve
	}
	return 0
}

// takeOver makes p the packet q, but for what the link says.
func (p *Packet) takeOver(q *Packet) {
	q.SrcMAC, q.DstMAC, q.VLAN, q.CustomerVLAN, q.MPLSLabel = p.SrcMAC, p.DstMAC, p.VLAN, p.CustomerVLAN, p.MPLSLabel
	*p = *q
}

// ethernet reads an Ethernet frame in a tunnel, of which the addresses are not asked for.
func ethernet(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 14 {
		return NonIP
	}
	return network(binary.BigEndian.Uint16(b[12:]), b[14:], missing, p)
}

// inside reads what an EtherType in a tunnel's header announces.
func inside(etherType uint16, b []byte, missing int, p *Packet) Verdict {
	switch etherType {
	case etherBridged:
		return ethernet(b, missing, p)
	case etherIPv4, etherIPv6, etherMPLS, etherMPLSMC:
		return network(etherType, b, missing, p)
	}
	return NonIP
}

// etherBridged announces an Ethernet frame: transparent Ethernet bridging (RFC 1701).
const etherBridged = 0x6558

// enterPseudowire replaces p, a frame in which what lies below the label stack is no good IP header.
func enterPseudowire(frame []byte, missing int, p *Packet) bool {
	var q Packet
	if pseudowire(frame[len(frame)-int(p.Captured):], missing, &q) != OK {
		return false
	}
	p.takeOver(&q)
	return true
}

// pseudowire reads an Ethernet frame below MPLS labels. Nothing tells whether a control word (RFC 4448 section 4.6: zero
// but for the sequence number) stands before it, nor whether it is Ethernet at all: what leads to an IP header is right.
func pseudowire(b []byte, missing int, p *Packet) Verdict {
	if len(b) >= 4 && b[0] == 0 && b[1] == 0 {
		*p = Packet{TunnelID: p.TunnelID}
		if ethernet(b[4:], missing, p) == OK {
			return OK
		}
	}
	*p = Packet{TunnelID: p.TunnelID}
	return ethernet(b, missing, p)
}

// gre reads a GRE header of version 0 (RFC 2784 section 2) with checksum, key and sequence number (RFC 2890 section 2).
// Routing, which RFC 2784 took away, is not followed.
func gre(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 4 {
		return NonIP
	}
	const checksum, key, sequence, others = 0x8000, 0x2000, 0x1000, 0x4c07
	flags := binary.BigEndian.Uint16(b)
	if flags&others != 0 {
		return NonIP
	}
	etherType := binary.BigEndian.Uint16(b[2:])
	at := 4
	if flags&checksum != 0 {
		at += 4
	}
	if flags&key != 0 {
		at += 4
	}
	if flags&sequence != 0 {
		at += 4
	}
	if len(b) < at {
		return NonIP
	}
	return inside(etherType, b[at:], missing, p)
}

// vxlan reads a VXLAN header (RFC 7348 section 5), in which the network identifier is marked as valid.
func vxlan(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 8 || b[0]&8 == 0 {
		return NonIP
	}
	p.TunnelID = binary.BigEndian.Uint32(b[4:]) >> 8
	return ethernet(b[8:], missing, p)
}

// geneve reads a Geneve header with its options (RFC 8926 section 3.4). Control packets hold no packet of a tenant.
func geneve(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 8 || b[0]>>6 != 0 || b[1]&0x80 != 0 {
		return NonIP
	}
	at := 8 + int(b[0]&0x3f)*4
	if len(b) < at {
		return NonIP
	}
	p.TunnelID = binary.BigEndian.Uint32(b[4:]) >> 8
	return inside(binary.BigEndian.Uint16(b[2:]), b[at:], missing, p)
}

// gtpu reads a GTP-U header (3GPP TS 29.281 section 5.1) of version 1 with a G-PDU, and its extension headers (5.2). Of
// what may be in it only IP is told apart.
func gtpu(b []byte, missing int, p *Packet) Verdict {
	const version, extension, optional, gpdu = 0x30, 4, 7, 255
	if len(b) < 8 || b[0]&0xf0 != version || b[1] != gpdu {
		return NonIP
	}
	p.TunnelID = binary.BigEndian.Uint32(b[4:])
	flags := b[0]
	b = b[8:]
	if flags&optional != 0 { // any of the three: all fields are there
		if len(b) < 4 {
			return NonIP
		}
		next := b[3]
		b = b[4:]
		if flags&extension == 0 {
			next = 0
		}
		for n := 0; next != 0; n++ {
			if len(b) < 4 || n == MaxExtensions {
				return NonIP
			}
			length := int(b[0]) * 4 // of the whole extension header
			if length == 0 || len(b) < length {
				return NonIP
			}
			next = b[length-1]
			b = b[length:]
		}
	}
	return nibble(b, missing, p)
}
