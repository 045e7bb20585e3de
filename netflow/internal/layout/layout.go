// Package layout chooses the template for a flow, and writes what the data records of NetFlow v9 and IPFIX have in common:
// the addresses in front, and the groups of fields at the end that only some flows have values for. What stands between
// them, the fields of every flow, differs and is left to the packages v9 and ipfix.
package layout

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/message"
)

// Layout names a template of an encoder: an address family, and the groups of fields that a flow has values for.
type Layout uint8

// Address families, and groups in the order in which they stand in a record.
const (
	IPv4      Layout = 0
	IPv6      Layout = 1
	NoAddress Layout = 2
	Families  Layout = 3 // mask of the above

	ICMP  Layout = 1 << 2 // ICMP type and code, of IPv4 or of IPv6
	Link  Layout = 1 << 3 // VLAN and MAC addresses
	Route Layout = 1 << 4 // AS numbers, masks, next hop, forwarding status
	Both  Layout = 1 << 5 // counters and TCP flags of the other direction too (RFC 5103); IPFIX only
	TCP   Layout = 1 << 6 // round-trip time and retransmissions
)

// FirstTemplate is the id of the first template; a layout's is FirstTemplate + the layout, or with TCP, for these came when
// the ids behind the others were taken, tcpTemplate + the rest.
const (
	FirstTemplate = 256
	tcpTemplate   = 512
)

// id is the id of the layout's template.
func (l Layout) id() uint16 {
	if l&TCP != 0 {
		return tcpTemplate + uint16(l&^TCP)
	}
	return FirstTemplate + uint16(l)
}

// Of chooses the smallest layout that holds all that the flow has.
func Of(r *netflow.Record) Layout {
	l := NoAddress
	switch r.IPVersion {
	case 4:
		l = IPv4
		if r.Proto == netflow.ProtoICMP {
			l |= ICMP
		}
	case 6:
		l = IPv6
		if r.Proto == netflow.ProtoICMPv6 {
			l |= ICMP
		}
	}
	if r.VLAN != 0 || r.SrcMAC != (netflow.MAC{}) || r.DstMAC != (netflow.MAC{}) {
		l |= Link
	}
	if r.SrcAS|r.DstAS != 0 || r.SrcMask|r.DstMask|r.ForwardingStatus != 0 || !r.NextHop.IsZero() {
		l |= Route
	}
	if r.ReversePackets|r.ReverseBytes != 0 || r.ReverseTCPFlags != 0 {
		l |= Both
	}
	if r.TCPRTT|r.TCPRetransmits|r.ReverseTCPRetransmits != 0 {
		l |= TCP
	}
	return l
}

// Field is a field specifier: the number of the information element, the bytes of its value, and the private enterprise
// number, or 0 for an element of the IANA registry. NetFlow v9 has only the latter.
type Field struct {
	ID, Size   uint16
	Enterprise uint32
}

// reverseEnterprise marks elements as being of the other direction (RFC 5103 section 6.1).
const reverseEnterprise = 29305

var (
	addressFields = [...][]Field{IPv4: {{8, 4, 0}, {12, 4, 0}}, IPv6: {{27, 16, 0}, {28, 16, 0}}, NoAddress: nil}
	linkFields    = []Field{{58, 2, 0}, {56, 6, 0}, {80, 6, 0}}
	bothFields    = []Field{{1, 8, reverseEnterprise}, {2, 8, reverseEnterprise}, {6, 2, reverseEnterprise}}
	routeFields   = [...][]Field{
		IPv4:      {{16, 4, 0}, {17, 4, 0}, {89, 1, 0}, {9, 1, 0}, {13, 1, 0}, {15, 4, 0}},
		IPv6:      {{16, 4, 0}, {17, 4, 0}, {89, 1, 0}, {29, 1, 0}, {30, 1, 0}, {62, 16, 0}},
		NoAddress: {{16, 4, 0}, {17, 4, 0}, {89, 1, 0}},
	}
)

// icmpLen is the bytes of the fields for ICMP, and so on.
const (
	icmpLen = 2
	linkLen = 14
	bothLen = 18
)

// Own is what an encoder's records have that others' have not.
type Own struct {
	Base []Field    // of every flow
	ICMP [2][]Field // type and code, of IPv4 and of IPv6: two bytes
	TCP  []Field    // at the end of a record, where the encoder writes them
}

// fields lists a layout's fields in the order in which they are written.
func (o *Own) fields(l Layout) []Field {
	family := l & Families
	f := append(append([]Field(nil), addressFields[family]...), o.Base...)
	if l&ICMP != 0 && family != NoAddress {
		f = append(f, o.ICMP[family]...)
	}
	if l&Link != 0 {
		f = append(f, linkFields...)
	}
	if l&Both != 0 {
		f = append(f, bothFields...)
	}
	if l&Route != 0 {
		f = append(f, routeFields[family]...)
	}
	if l&TCP != 0 {
		f = append(f, o.TCP...)
	}
	return f
}

// append appends the field specifier (RFC 3954 section 5.2, RFC 7011 section 3.2).
func (f Field) append(dst []byte) []byte {
	if f.Enterprise == 0 {
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(dst, f.ID), f.Size)
	}
	dst = binary.BigEndian.AppendUint16(dst, f.ID|0x8000) // the enterprise bit
	dst = binary.BigEndian.AppendUint16(dst, f.Size)
	return binary.BigEndian.AppendUint32(dst, f.Enterprise)
}

// Templates makes the template records (RFC 3954 section 5.2, RFC 7011 section 3.4.1) of the layouts with any of the groups,
// each at its index.
func (o *Own) Templates(groups Layout) []message.Template {
	all := make([]message.Template, (groups|Families)+1)
	for i := range all {
		l := Layout(i)
		if l&^(groups|Families) != 0 || l&Families > NoAddress || l&Families == NoAddress && l&ICMP != 0 {
			continue // no flow has it
		}
		all[l] = Template(l.id(), o.fields(l))
	}
	return all
}

// Template makes the template record of fields in the order given.
func Template(id uint16, fields []Field) message.Template {
	t := message.Template{ID: id}
	t.Record = binary.BigEndian.AppendUint16(t.Record, t.ID)
	t.Record = binary.BigEndian.AppendUint16(t.Record, uint16(len(fields)))
	for _, f := range fields {
		t.Record = f.append(t.Record)
		t.Size += int(f.Size)
	}
	return t
}
