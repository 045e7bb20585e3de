package dissect

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
)

// IPv6 extension headers (RFC 8200 section 4.1). Mobility (135), HIP (139) and "no next header" (59) end the chain:
// by RFC 6275 section 6.1.1 and RFC 7401 section 5.1 nothing follows them.
const (
	extHopByHop = 0
	extRouting  = 43
	extFragment = 44
	extAH       = 51
	extDestOpts = 60
)

// nibble reads an IP header of the version that its first four bits say.
func nibble(b []byte, missing int, p *Packet) Verdict {
	if len(b) == 0 {
		return NonIP
	}
	switch b[0] >> 4 {
	case 4:
		return ipv4(b, missing, p)
	case 6:
		return ipv6(b, p)
	}
	return NonIP
}

// ipv4 reads an IPv4 header (RFC 791 section 3.1) and the transport header behind it.
func ipv4(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 20 || b[0]>>4 != 4 {
		return Malformed
	}
	header := int(b[0]&15) * 4
	if header < 20 {
		return Malformed
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) + missing
	}
	if total < header {
		return Malformed
	}
	p.IPBytes = uint32(total)
	p.Captured = uint32(len(b))
	p.IPHeader = uint32(header)
	p.IPVersion = 4
	p.TOS = b[1]
	p.TTL = b[8]
	p.Proto = b[9]
	p.Src = netflow.AddrFrom4([4]byte(b[12:]))
	p.Dst = netflow.AddrFrom4([4]byte(b[16:]))
	field := binary.BigEndian.Uint16(b[6:])
	p.FragmentFlags = uint8(field>>8) & (DontFragment | MoreFragments)
	if field&0x3fff != 0 {
		p.FragmentID = uint32(binary.BigEndian.Uint16(b[4:]))
		if field&0x1fff != 0 {
			p.Fragment = Later
			return OK
		}
		p.Fragment = First
	}
	if total < len(b) {
		b = b[:total] // what follows is padding of the link
	}
	if header < len(b) {
		transport(b[header:], total-header, p)
	}
	return OK
}

// ipv6 reads an IPv6 header, the extension headers and the transport header behind them.
func ipv6(b []byte, p *Packet) Verdict {
	if len(b) < 40 || b[0]>>4 != 6 {
		return Malformed
	}
	payload := int(binary.BigEndian.Uint16(b[4:]))
	p.IPBytes = uint32(40 + payload)
	p.Captured = uint32(len(b))
	p.IPHeader = 40
	p.IPVersion = 6
	p.TOS = b[0]<<4 | b[1]>>4
	p.TTL = b[7]
	p.Src = netflow.Addr(b[8:])
	p.Dst = netflow.Addr(b[24:])
	next := b[6]
	b = b[40:]
	if payload != 0 && payload < len(b) {
		b = b[:payload]
	}
	for range MaxExtensions {
		least := 2 // bytes without which the next header or its place is not known
		switch next {
		default:
			p.Proto = next
			transport(b, payload+40-int(p.IPHeader), p)
			return OK
		case extHopByHop, extRouting, extDestOpts, extAH:
		case extFragment:
			least = 8
		}
		if len(b) < least {
			break
		}
		var length int
		switch next {
		case extFragment: // RFC 8200 section 4.5
			length = 8
			field := binary.BigEndian.Uint16(b[2:])
			if field&0xfff9 != 0 {
				p.FragmentID = binary.BigEndian.Uint32(b[4:])
				p.FragmentFlags = uint8(field&1) * MoreFragments
				p.Fragment = First
			}
			if field&0xfff8 != 0 {
				p.Proto = b[0]
				p.Fragment = Later
				p.IPHeader += 8
				return OK
			}
		case extAH: // RFC 4302 section 2.2: in units of four bytes, minus 2
			length = (int(b[1]) + 2) * 4
		default:
			length = (int(b[1]) + 1) * 8
		}
		next = b[0]
		length = min(length, len(b))
		b = b[length:]
		p.IPHeader += uint32(length)
	}
	// Cut off, or more headers than are followed: the last header known.
	p.Proto = next
	return OK
}

// transport reads the ports of the protocols that have them in their first four bytes, the flags and numbers of TCP, and
// the type and code of ICMP. What the capture cut off stays zero; length is what the IP header says there is, header
// included.
func transport(b []byte, length int, p *Packet) {
	switch p.Proto {
	case netflow.ProtoTCP: // RFC 9293 section 3.1; NS: RFC 3540
		if len(b) >= 14 {
			head, offset := binary.BigEndian.Uint64(b), binary.BigEndian.Uint16(b[12:])
			p.SrcPort, p.DstPort, p.TCPSeq = uint16(head>>48), uint16(head>>32), uint32(head)
			p.TCPAck = binary.BigEndian.Uint32(b[8:])
			p.TCPFlags = offset & 0x1ff
			p.TCPPayload = uint32(max(length-int(offset>>12)*4, 0)) // no branch: nobody could guess it
			return
		}
	case netflow.ProtoUDP, netflow.ProtoSCTP, netflow.ProtoDCCP, netflow.ProtoUDPLite:
	case netflow.ProtoICMP, netflow.ProtoICMPv6:
		// ICMP over IPv6, or ICMPv6 over IPv4, is nonsense that exists; type and code lie in the same place.
		if len(b) >= 2 {
			p.ICMPType, p.ICMPCode = b[0], b[1]
			p.DstPort = uint16(b[0])<<8 | uint16(b[1])
		}
		return
	default:
		return
	}
	if len(b) >= 4 {
		p.SrcPort = binary.BigEndian.Uint16(b)
		p.DstPort = binary.BigEndian.Uint16(b[2:])
	}
}
