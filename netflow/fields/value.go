package fields

import (
	"encoding/binary"
	"math"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/layout"
)

// Uptimes are a flow's times by NetFlow v9's clock, milliseconds since a made-up boot (package uptime).
type Uptimes struct{ First, Last uint32 }

var be = binary.BigEndian

// The functions below write an element each: all bytes of p.

func srcAddr4(p []byte, r *netflow.Record, _ Uptimes) { copy(p, r.SrcAddr[12:]) }
func dstAddr4(p []byte, r *netflow.Record, _ Uptimes) { copy(p, r.DstAddr[12:]) }
func srcAddr6(p []byte, r *netflow.Record, _ Uptimes) { copy(p, r.SrcAddr[:]) }
func dstAddr6(p []byte, r *netflow.Record, _ Uptimes) { copy(p, r.DstAddr[:]) }

func srcPort(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint16(p, r.SrcPort) }

func dstPort(p []byte, r *netflow.Record, _ Uptimes) {
	v := r.DstPort
	if isICMP(r, 4) || isICMP(r, 6) {
		v = layout.TypeCode(r)
	}
	be.PutUint16(p, v)
}

func proto(p []byte, r *netflow.Record, _ Uptimes)      { p[0] = r.Proto }
func tos(p []byte, r *netflow.Record, _ Uptimes)        { p[0] = r.TOS }
func dscp(p []byte, r *netflow.Record, _ Uptimes)       { p[0] = r.TOS >> 2 }
func precedence(p []byte, r *netflow.Record, _ Uptimes) { p[0] = r.TOS >> 5 }
func ipVersion(p []byte, r *netflow.Record, _ Uptimes)  { p[0] = r.IPVersion }
func direction(p []byte, r *netflow.Record, _ Uptimes)  { p[0] = r.Direction }
func endReason(p []byte, r *netflow.Record, _ Uptimes)  { p[0] = r.EndReason }

// tcpFlags writes two bytes, or the lower one where there is room for one.
func tcpFlags(p []byte, r *netflow.Record, _ Uptimes) {
	if len(p) == 1 {
		p[0] = uint8(r.TCPFlags)
		return
	}
	be.PutUint16(p, r.TCPFlags)
}

func startUptime(p []byte, _ *netflow.Record, u Uptimes)  { be.PutUint32(p, u.First) }
func endUptime(p []byte, _ *netflow.Record, u Uptimes)    { be.PutUint32(p, u.Last) }
func startMillis(p []byte, r *netflow.Record, _ Uptimes)  { be.PutUint64(p, millis(r.Start)) }
func endMillis(p []byte, r *netflow.Record, _ Uptimes)    { be.PutUint64(p, millis(r.End)) }
func startSeconds(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint32(p, seconds(r.Start)) }
func endSeconds(p []byte, r *netflow.Record, _ Uptimes)   { be.PutUint32(p, seconds(r.End)) }
func startMicros(p []byte, r *netflow.Record, _ Uptimes)  { be.PutUint64(p, ntp(r.Start, ignored)) }
func endMicros(p []byte, r *netflow.Record, _ Uptimes)    { be.PutUint64(p, ntp(r.End, ignored)) }
func startNanos(p []byte, r *netflow.Record, _ Uptimes)   { be.PutUint64(p, ntp(r.Start, 0)) }
func endNanos(p []byte, r *netflow.Record, _ Uptimes)     { be.PutUint64(p, ntp(r.End, 0)) }

func durationMillis(p []byte, r *netflow.Record, _ Uptimes) {
	d := uint64(0)
	if r.Start > 0 && r.End > r.Start {
		d = millis(r.End) - millis(r.Start)
	}
	be.PutUint32(p, uint32(min(d, math.MaxUint32)))
}

func octets(p []byte, r *netflow.Record, _ Uptimes)  { be.PutUint64(p, r.Bytes) }
func packets(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint64(p, r.Packets) }
func input(p []byte, r *netflow.Record, _ Uptimes)   { be.PutUint32(p, r.Input) }
func output(p []byte, r *netflow.Record, _ Uptimes)  { be.PutUint32(p, r.Output) }

func srcMAC(p []byte, r *netflow.Record, _ Uptimes)       { copy(p, r.SrcMAC[:]) }
func dstMAC(p []byte, r *netflow.Record, _ Uptimes)       { copy(p, r.DstMAC[:]) }
func vlan(p []byte, r *netflow.Record, _ Uptimes)         { be.PutUint16(p, r.VLAN) }
func customerVLAN(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint16(p, r.CustomerVLAN) }

// mplsLabel writes the first three bytes of a label stack entry (RFC 3032 section 2.1): 20 bits of label, 3 of traffic
// class, the bit for the bottom of the stack. Of a flow only the label is known: it is told as if it were alone.
func mplsLabel(p []byte, r *netflow.Record, _ Uptimes) {
	v := uint32(0)
	if r.MPLSLabel != 0 {
		v = r.MPLSLabel<<4 | 1
	}
	p[0], p[1], p[2] = uint8(v>>16), uint8(v>>8), uint8(v)
}

func minTTL(p []byte, r *netflow.Record, _ Uptimes)        { p[0] = r.MinTTL }
func maxTTL(p []byte, r *netflow.Record, _ Uptimes)        { p[0] = r.MaxTTL }
func minLength(p []byte, r *netflow.Record, _ Uptimes)     { be.PutUint32(p, r.MinLength) }
func maxLength(p []byte, r *netflow.Record, _ Uptimes)     { be.PutUint32(p, r.MaxLength) }
func fragmentFlags(p []byte, r *netflow.Record, _ Uptimes) { p[0] = r.FragmentFlags }

func icmpType4(p []byte, r *netflow.Record, _ Uptimes) { p[0] = uint8(icmp(r, 4) >> 8) }
func icmpType6(p []byte, r *netflow.Record, _ Uptimes) { p[0] = uint8(icmp(r, 6) >> 8) }
func icmpCode4(p []byte, r *netflow.Record, _ Uptimes) { p[0] = uint8(icmp(r, 4)) }
func icmpCode6(p []byte, r *netflow.Record, _ Uptimes) { p[0] = uint8(icmp(r, 6)) }
func icmpBoth4(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint16(p, icmp(r, 4)) }
func icmpBoth6(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint16(p, icmp(r, 6)) }

// segment writes the type of encapsulation in the first byte, 1 for VXLAN, and the network in the last three.
func segment(p []byte, r *netflow.Record, _ Uptimes) {
	v := uint64(0)
	if r.TunnelID != 0 {
		v = 1<<56 | uint64(r.TunnelID&0xffffff)
	}
	be.PutUint64(p, v)
}

func tunnelID(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint32(p, r.TunnelID) }

func tunnelSrc(p []byte, r *netflow.Record, _ Uptimes)   { putAddr4(p, &r.TunnelSrcAddr) }
func tunnelDst(p []byte, r *netflow.Record, _ Uptimes)   { putAddr4(p, &r.TunnelDstAddr) }
func tunnelProto(p []byte, r *netflow.Record, _ Uptimes) { p[0] = r.TunnelProto }
func tunnelType(p []byte, r *netflow.Record, _ Uptimes)  { p[0] = r.TunnelType }

// putAddr4 writes zeros for an address that is not of IPv4.
func putAddr4(p []byte, a *netflow.Addr) {
	if !a.Is4() {
		a = &netflow.Addr{}
	}
	copy(p, a[12:])
}

func tcpRTT(p []byte, r *netflow.Record, _ Uptimes)         { be.PutUint32(p, r.TCPRTT) }
func tcpRetransmits(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint32(p, r.TCPRetransmits) }
func reverseTCPRetransmits(p []byte, r *netflow.Record, _ Uptimes) {
	be.PutUint32(p, r.ReverseTCPRetransmits)
}

func reverseOctets(p []byte, r *netflow.Record, _ Uptimes)   { be.PutUint64(p, r.ReverseBytes) }
func reversePackets(p []byte, r *netflow.Record, _ Uptimes)  { be.PutUint64(p, r.ReversePackets) }
func reverseTCPFlags(p []byte, r *netflow.Record, _ Uptimes) { be.PutUint16(p, r.ReverseTCPFlags) }

// isICMP reports whether a flow is of the ICMP of an IP version.
func isICMP(r *netflow.Record, version uint8) bool {
	want := uint8(netflow.ProtoICMP)
	if version == 6 {
		want = netflow.ProtoICMPv6
	}
	return r.IPVersion == version && r.Proto == want
}

// icmp is type << 8 | code of a flow of that ICMP, else 0.
func icmp(r *netflow.Record, version uint8) uint16 {
	if !isICMP(r, version) {
		return 0
	}
	return layout.TypeCode(r)
}

// millis cuts a time to milliseconds; a time that is not told stays 0.
func millis(t netflow.Timestamp) uint64 { return uint64(max(t, 0)) / 1000 }

func seconds(t netflow.Timestamp) uint32 {
	return uint32(min(uint64(max(t, 0))/1e6, math.MaxUint32))
}

const (
	ntpUnix = 2208988800 // seconds from 1900 to 1970
	ignored = 1<<11 - 1  // low bits of the fraction that dateTimeMicroseconds leaves zero (RFC 7011 section 6.1.9)
)

// ntp writes a time as seconds since 1900 and a binary fraction, which is rounded up, so that collectors come to the same
// microsecond whether they cut or round. In 2036 the seconds begin anew at 0.
func ntp(t netflow.Timestamp, zero uint64) uint64 {
	if t <= 0 {
		return 0
	}
	s, micros := uint64(t)/1e6, uint64(t)%1e6
	fraction := ((micros<<32+999_999)/1e6 + zero) &^ zero
	return uint64(uint32(s+ntpUnix))<<32 | fraction
}
