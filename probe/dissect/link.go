package dissect

import "encoding/binary"

// EtherTypes (IEEE 802 numbers). Values below 0x0600 are lengths of an 802.3 frame, LLC follows.
const (
	etherIPv4   = 0x0800
	etherVLAN   = 0x8100 // 802.1Q
	etherIPv6   = 0x86dd
	etherMPLS   = 0x8847
	etherMPLSMC = 0x8848
	etherPPPoE  = 0x8864 // session stage, RFC 2516
	etherQinQ   = 0x88a8 // 802.1ad
	etherQinQ91 = 0x9100 // QinQ before it was a standard
	etherMin    = 0x0600
)

// network follows tags, labels and encapsulations from an EtherType to the IP header.
func network(etherType uint16, b []byte, missing int, p *Packet) Verdict {
	for tags := 0; ; {
		switch etherType {
		case etherIPv4:
			return ipv4(b, missing, p)
		case etherIPv6:
			return ipv6(b, p)
		case etherVLAN, etherQinQ, etherQinQ91:
			if len(b) < 4 || tags == MaxTags {
				return NonIP
			}
			switch tags {
			case 0:
				p.VLAN = binary.BigEndian.Uint16(b) & 0x0fff
			case 1:
				p.CustomerVLAN = binary.BigEndian.Uint16(b) & 0x0fff
			}
			tags++
			etherType = binary.BigEndian.Uint16(b[2:])
			b = b[4:]
		case etherMPLS, etherMPLSMC:
			return mpls(b, missing, p)
		case etherPPPoE:
			// Version 1, type 1, code 0: session data; session identifier and length follow (RFC 2516 section 4).
			if len(b) < 6 || b[0] != 0x11 || b[1] != 0 {
				return NonIP
			}
			return ppp(b[6:], missing, p)
		default:
			if etherType >= etherMin {
				return NonIP
			}
			return llc(b, missing, p)
		}
	}
}

// mpls pops the label stack (RFC 3032 section 2.1). What lies below is told by its first nibble only: 4 and 6 are IP, 0
// and 1 control words of pseudowires (RFC 4928 section 3).
func mpls(b []byte, missing int, p *Packet) Verdict {
	for n := range MaxLabels {
		if len(b) < 4 {
			return NonIP
		}
		if n == 0 {
			p.MPLSLabel = binary.BigEndian.Uint32(b) >> 12
		}
		bottom := b[2]&1 != 0
		b = b[4:]
		if bottom {
			p.Captured = uint32(len(b)) // where to look for Ethernet, if it is no IP: see Enter
			return nibble(b, missing, p)
		}
	}
	return NonIP
}

// llc reads IEEE 802.2: SNAP with an EtherType (RFC 1042; 802.1H bridge tunnel), or IP by its own service access point
// (RFC 948).
func llc(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 3 || b[2] != 3 { // unnumbered information
		return NonIP
	}
	switch {
	case b[0] == 0xaa && b[1] == 0xaa:
		return snap(b[3:], missing, p)
	case b[0] == 0x06 && b[1] == 0x06:
		return ipv4(b[3:], missing, p)
	}
	return NonIP
}

// snap reads organisation and EtherType behind an LLC header.
func snap(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 5 || b[0] != 0 || b[1] != 0 || b[2] != 0 && b[2] != 0xf8 {
		return NonIP
	}
	switch etherType := binary.BigEndian.Uint16(b[3:]); etherType {
	case etherIPv4, etherIPv6, etherMPLS, etherMPLSMC, etherPPPoE:
		return network(etherType, b[5:], missing, p)
	}
	return NonIP // no tags here: behind them LLC could come again, and so on
}

// hdlc reads PPP with or without HDLC-like framing (RFC 1662 section 3.1); on serial lines the same link type may hold
// Cisco HDLC.
func hdlc(b []byte, missing int, p *Packet) Verdict {
	switch {
	case len(b) < 2:
		return NonIP
	case b[0] == 0xff && b[1] == 3:
		return ppp(b[2:], missing, p)
	case b[0] == 0x0f || b[0] == 0x8f:
		return ciscoHDLC(b, missing, p)
	}
	return ppp(b, missing, p)
}

// ppp reads a PPP protocol field of two bytes, or of one when its low bit is set (RFC 1661 section 2).
func ppp(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 2 {
		return NonIP
	}
	protocol := uint16(b[0])
	if protocol&1 != 0 {
		b = b[1:]
	} else {
		protocol = protocol<<8 | uint16(b[1])
		b = b[2:]
	}
	switch protocol {
	case 0x0021:
		return ipv4(b, missing, p)
	case 0x0057:
		return ipv6(b, p)
	case 0x0281, 0x0283: // RFC 3032 section 4.3
		return mpls(b, missing, p)
	}
	return NonIP
}

// ciscoHDLC reads address (unicast 0x0f, broadcast 0x8f), control and an EtherType.
func ciscoHDLC(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 4 || b[0] != 0x0f && b[0] != 0x8f {
		return NonIP
	}
	etherType := binary.BigEndian.Uint16(b[2:])
	if etherType < etherMin {
		return NonIP
	}
	return network(etherType, b[4:], missing, p)
}

// frameRelay reads a Q.922 address of two to four bytes, then RFC 2427's control and NLPID, or Cisco's EtherType.
func frameRelay(b []byte, missing int, p *Packet) Verdict {
	address := 0
	for address < len(b) && address < 4 {
		address++
		if b[address-1]&1 != 0 { // address extension bit: the last byte
			break
		}
	}
	if address < 2 || b[address-1]&1 == 0 || len(b) < address+3 {
		return NonIP
	}
	b = b[address:]
	if b[0] != 3 { // not unnumbered information: Cisco's encapsulation
		etherType := binary.BigEndian.Uint16(b)
		if etherType < etherMin {
			return NonIP
		}
		return network(etherType, b[2:], missing, p)
	}
	b = b[1:]
	if b[0] == 0 { // pad byte
		b = b[1:]
	}
	switch nlpid := b[0]; nlpid {
	case 0xcc:
		return ipv4(b[1:], missing, p)
	case 0x8e:
		return ipv6(b[1:], p)
	case 0x80:
		return snap(b[1:], missing, p)
	}
	return NonIP
}

// loopback reads the four bytes of address family that BSD systems put first. LINKTYPE_NULL has them in the byte order
// of the machine that captured, which the reader need not know: no family has the same number in both orders.
func loopback(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 4 {
		return NonIP
	}
	family := binary.BigEndian.Uint32(b)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(b)
	}
	switch family {
	case 2: // AF_INET everywhere
		return ipv4(b[4:], missing, p)
	case 10, 23, 24, 26, 28, 30: // AF_INET6: Linux, Windows, OpenBSD and NetBSD, Solaris, FreeBSD, Darwin
		return ipv6(b[4:], p)
	}
	return NonIP
}

// cooked reads the header of Linux cooked captures (LINKTYPE_LINUX_SLL).
func cooked(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 16 {
		return NonIP
	}
	if binary.BigEndian.Uint16(b[4:]) == 6 {
		p.SrcMAC = [6]byte(b[6:])
	}
	return cookedProtocol(binary.BigEndian.Uint16(b[14:]), b[16:], missing, p)
}

// cooked2 reads the header of Linux cooked captures, version 2 (LINKTYPE_LINUX_SLL2).
func cooked2(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 20 {
		return NonIP
	}
	if b[11] == 6 {
		p.SrcMAC = [6]byte(b[12:])
	}
	return cookedProtocol(binary.BigEndian.Uint16(b), b[20:], missing, p)
}

// cookedProtocol reads the protocol of a cooked capture: an EtherType, or a number of Linux' own below 0x0600.
func cookedProtocol(protocol uint16, b []byte, missing int, p *Packet) Verdict {
	switch {
	case protocol == 4: // LINUX_SLL_P_802_2
		return llc(b, missing, p)
	case protocol < etherMin:
		return NonIP
	}
	return network(protocol, b, missing, p)
}
