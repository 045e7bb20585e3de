package v9

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/message"
)

// layout names a template of the encoder: an address family, and the groups of fields that a flow has values for.
type layout uint8

const (
	layoutIPv4      layout = 0
	layoutIPv6      layout = 1
	layoutNoAddress layout = 2
	layoutFamily    layout = 3 // mask of the above

	layoutICMP  layout = 1 << 2 // ICMP type and code, of IPv4 or of IPv6
	layoutLink  layout = 1 << 3 // VLAN and MAC addresses
	layoutRoute layout = 1 << 4 // AS numbers, masks, next hop, forwarding status

	layouts = 1 << 5
)

// Template ids: a layout's is firstTemplate + layout.
const (
	firstTemplate   = 256
	optionsTemplate = firstTemplate + layouts
)

// layoutOf chooses the smallest template that holds all that the flow has.
func layoutOf(r *netflow.Record) layout {
	l := layoutNoAddress
	switch r.IPVersion {
	case 4:
		l = layoutIPv4
		if r.Proto == netflow.ProtoICMP {
			l |= layoutICMP
		}
	case 6:
		l = layoutIPv6
		if r.Proto == netflow.ProtoICMPv6 {
			l |= layoutICMP
		}
	}
	if r.VLAN != 0 || r.SrcMAC != (netflow.MAC{}) || r.DstMAC != (netflow.MAC{}) {
		l |= layoutLink
	}
	if r.SrcAS|r.DstAS != 0 || r.SrcMask|r.DstMask|r.ForwardingStatus != 0 || !r.NextHop.IsZero() {
		l |= layoutRoute
	}
	return l
}

// field is a field specifier: the number of the field type and the bytes of its value.
type field struct{ id, size uint16 }

// ICMP of IPv6 has its type and code apart (178, 179): nfcapd does not find them in 139.
var (
	addressFields = [...][]field{layoutIPv4: {{8, 4}, {12, 4}}, layoutIPv6: {{27, 16}, {28, 16}}, layoutNoAddress: nil}
	icmpFields    = [...][]field{layoutIPv4: {{32, 2}}, layoutIPv6: {{178, 1}, {179, 1}}, layoutNoAddress: nil}
	routeFields   = [...][]field{
		layoutIPv4:      {{16, 4}, {17, 4}, {89, 1}, {9, 1}, {13, 1}, {15, 4}},
		layoutIPv6:      {{16, 4}, {17, 4}, {89, 1}, {29, 1}, {30, 1}, {62, 16}},
		layoutNoAddress: {{16, 4}, {17, 4}, {89, 1}},
	}
	baseFields = []field{
		{7, 2}, {11, 2}, {4, 1}, {6, 1}, {5, 1}, {60, 1}, {61, 1}, {136, 1},
		{22, 4}, {21, 4}, {1, 8}, {2, 8}, {10, 4}, {14, 4},
	}
	linkFields = []field{{58, 2}, {56, 6}, {80, 6}}
)

// baseLen is the bytes of baseFields, and so on.
const (
	baseLen = 42
	icmpLen = 2
	linkLen = 14
)

// fields lists a layout's fields in the order in which write writes them.
func (l layout) fields() []field {
	family := l & layoutFamily
	f := append(append([]field(nil), addressFields[family]...), baseFields...)
	if l&layoutICMP != 0 {
		f = append(f, icmpFields[family]...)
	}
	if l&layoutLink != 0 {
		f = append(f, linkFields...)
	}
	if l&layoutRoute != 0 {
		f = append(f, routeFields[family]...)
	}
	return f
}

// template makes the template record of a layout (RFC 3954 section 5.2).
func (l layout) template() message.Template {
	fields := l.fields()
	t := message.Template{ID: firstTemplate + uint16(l)}
	t.Record = binary.BigEndian.AppendUint16(t.Record, t.ID)
	t.Record = binary.BigEndian.AppendUint16(t.Record, uint16(len(fields)))
	for _, f := range fields {
		t.Record = binary.BigEndian.AppendUint16(t.Record, f.id)
		t.Record = binary.BigEndian.AppendUint16(t.Record, f.size)
		t.Size += int(f.size)
	}
	return t
}

// templates makes the templates of all layouts, each at its index.
func templates() []message.Template {
	all := make([]message.Template, layouts)
	for l := range layout(layouts) {
		if l&layoutFamily <= layoutNoAddress {
			all[l] = l.template()
		}
	}
	return all
}

// write writes all bytes of a data record of layout l.
func (l layout) write(p []byte, r *netflow.Record, first, last uint32) {
	family := l & layoutFamily
	switch family {
	case layoutIPv4:
		copy(p[0:4], r.SrcAddr[12:])
		copy(p[4:8], r.DstAddr[12:])
		p = p[8:]
	case layoutIPv6:
		*(*netflow.Addr)(p) = r.SrcAddr
		*(*netflow.Addr)(p[16:]) = r.DstAddr
		p = p[32:]
	}
	b := (*[baseLen]byte)(p)
	binary.BigEndian.PutUint16(b[0:], r.SrcPort)
	binary.BigEndian.PutUint16(b[2:], r.DstPort)
	b[4], b[5], b[6], b[7], b[8], b[9] = r.Proto, uint8(r.TCPFlags), r.TOS, r.IPVersion, r.Direction, r.EndReason
	binary.BigEndian.PutUint32(b[10:], first)
	binary.BigEndian.PutUint32(b[14:], last)
	binary.BigEndian.PutUint64(b[18:], r.Bytes)
	binary.BigEndian.PutUint64(b[26:], r.Packets)
	binary.BigEndian.PutUint32(b[34:], r.Input)
	binary.BigEndian.PutUint32(b[38:], r.Output)
	p = p[baseLen:]
	if l&layoutICMP != 0 {
		typeCode := typeCode(r)
		binary.BigEndian.PutUint16(b[2:], typeCode)
		binary.BigEndian.PutUint16(p, typeCode)
		p = p[icmpLen:]
	}
	if l&layoutLink != 0 {
		binary.BigEndian.PutUint16(p, r.VLAN)
		*(*netflow.MAC)(p[2:]) = r.SrcMAC
		*(*netflow.MAC)(p[8:]) = r.DstMAC
		p = p[linkLen:]
	}
	if l&layoutRoute != 0 {
		binary.BigEndian.PutUint32(p[0:], r.SrcAS)
		binary.BigEndian.PutUint32(p[4:], r.DstAS)
		p[8] = r.ForwardingStatus
		writeHop(p[9:], family, r)
	}
}

// writeHop writes masks and next hop. A next hop of the other family is left out: no template has room for both.
func writeHop(p []byte, family layout, r *netflow.Record) {
	switch family {
	case layoutIPv4:
		p[0], p[1] = r.SrcMask, r.DstMask
		clear(p[2:])
		if r.NextHop.Is4() {
			copy(p[2:6], r.NextHop[12:])
		}
	case layoutIPv6:
		p[0], p[1] = r.SrcMask, r.DstMask
		clear(p[2:])
		if !r.NextHop.Is4() {
			*(*netflow.Addr)(p[2:]) = r.NextHop
		}
	}
}

// typeCode is ICMP's type << 8 | code; a flow has them apart, or as its destination port.
func typeCode(r *netflow.Record) uint16 {
	if r.ICMPType|r.ICMPCode != 0 {
		return uint16(r.ICMPType)<<8 | uint16(r.ICMPCode)
	}
	return r.DstPort
}
