package netflow

import "time"

// Timestamp counts microseconds since 1970-01-01T00:00:00Z.
type Timestamp int64

// TimestampOf converts a time, cutting it to microseconds.
func TimestampOf(t time.Time) Timestamp { return Timestamp(t.UnixMicro()) }

// Time converts to a time in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMicro(int64(t)).UTC() }

// Values of Record.EndReason: flowEndReason, RFC 5102 section 5.11.3.
const (
	EndReasonIdle      = 1 // no packet for the inactive timeout
	EndReasonActive    = 2 // longer than the active timeout
	EndReasonEndOfFlow = 3 // FIN or RST seen
	EndReasonForced    = 4 // the meter stopped or was told to flush
	EndReasonResources = 5 // the flow table was full
)

// Values of Record.ExportVersion: exportProtocolVersion as it stands in the datagram. Zero is a flow that never
// travelled.
const (
	VersionV1    = 1
	VersionV5    = 5
	VersionV7    = 7
	VersionV9    = 9
	VersionIPFIX = 10
)

// Bits of Record.TCPFlags: tcpControlBits, RFC 7125 section 3.
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
	TCPEce
	TCPCwr
	TCPNs
)

// Values of Record.TunnelType that a meter knows: tunnelType, as Open vSwitch numbers them.
const (
	TunnelVXLAN  = 1
	TunnelGRE    = 2
	TunnelGeneve = 7
)

// Protocol numbers that the metering and the printing of flows know by name (IANA protocol numbers).
const (
	ProtoICMP    = 1
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoDCCP    = 33
	ProtoICMPv6  = 58
	ProtoSCTP    = 132
	ProtoUDPLite = 136
)

// Record is one flow as a row: what the probe's cache emits, what the encoders take and what a line is printed from.
// The comment of each field names the information element (RFC 7012) or says where the value comes from.
type Record struct {
	Start    Timestamp // flowStartMicroseconds and its siblings: first packet
	End      Timestamp // flowEndMicroseconds and its siblings: last packet
	Received Timestamp // when the collector's kernel took the datagram

	SrcAddr  Addr // sourceIPv4Address or sourceIPv6Address
	DstAddr  Addr // destinationIPv4Address or destinationIPv6Address
	NextHop  Addr // ipNextHopIPv4Address or ipNextHopIPv6Address
	Exporter Addr // source address of the datagram

	TunnelSrcAddr Addr // tunnelSourceIPv4Address: of the header around the packets; zero: not told
	TunnelDstAddr Addr // tunnelDestinationIPv4Address

	Packets        uint64 // packetDeltaCount, else packetTotalCount
	Bytes          uint64 // octetDeltaCount, else octetTotalCount: of the IP packets, without link headers
	ReversePackets uint64 // the same of the other direction, RFC 5103
	ReverseBytes   uint64

	Domain       uint32 // observationDomainId; v9: source id; v5: engine type << 8 | engine id
	Input        uint32 // ingressInterface
	Output       uint32 // egressInterface
	SrcAS        uint32 // bgpSourceAsNumber
	DstAS        uint32 // bgpDestinationAsNumber
	SamplingRate uint32 // one packet in SamplingRate was metered; 0: not told
	MinLength    uint32 // minimumIpTotalLength: of the shortest packet, bytes; 0: not told
	MaxLength    uint32 // maximumIpTotalLength: of the longest
	MPLSLabel    uint32 // label of mplsTopLabelStackSection, 20 bits; 0: none
	TunnelID     uint32 // segment of layer2SegmentId (VXLAN, Geneve), 24 bits, or gtpuTEid; 0: none

	TCPRTT                uint32 // round-trip time of the TCP handshake, microseconds; 0: not measured
	TCPRetransmits        uint32 // TCP segments seen again
	ReverseTCPRetransmits uint32 // the same of the other direction

	SrcPort         uint16 // sourceTransportPort
	DstPort         uint16 // destinationTransportPort; ICMP: type << 8 | code
	TCPFlags        uint16 // tcpControlBits, or-ed over the flow
	ReverseTCPFlags uint16 // the same of the other direction, RFC 5103
	VLAN            uint16 // vlanId or dot1qVlanId
	CustomerVLAN    uint16 // dot1qCustomerVlanId: the inner one of two tags

	SrcMAC MAC // sourceMacAddress
	DstMAC MAC // destinationMacAddress

	IPVersion        uint8 // ipVersion: 4 or 6; 0: SrcAddr and DstAddr hold nothing
	Proto            uint8 // protocolIdentifier
	TOS              uint8 // ipClassOfService
	SrcMask          uint8 // sourceIPv4PrefixLength or sourceIPv6PrefixLength, bits
	DstMask          uint8 // destinationIPv4PrefixLength or destinationIPv6PrefixLength, bits
	Direction        uint8 // flowDirection: 0 ingress, 1 egress
	EndReason        uint8 // flowEndReason
	ICMPType         uint8 // icmpTypeIPv4 or icmpTypeIPv6
	ICMPCode         uint8 // icmpCodeIPv4 or icmpCodeIPv6
	ForwardingStatus uint8 // forwardingStatus
	MinTTL           uint8 // minimumTTL
	MaxTTL           uint8 // maximumTTL
	FragmentFlags    uint8 // fragmentFlags, or-ed over the flow: 0x40 may not be fragmented, 0x20 more fragments follow
	TunnelProto      uint8 // tunnelProtocolIdentifier: protocol of the header around the packets; 0: not told
	TunnelType       uint8 // tunnelType: 1 VXLAN, 2 GRE, 3 LISP, 4 STT, 5 GRE over IPsec, 7 Geneve; 0: another, or not told
	ExportVersion    uint8 // version of the datagram that brought the flow: 1, 5, 7, 9 or 10
}
