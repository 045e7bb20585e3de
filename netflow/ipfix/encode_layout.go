package ipfix

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
	layoutBoth  layout = 1 << 5 // counters and TCP flags of the other direction too (RFC 5103)

	layouts = 1 << 6
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
	if r.ReversePackets|r.ReverseBytes != 0 || r.ReverseTCPFlags != 0 {
		l |= layoutBoth
	}
	return l
}

// field is a field specifier: the number of the information element, the bytes of its value, and the private enterprise
// number, or 0 for an element of the IANA registry.
type field struct {
	id, size   uint16
	enterprise uint32
}

// reverseEnterprise marks elements as being of the other direction (RFC 5103 section 6.1).
const reverseEnterprise = 29305

var (
	addressFields = [...][]field{layoutIPv4: {{8, 4, 0}, {12, 4, 0}}, layoutIPv6: {{27, 16, 0}, {28, 16, 0}}, layoutNoAddress: nil}
	icmpFields    = [...][]field{layoutIPv4: {{176, 1, 0}, {177, 1, 0}}, layoutIPv6: {{178, 1, 0}, {179, 1, 0}}, layoutNoAddress: nil}
	routeFields   = [...][]field{
		layoutIPv4:      {{16, 4, 0}, {17, 4, 0}, {89, 1, 0}, {9, 1, 0}, {13, 1, 0}, {15, 4, 0}},
		layoutIPv6:      {{16, 4, 0}, {17, 4, 0}, {89, 1, 0}, {29, 1, 0}, {30, 1, 0}, {62, 16, 0}},
		layoutNoAddress: {{16, 4, 0}, {17, 4, 0}, {89, 1, 0}},
	}
	baseFields = []field{
		{7, 2, 0}, {11, 2, 0}, {4, 1, 0}, {6, 2, 0}, {5, 1, 0}, {60, 1, 0}, {152, 8, 0}, {153, 8, 0},
		{1, 8, 0}, {2, 8, 0}, {10, 4, 0}, {14, 4, 0}, {136, 1, 0}, {61, 1, 0},
	}
	linkFields = []field{{58, 2, 0}, {56, 6, 0}, {80, 6, 0}}
	bothFields = []field{{1, 8, reverseEnterprise}, {2, 8, reverseEnterprise}, {6, 2, reverseEnterprise}}
)

// baseLen is the bytes of baseFields, and so on.
const (
	baseLen = 51
	icmpLen = 2
	linkLen = 14
	bothLen = 18
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
	if l&layoutBoth != 0 {
		f = append(f, bothFields...)
	}
	if l&layoutRoute != 0 {
		f = append(f, routeFields[family]...)
	}
	return f
}

// append appends the field specifier (RFC 7011 section 3.2).
func (f field) append(dst []byte) []byte {
	if f.enterprise == 0 {
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(dst, f.id), f.size)
	}
	dst = binary.BigEndian.AppendUint16(dst, f.id|0x8000) // the enterprise bit
	dst = binary.BigEndian.AppendUint16(dst, f.size)
	return binary.BigEndian.AppendUint32(dst, f.enterprise)
}

// template makes the template record of a layout (RFC 7011 section 3.4.1).
func (l layout) template() message.Template {
	fields := l.fields()
	t := message.Template{ID: firstTemplate + uint16(l)}
	t.Record = binary.BigEndian.AppendUint16(t.Record, t.ID)
	t.Record = binary.BigEndian.AppendUint16(t.Record, uint16(len(fields)))
	for _, f := range fields {
		t.Record = f.append(t.Record)
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
func (l layout) write(p []byte, r *netflow.Record) {
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
	b[4] = r.Proto
	binary.BigEndian.PutUint16(b[5:], r.TCPFlags)
	b[7], b[8] = r.TOS, r.IPVersion
	binary.BigEndian.PutUint64(b[9:], milliseconds(r.Start))
	binary.BigEndian.PutUint64(b[17:], milliseconds(r.End))
	binary.BigEndian.PutUint64(b[25:], r.Bytes)
	binary.BigEndian.PutUint64(b[33:], r.Packets)
	binary.BigEndian.PutUint32(b[41:], r.Input)
	binary.BigEndian.PutUint32(b[45:], r.Output)
	b[49], b[50] = r.EndReason, r.Direction
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
	if l&layoutBoth != 0 {
		binary.BigEndian.PutUint64(p[0:], r.ReverseBytes)
		binary.BigEndian.PutUint64(p[8:], r.ReversePackets)
		binary.BigEndian.PutUint16(p[16:], r.ReverseTCPFlags)
		p = p[bothLen:]
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

// milliseconds cuts a time to what elements 152 and 153 hold; a time that is not told stays 0.
func milliseconds(t netflow.Timestamp) uint64 { return uint64(max(t, 0)) / 1000 }
