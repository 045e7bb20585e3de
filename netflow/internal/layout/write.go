package layout

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
)

// WriteAddresses writes the fields in front of the base fields and returns the bytes from there on.
func (l Layout) WriteAddresses(p []byte, r *netflow.Record) []byte {
	switch l & Families {
	case IPv4:
		*(*[4]byte)(p) = [4]byte(r.SrcAddr[12:])
		*(*[4]byte)(p[4:]) = [4]byte(r.DstAddr[12:])
		return p[8:]
	case IPv6:
		*(*netflow.Addr)(p) = r.SrcAddr
		*(*netflow.Addr)(p[16:]) = r.DstAddr
		return p[32:]
	}
	return p
}

// HasGroups reports whether fields follow the base fields: then WriteGroups has to write them.
func (l Layout) HasGroups() bool { return l > Families }

// WriteGroups writes the fields behind the base fields, but for those of TCP. It returns the destination port that belongs
// into the base fields: of ICMP type << 8 | code.
func (l Layout) WriteGroups(p []byte, r *netflow.Record) (dstPort uint16) {
	dstPort = r.DstPort
	if l&ICMP != 0 {
		dstPort = TypeCode(r)
		binary.BigEndian.PutUint16(p, dstPort)
		p = p[icmpLen:]
	}
	if l&Link != 0 {
		binary.BigEndian.PutUint16(p, r.VLAN)
		*(*netflow.MAC)(p[2:]) = r.SrcMAC
		*(*netflow.MAC)(p[8:]) = r.DstMAC
		p = p[linkLen:]
	}
	if l&Both != 0 {
		binary.BigEndian.PutUint64(p[0:], r.ReverseBytes)
		binary.BigEndian.PutUint64(p[8:], r.ReversePackets)
		binary.BigEndian.PutUint16(p[16:], r.ReverseTCPFlags)
		p = p[bothLen:]
	}
	if l&Route != 0 {
		binary.BigEndian.PutUint32(p[0:], r.SrcAS)
		binary.BigEndian.PutUint32(p[4:], r.DstAS)
		p[8] = r.ForwardingStatus
		writeHop(p[9:9+hopLen[l&Families]], l&Families, r)
	}
	return dstPort
}

// hopLen is the bytes of masks and next hop.
var hopLen = [...]int{IPv4: 6, IPv6: 18, NoAddress: 0}

// writeHop writes masks and next hop. A next hop of the other family is left out: no template has room for both.
func writeHop(p []byte, family Layout, r *netflow.Record) {
	switch family {
	case IPv4:
		p[0], p[1] = r.SrcMask, r.DstMask
		clear(p[2:])
		if r.NextHop.Is4() {
			copy(p[2:6], r.NextHop[12:])
		}
	case IPv6:
		p[0], p[1] = r.SrcMask, r.DstMask
		clear(p[2:])
		if !r.NextHop.Is4() {
			*(*netflow.Addr)(p[2:]) = r.NextHop
		}
	}
}

// TypeCode is ICMP's type << 8 | code; a flow has them apart, or as its destination port.
func TypeCode(r *netflow.Record) uint16 {
	if r.ICMPType|r.ICMPCode != 0 {
		return uint16(r.ICMPType)<<8 | uint16(r.ICMPCode)
	}
	return r.DstPort
}
