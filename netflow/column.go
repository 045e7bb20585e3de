package netflow

import "fmt"

// Column names one field of a flow in a Batch, a file and a query. The numbers are internal to a process; files and
// streams carry names.
type Column uint8

// The columns, in the order in which files list them.
const (
	Start Column = iota
	End
	Received
	SrcAddr
	DstAddr
	SrcPort
	DstPort
	Proto
	TCPFlags
	TOS
	Packets
	Bytes
	ReversePackets
	ReverseBytes
	Exporter
	Domain
	Input
	Output
	SrcAS
	DstAS
	SrcMask
	DstMask
	NextHop
	VLAN
	Direction
	EndReason
	SamplingRate
	ICMPType
	ICMPCode
	SrcMAC
	DstMAC
	ReverseTCPFlags
	IPVersion
	ForwardingStatus
	ExportVersion
	CustomerVLAN
	MinTTL
	MaxTTL
	MinLength
	MaxLength
	FragmentFlags
	MPLSLabel
	TunnelID
	TCPRTT
	TCPRetransmits
	ReverseTCPRetransmits
	TunnelSrcAddr
	TunnelDstAddr
	TunnelProto
	TunnelType

	NumColumns = int(TunnelType) + 1
)

// Kind is the type of a column's values.
type Kind uint8

// The kinds, with the Go type that a Batch holds them in.
const (
	KindTime   Kind = iota // Timestamp
	KindAddr               // Addr
	KindMAC                // MAC
	KindUint8              // uint8
	KindUint16             // uint16
	KindUint32             // uint32
	KindUint64             // uint64
)

// Size returns the bytes that one value of the kind takes in a Batch.
func (k Kind) Size() int {
	return [...]int{KindTime: 8, KindAddr: 16, KindMAC: 6, KindUint8: 1, KindUint16: 2, KindUint32: 4, KindUint64: 8}[k]
}

// columnTable is the one list of columns: name, kind, and what storage/FORMAT.md says of it.
var columnTable = [NumColumns]struct {
	name    string
	kind    Kind
	element string
}{
	Start:                 {"start", KindTime, "flowStartMicroseconds (154) and every other encoding of a flow's start"},
	End:                   {"end", KindTime, "flowEndMicroseconds (155) and every other encoding of a flow's end"},
	Received:              {"received", KindTime, "when the collector received the datagram"},
	SrcAddr:               {"src_addr", KindAddr, "sourceIPv4Address (8), sourceIPv6Address (27)"},
	DstAddr:               {"dst_addr", KindAddr, "destinationIPv4Address (12), destinationIPv6Address (28)"},
	SrcPort:               {"src_port", KindUint16, "sourceTransportPort (7)"},
	DstPort:               {"dst_port", KindUint16, "destinationTransportPort (11); ICMP: type*256+code"},
	Proto:                 {"proto", KindUint8, "protocolIdentifier (4)"},
	TCPFlags:              {"tcp_flags", KindUint16, "tcpControlBits (6)"},
	TOS:                   {"tos", KindUint8, "ipClassOfService (5)"},
	Packets:               {"packets", KindUint64, "packetDeltaCount (2), else packetTotalCount (86), initiatorPackets (298)"},
	Bytes:                 {"bytes", KindUint64, "octetDeltaCount (1), else octetTotalCount (85), initiatorOctets (231)"},
	ReversePackets:        {"reverse_packets", KindUint64, "reverse packetDeltaCount (29305/2), else 29305/86, 299"},
	ReverseBytes:          {"reverse_bytes", KindUint64, "reverse octetDeltaCount (29305/1), else 29305/85, 232"},
	Exporter:              {"exporter", KindAddr, "source address of the datagram"},
	Domain:                {"domain", KindUint32, "observationDomainId (149); v9 source id; v5 engine type*256+id"},
	Input:                 {"input", KindUint32, "ingressInterface (10), else ingressPhysicalInterface (252)"},
	Output:                {"output", KindUint32, "egressInterface (14), else egressPhysicalInterface (253)"},
	SrcAS:                 {"src_as", KindUint32, "bgpSourceAsNumber (16)"},
	DstAS:                 {"dst_as", KindUint32, "bgpDestinationAsNumber (17)"},
	SrcMask:               {"src_mask", KindUint8, "sourceIPv4PrefixLength (9), sourceIPv6PrefixLength (29)"},
	DstMask:               {"dst_mask", KindUint8, "destinationIPv4PrefixLength (13), destinationIPv6PrefixLength (30)"},
	NextHop:               {"next_hop", KindAddr, "ipNextHopIPv4Address (15), ipNextHopIPv6Address (62)"},
	VLAN:                  {"vlan", KindUint16, "vlanId (58), dot1qVlanId (243)"},
	Direction:             {"direction", KindUint8, "flowDirection (61): 0 ingress, 1 egress"},
	EndReason:             {"end_reason", KindUint8, "flowEndReason (136)"},
	SamplingRate:          {"sampling_rate", KindUint32, "one packet in so many was metered; 0: not told"},
	ICMPType:              {"icmp_type", KindUint8, "icmpTypeIPv4 (176), icmpTypeIPv6 (178), or from 32, 139, 11"},
	ICMPCode:              {"icmp_code", KindUint8, "icmpCodeIPv4 (177), icmpCodeIPv6 (179), or from 32, 139, 11"},
	SrcMAC:                {"src_mac", KindMAC, "sourceMacAddress (56), else postSourceMacAddress (81)"},
	DstMAC:                {"dst_mac", KindMAC, "destinationMacAddress (80), else postDestinationMacAddress (57)"},
	ReverseTCPFlags:       {"reverse_tcp_flags", KindUint16, "reverse tcpControlBits (29305/6)"},
	IPVersion:             {"ip_version", KindUint8, "ipVersion (60): 4, 6; 0: the flow has no addresses"},
	ForwardingStatus:      {"forwarding_status", KindUint8, "forwardingStatus (89)"},
	ExportVersion:         {"export_version", KindUint8, "exportProtocolVersion (214): 1, 5, 7, 9, 10"},
	CustomerVLAN:          {"customer_vlan", KindUint16, "dot1qCustomerVlanId (245): the inner one of two tags"},
	MinTTL:                {"min_ttl", KindUint8, "minimumTTL (52), else ipTTL (192)"},
	MaxTTL:                {"max_ttl", KindUint8, "maximumTTL (53), else ipTTL (192)"},
	MinLength:             {"min_length", KindUint32, "minimumIpTotalLength (25), bytes"},
	MaxLength:             {"max_length", KindUint32, "maximumIpTotalLength (26), bytes"},
	FragmentFlags:         {"fragment_flags", KindUint8, "fragmentFlags (197): 0x40 do not fragment, 0x20 more fragments"},
	MPLSLabel:             {"mpls_label", KindUint32, "label of mplsTopLabelStackSection (70)"},
	TunnelID:              {"tunnel_id", KindUint32, "segment of layer2SegmentId (351), else gtpuTEid (507), tunnelKey (6876/892)"},
	TCPRTT:                {"tcp_rtt", KindUint32, "npmRoundTripTime (39499/69) of the TCP handshake, microseconds; else from 35632/123, 124"},
	TCPRetransmits:        {"tcp_retransmits", KindUint32, "TCP segments seen again: RETRANSMITTED_IN_PKTS (35632/109), else 39499/71"},
	ReverseTCPRetransmits: {"reverse_tcp_retransmits", KindUint32, "the same of the other direction: RETRANSMITTED_OUT_PKTS (35632/110)"},
	TunnelSrcAddr:         {"tunnel_src_addr", KindAddr, "tunnelSourceIPv4Address (6876/893): of the header around the packets"},
	TunnelDstAddr:         {"tunnel_dst_addr", KindAddr, "tunnelDestinationIPv4Address (6876/894)"},
	TunnelProto:           {"tunnel_proto", KindUint8, "tunnelProtocolIdentifier (6876/895): protocol of the header around the packets"},
	TunnelType:            {"tunnel_type", KindUint8, "tunnelType (6876/891): 1 VXLAN, 2 GRE, 3 LISP, 4 STT, 5 GRE over IPsec, 7 Geneve"},
}

// Columns lists all columns in file order.
func Columns() []Column {
	all := make([]Column, NumColumns)
	for i := range all {
		all[i] = Column(i)
	}
	return all
}

// ColumnByName finds a column by its name in files and queries.
func ColumnByName(name string) (Column, bool) {
	for i := range columnTable {
		if columnTable[i].name == name {
			return Column(i), true
		}
	}
	return 0, false
}

// String returns the column's name, as it stands in files and queries.
func (c Column) String() string {
	if int(c) >= NumColumns {
		return fmt.Sprintf("column(%d)", uint8(c))
	}
	return columnTable[c].name
}

// Kind returns the type of the column's values.
func (c Column) Kind() Kind { return columnTable[c].kind }

// Source says in words which information elements feed the column.
func (c Column) Source() string { return columnTable[c].element }

// ColumnSet is a set of columns, one bit each.
type ColumnSet uint64

// SetOf returns the set of the columns given.
func SetOf(columns ...Column) ColumnSet {
	var s ColumnSet
	for _, c := range columns {
		s |= 1 << c
	}
	return s
}

// AllColumns is the set of every column.
const AllColumns ColumnSet = 1<<NumColumns - 1

// Has reports whether c is in the set.
func (s ColumnSet) Has(c Column) bool { return s>>c&1 != 0 }
