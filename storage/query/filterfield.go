package query

import (
	"github.com/caprock-net/caprock/netflow"
)

// fieldKind says how the values of a filter's field are written and compared.
type fieldKind uint8

const (
	fieldNumber  fieldKind = iota
	fieldAddr              // addresses and prefixes
	fieldMAC               // MAC addresses
	fieldTime              // points in time
	fieldFlags             // TCP flags, as letters or a number
	fieldDerived           // calculated from several columns
)

// sides says which words may stand before a field.
type sides uint8

const (
	noSides  sides = iota
	srcDst         // src and dst; without one, either
	inOut          // in and out; without one, either
	forward        // in and out; without one, in
	onlySrc        // src may be said, dst is not stored
	theOther       // the field's name is all there is: exporter, next
)

// field is something that a filter can test.
type field struct {
	name    string            // the spelling that String gives
	columns [2]netflow.Column // of the source and the destination, or of in and out; or one
	sides   sides
	kind    fieldKind
	max     uint64            // largest value that can be written
	names   map[string]uint64 // words for values
	lacking bool              // the value 0 means that the flow lacks the field
	derived derived
}

// derived are the calculated fields.
type derived uint8

const (
	derivedNone     derived = iota
	derivedDuration         // milliseconds
	derivedPPS
	derivedBPS
	derivedBPP
)

const maxUint32 = 1<<32 - 1

// The fields. Tests hold pointers to them.
var (
	fieldIP    = &field{name: "ip", columns: pair(netflow.SrcAddr, netflow.DstAddr), sides: srcDst, kind: fieldAddr}
	fieldPort  = &field{name: "port", columns: pair(netflow.SrcPort, netflow.DstPort), sides: srcDst, max: 65535, names: services}
	fieldAS    = &field{name: "as", columns: pair(netflow.SrcAS, netflow.DstAS), sides: srcDst, max: maxUint32, lacking: true}
	fieldMask  = &field{name: "mask", columns: pair(netflow.SrcMask, netflow.DstMask), sides: srcDst, max: 128, lacking: true}
	fieldMac   = &field{name: "mac", columns: pair(netflow.SrcMAC, netflow.DstMAC), sides: srcDst, kind: fieldMAC, lacking: true}
	fieldIf    = &field{name: "if", columns: pair(netflow.Input, netflow.Output), sides: inOut, max: maxUint32, lacking: true}
	fieldProto = &field{name: "proto", columns: one(netflow.Proto), max: 255, names: protocolNumbers}

	fieldTOS      = &field{name: "tos", columns: one(netflow.TOS), sides: onlySrc, max: 255}
	fieldVLAN     = &field{name: "vlan", columns: one(netflow.VLAN), sides: onlySrc, max: 4095, lacking: true}
	fieldFlowDir  = &field{name: "flowdir", columns: one(netflow.Direction), max: 255, names: directions}
	fieldFwdStat  = &field{name: "fwdstat", columns: one(netflow.ForwardingStatus), max: 255}
	fieldDomain   = &field{name: "domain", columns: one(netflow.Domain), max: maxUint32}
	fieldSampling = &field{name: "sampling", columns: one(netflow.SamplingRate), max: maxUint32, lacking: true}
	fieldVersion  = &field{name: "version", columns: one(netflow.ExportVersion), max: 255, names: exportVersions, lacking: true}
	fieldReason   = &field{name: "endreason", columns: one(netflow.EndReason), max: 255, names: endReasons, lacking: true}
	fieldICMPType = &field{name: "icmp-type", columns: one(netflow.ICMPType), max: 255}
	fieldICMPCode = &field{name: "icmp-code", columns: one(netflow.ICMPCode), max: 255}

	fieldPackets = &field{name: "packets", columns: pair(netflow.Packets, netflow.ReversePackets), sides: forward, max: 1<<64 - 1}
	fieldBytes   = &field{name: "bytes", columns: pair(netflow.Bytes, netflow.ReverseBytes), sides: forward, max: 1<<64 - 1}
	fieldTCP     = &field{name: "flags", columns: pair(netflow.TCPFlags, netflow.ReverseTCPFlags), sides: forward, kind: fieldFlags, max: 65535}

	fieldDuration = &field{name: "duration", kind: fieldDerived, derived: derivedDuration, max: 1<<63 - 1}
	fieldPPS      = &field{name: "pps", kind: fieldDerived, derived: derivedPPS, max: 1<<64 - 1}
	fieldBPS      = &field{name: "bps", kind: fieldDerived, derived: derivedBPS, max: 1<<64 - 1}
	fieldBPP      = &field{name: "bpp", kind: fieldDerived, derived: derivedBPP, max: 1<<64 - 1}

	fieldFirst    = &field{name: "first seen", columns: one(netflow.Start), kind: fieldTime, lacking: true}
	fieldLast     = &field{name: "last seen", columns: one(netflow.End), kind: fieldTime, lacking: true}
	fieldReceived = &field{name: "received", columns: one(netflow.Received), kind: fieldTime, lacking: true}

	fieldExporter = &field{name: "exporter ip", columns: one(netflow.Exporter), sides: theOther, kind: fieldAddr, lacking: true}
	fieldNext     = &field{name: "next ip", columns: one(netflow.NextHop), sides: theOther, kind: fieldAddr, lacking: true}

	// The header around a tunnel. The keys and types of tunnels may well be 0.
	fieldTunnelIP    = &field{name: "tun ip", columns: pair(netflow.TunnelSrcAddr, netflow.TunnelDstAddr), sides: srcDst, kind: fieldAddr, lacking: true}
	fieldTunnelProto = &field{name: "tun proto", columns: one(netflow.TunnelProto), max: 255, names: protocolNumbers, lacking: true}
	fieldTunnelType  = &field{name: "tunnel_type", columns: one(netflow.TunnelType), max: 255}
	fieldTunnelID    = &field{name: "tunnel_id", columns: one(netflow.TunnelID), max: maxUint32}
)

func pair(a, b netflow.Column) [2]netflow.Column { return [2]netflow.Column{a, b} }
func one(c netflow.Column) [2]netflow.Column     { return [2]netflow.Column{c, c} }

// fieldWords are the words that name a field, alone or after a side.
var fieldWords = map[string]*field{
	"ip": fieldIP, "host": fieldIP, "net": fieldIP, "port": fieldPort, "as": fieldAS, "mask": fieldMask,
	"mac": fieldMac, "if": fieldIf, "proto": fieldProto, "protocol": fieldProto, "tos": fieldTOS, "vlan": fieldVLAN,
	"flowdir": fieldFlowDir, "direction": fieldFlowDir, "fwdstat": fieldFwdStat, "forwarding_status": fieldFwdStat,
	"domain": fieldDomain, "sampling": fieldSampling, "sampling_rate": fieldSampling, "version": fieldVersion,
	"export_version": fieldVersion, "endreason": fieldReason, "end_reason": fieldReason, "icmp-type": fieldICMPType,
	"icmp_type": fieldICMPType, "icmp-code": fieldICMPCode, "icmp_code": fieldICMPCode, "packets": fieldPackets,
	"bytes": fieldBytes, "flags": fieldTCP, "tcp_flags": fieldTCP, "duration": fieldDuration, "pps": fieldPPS,
	"bps": fieldBPS, "bpp": fieldBPP, "start": fieldFirst, "end": fieldLast, "received": fieldReceived,
	"next_hop": fieldNext, "tunnel_proto": fieldTunnelProto, "tunnel_type": fieldTunnelType, "tunnel_id": fieldTunnelID,
}

// columnWords are the names of columns that say the side as well.
var columnWords = map[string]struct {
	field *field
	side  side
}{
	"src_addr": {fieldIP, sideFirst}, "dst_addr": {fieldIP, sideSecond}, "src_port": {fieldPort, sideFirst},
	"dst_port": {fieldPort, sideSecond}, "src_as": {fieldAS, sideFirst}, "dst_as": {fieldAS, sideSecond},
	"src_mask": {fieldMask, sideFirst}, "dst_mask": {fieldMask, sideSecond}, "src_mac": {fieldMac, sideFirst},
	"dst_mac": {fieldMac, sideSecond}, "input": {fieldIf, sideFirst}, "output": {fieldIf, sideSecond},
	"reverse_packets": {fieldPackets, sideSecond}, "reverse_bytes": {fieldBytes, sideSecond},
	"reverse_tcp_flags": {fieldTCP, sideSecond}, "tunnel_src_addr": {fieldTunnelIP, sideFirst}, "tunnel_dst_addr": {fieldTunnelIP, sideSecond},
}

// notStored are words of nfdump's language for things that a flow here has no column for.
var notStored = map[string]bool{
	"asa": true, "bgp": true, "client": true, "cnt": true, "count": true, "egress": true, "engine": true,
	"engine-id": true, "engine-type": true, "ethertype": true, "geo": true, "ident": true, "ingress": true,
	"label": true, "mpls": true, "nat": true, "nbar": true, "payload": true, "pf": true, "prev": true, "server": true,
	"ttl": true, "min": true, "max": true, "vrf": true, "flows": true,
}

// side is the end of a flow, or the direction, that a test looks at.
type side uint8

const (
	sideEither side = iota // not said; the only one of fields without sides
	sideFirst              // src, in
	sideSecond             // dst, out
	sideOr                 // src or dst
	sideAnd                // src and dst
)

var sideText = [2][5]string{
	{sideFirst: "src ", sideSecond: "dst ", sideOr: "src or dst ", sideAnd: "src and dst "},
	{sideFirst: "in ", sideSecond: "out ", sideOr: "in or out ", sideAnd: "in and out "},
}

func (f *field) sideText(s side) string {
	if f.sides == inOut || f.sides == forward {
		return sideText[1][s]
	}
	return sideText[0][s]
}
