// Package dissect finds the outermost IP header of a captured frame and reads from it, and from the transport header
// behind it, what a flow meter needs: one frame goes in, one Packet and a Verdict come out.
//
// It passes once over the frame, never allocates, and compares every length before it reads. Every step consumes bytes
// of the frame, and the number of VLAN tags, MPLS labels and IPv6 extension headers is bounded (MaxTags, MaxLabels,
// MaxExtensions), so that the work per frame is bounded whatever the frame says.
//
// Behind the link header it follows 802.1Q and 802.1ad tags, MPLS (IP is recognised by the first nibble behind the
// bottom of the stack), PPPoE sessions, PPP and LLC/SNAP. ESP is final. IPv4 protocol 51 (AH) is final too; of IPv6, where
// AH is an extension header (RFC 8200 section 4.1), the header behind it counts.
//
// Nothing is taken out of tunnels: of GRE, IP in IP, VXLAN or GTP the outer header counts. Tunnels.Enter, called after
// Dissect, looks into those that are asked for.
//
// Dissect and Enter are pure functions and may be called from any number of goroutines.
package dissect

import "encoding/binary"

// Bounds of what Dissect follows. A frame with more VLAN tags or MPLS labels is NonIP; of an IPv6 packet with more
// extension headers the protocol is that of the first header not followed.
const (
	MaxTags       = 8
	MaxLabels     = 32
	MaxExtensions = 16
)

// LinkType is a LINKTYPE_ value as capture files carry it (https://www.tcpdump.org/linktypes.html).
type LinkType uint16

// The link types that Dissect reads.
const (
	LinkNull     LinkType = 0   // BSD loopback: address family in the byte order of the machine that captured
	LinkEthernet LinkType = 1   //
	LinkPPP      LinkType = 9   // RFC 1661, perhaps in HDLC-like framing (RFC 1662)
	LinkRaw12    LinkType = 12  // raw IP as some systems number it
	LinkRaw14    LinkType = 14  // raw IP on OpenBSD
	LinkPPPHDLC  LinkType = 50  // PPP in HDLC-like framing, or Cisco HDLC
	LinkPPPEther LinkType = 51  // PPPoE header first
	LinkRaw      LinkType = 101 // raw IP, version by the first nibble
	LinkCHDLC    LinkType = 104 // Cisco HDLC
	LinkWLAN     LinkType = 105 // 802.11
	LinkFRelay   LinkType = 107 // Frame Relay, RFC 2427
	LinkLoop     LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkSLL      LinkType = 113 // Linux cooked capture
	LinkRadiotap LinkType = 127 // 802.11 behind a radiotap header
	LinkIPv4     LinkType = 228
	LinkIPv6     LinkType = 229
	LinkSLL2     LinkType = 276 // Linux cooked capture v2
)

// Dissect fills p from a frame. The slice frame holds the bytes captured, wireLen is the length the frame had on the
// wire (a shorter one than captured is taken as len(frame)). Unless the verdict is OK the content of p means nothing.
func Dissect(link LinkType, frame []byte, wireLen int, p *Packet) Verdict {
	*p = Packet{}
	missing := max(wireLen-len(frame), 0) // bytes behind the captured ones
	b := frame
	switch link {
	case LinkEthernet:
		if len(b) < 14 {
			return NonIP
		}
		p.DstMAC = [6]byte(b)
		p.SrcMAC = [6]byte(b[6:])
		etherType := binary.BigEndian.Uint16(b[12:])
		if etherType == etherIPv4 {
			return ipv4(b[14:], missing, p)
		}
		return network(etherType, b[14:], missing, p)
	case LinkRaw, LinkRaw12, LinkRaw14:
		return nibble(b, missing, p)
	case LinkIPv4:
		return ipv4(b, missing, p)
	case LinkIPv6:
		return ipv6(b, p)
	case LinkNull, LinkLoop:
		return loopback(b, missing, p)
	case LinkPPP, LinkPPPHDLC:
		return hdlc(b, missing, p)
	case LinkPPPEther:
		return network(etherPPPoE, b, missing, p)
	case LinkCHDLC:
		return ciscoHDLC(b, missing, p)
	case LinkFRelay:
		return frameRelay(b, missing, p)
	case LinkSLL:
		return cooked(b, missing, p)
	case LinkSLL2:
		return cooked2(b, missing, p)
	case LinkWLAN:
		return wlan(b, missing, false, p)
	case LinkRadiotap:
		return radiotap(b, missing, p)
	}
	return Unsupported
}
