package dissect

import "github.com/caprock-net/caprock/netflow"

// Packet is what a flow meter wants to know of one IP packet. It holds no reference to the frame. Fields that the
// packet does not have, or that the capture cut off, are zero.
type Packet struct {
	Src, Dst netflow.Addr // of the outermost IP header; IPVersion tells an IPv4-mapped address from a real IPv6 one

	// IPBytes is the length of the IP packet, header included, as the header says: IPv4 total length (RFC 791
	// section 3.1) or 40 + IPv6 payload length (RFC 8200 section 3), also when the capture cut the packet. An IPv4
	// length of 0 (segmentation offload) is replaced by the length on the wire behind the link header; an IPv6
	// payload length of 0 counts 40.
	IPBytes uint32

	MPLSLabel  uint32 // label at the top of the stack, 20 bits (RFC 3032 section 2.1); 0 also stands for no label
	TunnelID   uint32 // of the tunnel that the packet was taken out of, see Tunnels.Enter; 0: of none, or of one without a number
	FragmentID uint32 // identification that the fragments of a datagram share: 16 bits in IPv4, 32 in IPv6; 0 when Whole

	// TCP, when the first 14 bytes of its header were captured. TCPPayload counts the bytes behind the header by the
	// lengths in the headers, of a first fragment those that are in it; an IPv6 payload length of 0 gives 0.
	TCPSeq, TCPAck, TCPPayload uint32

	// Captured is the number of bytes from the IP header to the end of the frame as captured, with what the link put
	// behind the packet; IPHeader that of the IP header with its options or extension headers, as far as they are
	// followed. The transport header begins IPHeader bytes behind the last Captured ones of the frame.
	Captured uint32
	IPHeader uint32

	SrcPort  uint16 // TCP, UDP, UDP-Lite, SCTP and DCCP, else 0; 0 in later fragments
	DstPort  uint16 // likewise; ICMP and ICMPv6: type << 8 | code, as exporters send it
	TCPFlags uint16 // netflow.TCPFin and its siblings, nine bits (RFC 7125 section 3)
	VLAN     uint16 // VLAN identifier of the outermost tag, 12 bits; 0: untagged

	CustomerVLAN uint16 // VLAN identifier of the second tag; 0: there is none

	SrcMAC, DstMAC netflow.MAC // Ethernet and 802.11; Linux cooked captures know the source only

	IPVersion uint8 // 4 or 6
	Proto     uint8 // IPv4 protocol; IPv6: the header behind the extension headers
	TOS       uint8 // IPv4 type of service or IPv6 traffic class, all eight bits
	TTL       uint8 // IPv4 time to live or IPv6 hop limit
	ICMPType  uint8 // ICMP and ICMPv6
	ICMPCode  uint8
	Fragment  Fragment

	// FragmentFlags are the bits of fragmentFlags (IPFIX element 197): 0x40 do not fragment, 0x20 more fragments follow.
	// IPv6 has the second only, in its fragment header.
	FragmentFlags uint8
}

// The bits of Packet.FragmentFlags. In IPv4 headers they lie in the same places of the seventh byte.
const (
	DontFragment  = 0x40
	MoreFragments = 0x20
)

// Fragment tells where in a fragmented datagram a packet stands.
type Fragment uint8

// Values of Packet.Fragment. An IPv6 "atomic" fragment (offset 0, nothing follows; RFC 6946) is Whole.
const (
	Whole Fragment = iota // not a fragment
	First                 // offset 0, more follow: it holds the transport header
	Later                 // offset above 0: it has no ports
)

// Verdict says what became of a frame.
type Verdict uint8

// A frame is exactly one of these. Frames = OK + NonIP + Malformed + Unsupported, and in summaries Unsupported is
// a kind of non-IP.
const (
	OK          Verdict = iota // an IP packet; Packet is filled
	NonIP                      // no IP header announced, or the link header is cut before it could be
	Malformed                  // announced as IP, but the IP header is cut or contradicts itself
	Unsupported                // a link type this package cannot read
)

// String names the verdict as summaries print it.
func (v Verdict) String() string {
	switch v {
	case OK:
		return "ip"
	case NonIP:
		return "non-ip"
	case Malformed:
		return "malformed"
	default:
		return "unsupported-link"
	}
}
