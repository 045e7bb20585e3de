package fields

import "github.com/caprock-net/caprock/netflow"

// field is an element that can be written.
type field struct {
	name   string // only of enterprise elements; others have the registry's
	id     uint16
	pen    uint32
	v9     uint16 // field type in NetFlow v9; 0: id, or none for an element with a PEN
	only   uint8  // the one protocol version that has it; 0: both
	size   uint8  // bytes
	size9  uint8  // bytes in NetFlow v9; 0: size
	family uint8  // 4 or 6: only in templates of that IP version, with its sibling in the other's; 0: in all
	other  uint16 // the sibling's id
	column netflow.Column
	also   netflow.ColumnSet // other columns that it is made of
	write  func(p []byte, r *netflow.Record, u Uptimes)
	about  string
}

// table lists the elements: the first of a column is the one that the column's name stands for. The lengths are those of
// the registry but where collectors expect others: 25 and 26 have 4 bytes of 8 (RFC 7011 section 6.2; no packet is longer),
// and element 6 has 1 byte in NetFlow v9, as there.
var table = []field{
	{id: 8, size: 4, family: 4, other: 27, column: netflow.SrcAddr, write: srcAddr4, about: "source address; in the template of IPv6 it is 27"},
	{id: 27, size: 16, family: 6, other: 8, column: netflow.SrcAddr, write: srcAddr6, about: "source address; in the template of IPv4 it is 8"},
	{id: 12, size: 4, family: 4, other: 28, column: netflow.DstAddr, write: dstAddr4, about: "destination address; in the template of IPv6 it is 28"},
	{id: 28, size: 16, family: 6, other: 12, column: netflow.DstAddr, write: dstAddr6, about: "destination address; in the template of IPv4 it is 12"},
	{id: 7, size: 2, column: netflow.SrcPort, write: srcPort, about: "source port"},
	{id: 11, size: 2, column: netflow.DstPort, write: dstPort, about: "destination port; of ICMP type * 256 + code"},
	{id: 4, size: 1, column: netflow.Proto, write: proto, about: "IP protocol"},
	{id: 6, size: 2, size9: 1, column: netflow.TCPFlags, write: tcpFlags, about: "TCP flags, or-ed over the flow; 1 byte in v9"},
	{id: 5, size: 1, column: netflow.TOS, write: tos, about: "type of service, of the first packet"},
	{id: 195, size: 1, column: netflow.TOS, write: dscp, about: "the upper 6 bits of it"},
	{id: 196, size: 1, column: netflow.TOS, write: precedence, about: "the upper 3 bits of it"},
	{id: 60, size: 1, column: netflow.IPVersion, write: ipVersion, about: "4 or 6"},
	{id: 61, size: 1, column: netflow.Direction, write: direction, about: "0 ingress, 1 egress"},
	{id: 136, size: 1, column: netflow.EndReason, write: endReason, about: "why the flow ended: 1 idle, 2 active timeout, 3 end seen, 4 forced, 5 table full"},
	{id: 22, size: 4, only: netflow.VersionV9, column: netflow.Start, write: startUptime, about: "first packet, ms since the boot"},
	{id: 21, size: 4, only: netflow.VersionV9, column: netflow.End, write: endUptime, about: "last packet, ms since the boot"},
	{id: 152, size: 8, column: netflow.Start, write: startMillis, about: "first packet, ms since 1970"},
	{id: 153, size: 8, column: netflow.End, write: endMillis, about: "last packet, ms since 1970"},
	{id: 150, size: 4, column: netflow.Start, write: startSeconds, about: "first packet, seconds since 1970"},
	{id: 151, size: 4, column: netflow.End, write: endSeconds, about: "last packet, seconds since 1970"},
	{id: 154, size: 8, column: netflow.Start, write: startMicros, about: "first packet, NTP's format to the microsecond"},
	{id: 155, size: 8, column: netflow.End, write: endMicros, about: "last packet, NTP's format to the microsecond"},
	{id: 156, size: 8, column: netflow.Start, write: startNanos, about: "first packet, NTP's format; known to the microsecond"},
	{id: 157, size: 8, column: netflow.End, write: endNanos, about: "last packet, NTP's format; known to the microsecond"},
	{id: 161, size: 4, column: netflow.End, also: netflow.SetOf(netflow.Start), write: durationMillis, about: "from the first packet to the last, ms"},
	{id: 1, size: 8, column: netflow.Bytes, write: octets, about: "bytes of the IP packets"},
	{id: 2, size: 8, column: netflow.Packets, write: packets, about: "packets"},
	{id: 10, size: 4, column: netflow.Input, write: input, about: "ifIndex where packets came in; 0: not known"},
	{id: 14, size: 4, column: netflow.Output, write: output, about: "ifIndex where they left; 0: not known"},
	{id: 56, size: 6, column: netflow.SrcMAC, write: srcMAC, about: "source MAC address"},
	{id: 80, size: 6, column: netflow.DstMAC, write: dstMAC, about: "destination MAC address"},
	{id: 58, size: 2, column: netflow.VLAN, write: vlan, about: "VLAN of the outer tag; 0: untagged"},
	{id: 243, size: 2, column: netflow.VLAN, write: vlan, about: "the same"},
	{id: 245, size: 2, column: netflow.CustomerVLAN, write: customerVLAN, about: "VLAN of the inner tag; 0: there is one tag or none"},
	{id: 70, size: 3, column: netflow.MPLSLabel, write: mplsLabel, about: "MPLS label at the top, its traffic class as 0, its bottom bit as 1; all zero: no label"},
	{id: 52, size: 1, column: netflow.MinTTL, write: minTTL, about: "least TTL or hop limit"},
	{id: 53, size: 1, column: netflow.MaxTTL, write: maxTTL, about: "greatest TTL or hop limit"},
	{id: 25, size: 4, column: netflow.MinLength, write: minLength, about: "bytes of the shortest IP packet"},
	{id: 26, size: 4, column: netflow.MaxLength, write: maxLength, about: "bytes of the longest IP packet"},
	{id: 197, size: 1, column: netflow.FragmentFlags, write: fragmentFlags, about: "0x40 do not fragment, 0x20 more fragments, or-ed over the flow"},
	{id: 176, size: 1, family: 4, other: 178, column: netflow.ICMPType, write: icmpType4, about: "type of ICMP; in the template of IPv6 it is 178"},
	{id: 178, size: 1, family: 6, other: 176, column: netflow.ICMPType, write: icmpType6, about: "type of ICMPv6; in the template of IPv4 it is 176"},
	{id: 177, size: 1, family: 4, other: 179, column: netflow.ICMPCode, write: icmpCode4, about: "code of ICMP; in the template of IPv6 it is 179"},
	{id: 179, size: 1, family: 6, other: 177, column: netflow.ICMPCode, write: icmpCode6, about: "code of ICMPv6; in the template of IPv4 it is 177"},
	{id: 32, size: 2, family: 4, other: 139, column: netflow.ICMPType, also: netflow.SetOf(netflow.ICMPCode), write: icmpBoth4, about: "type * 256 + code of ICMP; in the template of IPv6 it is 139"},
	{id: 139, size: 2, family: 6, other: 32, column: netflow.ICMPType, also: netflow.SetOf(netflow.ICMPCode), write: icmpBoth6, about: "type * 256 + code of ICMPv6; in the template of IPv4 it is 32"},
	{id: 351, size: 8, column: netflow.TunnelID, write: segment, about: "VXLAN or Geneve network that the packets were in, with 1 in the first byte; 0: none"},
	{id: 507, size: 4, column: netflow.TunnelID, write: tunnelID, about: "GTP-U tunnel endpoint that the packets were sent to; 0: none"},
	{id: 893, pen: netflow.PENVMware, name: "tunnelSourceIPv4Address", size: 4, column: netflow.TunnelSrcAddr, write: tunnelSrc, about: "VMware's: source address around the tunnel that the packets were in; 0.0.0.0: none, or one of IPv6, for which there is no element"},
	{id: 894, pen: netflow.PENVMware, name: "tunnelDestinationIPv4Address", size: 4, column: netflow.TunnelDstAddr, write: tunnelDst, about: "VMware's: destination address, likewise"},
	{id: 895, pen: netflow.PENVMware, name: "tunnelProtocolIdentifier", size: 1, column: netflow.TunnelProto, write: tunnelProto, about: "VMware's: IP protocol of the header around the tunnel: 4 ipip, 17 UDP, 41 6in4, 47 GRE, 137 MPLS; 0: none"},
	{id: 891, pen: netflow.PENVMware, name: "tunnelType", size: 1, column: netflow.TunnelType, write: tunnelType, about: "VMware's: 1 VXLAN, 2 GRE, 7 Geneve; 0: another, or none"},
	{id: 69, pen: netflow.PENFlowmon, name: "npmRoundTripTime", size: 4, column: netflow.TCPRTT, write: tcpRTT, about: "Flowmon's: round-trip time of the TCP handshake, µs; 0: not measured"},
	{id: 109, pen: netflow.PENNtop, v9: 57581, name: "RETRANSMITTED_IN_PKTS", size: 4, column: netflow.TCPRetransmits, write: tcpRetransmits, about: "ntop's: TCP segments seen again"},
	{id: 110, pen: netflow.PENNtop, name: "RETRANSMITTED_OUT_PKTS", size: 4, column: netflow.ReverseTCPRetransmits, write: reverseTCPRetransmits, about: "ntop's: the same of the other direction"},
	{id: 1, pen: netflow.PENReverse, size: 8, column: netflow.ReverseBytes, write: reverseOctets, about: "bytes of the other direction, of two-way flows"},
	{id: 2, pen: netflow.PENReverse, size: 8, column: netflow.ReversePackets, write: reversePackets, about: "packets of the other direction"},
	{id: 6, pen: netflow.PENReverse, size: 2, column: netflow.ReverseTCPFlags, write: reverseTCPFlags, about: "TCP flags of the other direction"},
}

// groups: default is the fields of every flow in the order in which the encoders write them when they are given no list.
var (
	defaultIPFIX = []uint16{8, 12, 7, 11, 4, 6, 5, 60, 152, 153, 1, 2, 10, 14, 136, 61}
	defaultV9    = []uint16{8, 12, 7, 11, 4, 6, 5, 60, 61, 136, 22, 21, 1, 2, 10, 14}
)

// instead names elements that are kept apart in the registry but come to the same for a meter, or nearly so.
var instead = map[uint16][]uint16{
	85: {1}, 86: {2}, 231: {1}, 298: {2}, 23: {1}, 24: {2}, 180: {7}, 182: {7}, 181: {11}, 183: {11}, 252: {10}, 253: {14},
	57: {80}, 81: {56}, 59: {58}, 254: {243}, 192: {52, 53}, 224: {25, 26}, 190: {25, 26}, 158: {154}, 159: {155}, 162: {161},
	55: {5}, 98: {195}, 44: {8}, 45: {12}, 170: {27}, 169: {28}, 71: {70}, 352: {1},
}

// carried reports whether a protocol version has the element.
func (f *field) carried(version uint8) bool {
	return (f.only == 0 || f.only == version) && (version == netflow.VersionIPFIX || f.pen == 0 || f.v9 != 0)
}

// element is the name by which the element is known.
func (f *field) element() string {
	if f.name != "" {
		return f.name
	}
	e, _ := netflow.ElementByID(f.pen, f.id)
	return e.Name
}

// byID finds an element of IANA's registry in the table.
func byID(id uint16) *field {
	for i := range table {
		if f := &table[i]; f.id == id && f.pen == netflow.PENIana {
			return f
		}
	}
	return nil
}

// byColumn finds what a column's name stands for in a protocol version.
func byColumn(c netflow.Column, version uint8) *field {
	for i := range table {
		if f := &table[i]; f.column == c && f.carried(version) {
			return f
		}
	}
	return nil
}
