package goflow2

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"
)

// expected lists what the protocol carries of the flows, by bytes: v5 has IPv4 only, and it and v9 have one direction to a
// record.
func expected(protocol string, flows map[uint64]flow) map[uint64]flow {
	want := map[uint64]flow{}
	for _, f := range flows {
		if protocol == "v5" && f.IPVersion == 6 {
			continue
		}
		if protocol == "v5" {
			f.VLAN, f.SrcMAC, f.DstMAC, f.Forwarding = 0, 0, 0, 0
			f.Input, f.Output = 0, 0 // ifIndex above 65535
		}
		if protocol != "ipfix" && f.ReversePackets > 0 {
			b := f
			b.Bytes, b.Packets, b.TCPFlags = f.ReverseBytes, f.ReversePackets, f.ReverseTCPFlags
			b.SrcAddr, b.DstAddr, b.NextHop = f.DstAddr, f.SrcAddr, ""
			if f.ICMPType == 0 {
				b.SrcPort, b.DstPort = f.DstPort, f.SrcPort
			}
			b.TCPRetransmits = f.ReverseTCPRetransmits
			b.TCPRTT, b.MinTTL, b.MaxTTL, b.MinLength, b.MaxLength, b.FragmentFlags = 0, 0, 0, 0, 0, 0 // they are of the way forth
			b.Input, b.Output, b.SrcAS, b.DstAS, b.SrcMask, b.DstMask = f.Output, f.Input, f.DstAS, f.SrcAS, f.DstMask, f.SrcMask
			b.SrcMAC, b.DstMAC = f.DstMAC, f.SrcMAC
			want[b.Bytes] = b
		}
		want[f.Bytes] = f
	}
	return want
}

// compareMessage compares what goflow2 makes of a flow.
func compareMessage(t *testing.T, protocol string, m *protoproducer.ProtoProducerMessage, f flow, sampling uint32) {
	t.Helper()
	address := func(b []byte) string {
		a, ok := netip.AddrFromSlice(b)
		if !ok || a.IsUnspecified() {
			return ""
		}
		return a.String()
	}
	got := flow{
		Start: int64(m.TimeFlowStartNs) / 1000, End: int64(m.TimeFlowEndNs) / 1000,
		SrcAddr: address(m.SrcAddr), DstAddr: address(m.DstAddr), NextHop: address(m.NextHop),
		SrcPort: uint16(m.SrcPort), DstPort: uint16(m.DstPort), TCPFlags: uint16(m.TcpFlags), Proto: uint8(m.Proto), TOS: uint8(m.IpTos),
		IPVersion: map[uint32]uint8{0x800: 4, 0x86dd: 6}[m.Etype], ICMPType: uint8(m.IcmpType), ICMPCode: uint8(m.IcmpCode),
		SrcMask: uint8(m.SrcNet), DstMask: uint8(m.DstNet), Forwarding: uint8(m.ForwardingStatus), Packets: m.Packets, Bytes: m.Bytes,
		Input: m.InIf, Output: m.OutIf, SrcAS: m.SrcAs, DstAS: m.DstAs, VLAN: uint16(m.VlanId), SrcMAC: m.SrcMac, DstMAC: m.DstMac,
	}
	want := f
	want.ReverseBytes, want.ReversePackets, want.ReverseTCPFlags = 0, 0, 0 // it has no place for these,
	want.EndReason, want.Direction = 0, 0                                  // nor these, nor what only chosen fields have
	want.CustomerVLAN, want.MPLSLabel, want.TunnelID, want.FragmentFlags = 0, 0, 0, 0
	want.MinTTL, want.MaxTTL, want.MinLength, want.MaxLength = 0, 0, 0, 0
	want.TunnelSrcAddr, want.TunnelDstAddr, want.TunnelProto, want.TunnelType = "", "", 0, 0
	want.TCPRTT, want.TCPRetransmits, want.ReverseTCPRetransmits = 0, 0, 0
	if protocol == "v5" {
		want.ICMPType, want.ICMPCode = 0, 0 // it reads them as the port that they stand in
	}
	if got != want {
		t.Fatalf("%s: goflow2 makes\n%+v, sent was\n%+v", protocol, got, want)
	}
	if m.SamplingRate != uint64(sampling) {
		t.Fatalf("%s: goflow2 takes %d for the sampling rate, want %d", protocol, m.SamplingRate, sampling)
	}
}

// Private enterprise numbers: of the other direction (RFC 5103), and of elements that IANA has no equal of.
const (
	reverse = 29305 << 16
	flowmon = 39499 << 16
	ntop    = 35632 << 16
	vmware  = 6876 << 16
)

// ntp is a time as dateTimeMicroseconds has it, RFC 7011 section 6.1.9: seconds since 1900, and a binary fraction.
func ntp(microseconds int64) (seconds uint64, fraction float64) {
	return uint64(microseconds/1e6) + 2208988800, float64(microseconds%1e6) / 1e6 * (1 << 32)
}

// number reads an integer of up to 8 bytes.
func number(b []byte) uint64 {
	var padded [8]byte
	copy(padded[8-min(len(b), 8):], b)
	return binary.BigEndian.Uint64(padded[:])
}

// compareFields compares the value of every field of a record. An element that is not listed here is an error: whoever adds
// one to a template says here what it is to hold.
func compareFields(t *testing.T, protocol string, record []netflow.DataField, flows map[uint64]flow) {
	t.Helper()
	var f flow
	for _, x := range record {
		if x.Pen == 0 && x.Type == 1 {
			f = flows[number(x.Value.([]byte))]
		}
	}
	if f.Bytes == 0 {
		t.Fatalf("no octetDeltaCount of a flow that was sent in %v", record)
	}
	numbers := map[uint32]uint64{
		1: f.Bytes, 2: f.Packets, 4: uint64(f.Proto), 5: uint64(f.TOS), 6: uint64(f.TCPFlags), 7: uint64(f.SrcPort),
		9: uint64(f.SrcMask), 10: uint64(f.Input), 11: uint64(f.DstPort), 13: uint64(f.DstMask), 14: uint64(f.Output),
		16: uint64(f.SrcAS), 17: uint64(f.DstAS), 29: uint64(f.SrcMask), 30: uint64(f.DstMask), 56: f.SrcMAC, 80: f.DstMAC,
		32: uint64(f.ICMPType)<<8 | uint64(f.ICMPCode), 58: uint64(f.VLAN), 60: uint64(f.IPVersion), 61: uint64(f.Direction),
		89: uint64(f.Forwarding), 136: uint64(f.EndReason), 152: uint64(f.Start / 1000), 153: uint64(f.End / 1000),
		176: uint64(f.ICMPType), 177: uint64(f.ICMPCode), 178: uint64(f.ICMPType), 179: uint64(f.ICMPCode),
		reverse | 1: f.ReverseBytes, reverse | 2: f.ReversePackets, reverse | 6: uint64(f.ReverseTCPFlags),

		25: uint64(f.MinLength), 26: uint64(f.MaxLength), 52: uint64(f.MinTTL), 53: uint64(f.MaxTTL), 197: uint64(f.FragmentFlags),
		139: uint64(f.ICMPType)<<8 | uint64(f.ICMPCode), 195: uint64(f.TOS >> 2), 196: uint64(f.TOS >> 5),
		243: uint64(f.VLAN), 245: uint64(f.CustomerVLAN), 351: 1<<56 | uint64(f.TunnelID), 507: uint64(f.TunnelID),
		70:  uint64(f.MPLSLabel)<<4 | 1, // the bottom of the stack, for all that is known
		150: uint64(f.Start / 1e6), 151: uint64(f.End / 1e6), 161: uint64(f.End/1000 - f.Start/1000),
		flowmon | 69: uint64(f.TCPRTT), ntop | 109: uint64(f.TCPRetransmits), ntop | 110: uint64(f.ReverseTCPRetransmits),
		vmware | 891: uint64(f.TunnelType), vmware | 895: uint64(f.TunnelProto),
		57581: uint64(f.TCPRetransmits), // ntop's in v9
	}
	addresses := map[uint32]string{8: f.SrcAddr, 12: f.DstAddr, 15: f.NextHop, 27: f.SrcAddr, 28: f.DstAddr, 62: f.NextHop,
		vmware | 893: f.TunnelSrcAddr, vmware | 894: f.TunnelDstAddr}
	for _, x := range record {
		value, id := x.Value.([]byte), x.Pen<<16|uint32(x.Type)
		if protocol == "v9" && (x.Type == 21 || x.Type == 22) {
			continue // uptimes, which compareMessage has seen as times
		}
		if want, ok := addresses[id]; ok {
			a, _ := netip.AddrFromSlice(value)
			if got := a.String(); got != want && !(want == "" && a.IsUnspecified()) {
				t.Fatalf("element %d/%d: goflow2 reads %s, want %s", x.Pen, x.Type, got, want)
			}
			continue
		}
		if x.Pen == 0 && x.Type >= 154 && x.Type <= 157 {
			at := f.Start
			if x.Type%2 == 1 {
				at = f.End
			}
			// The lowest 11 bits of microseconds are nothing (RFC 7011 section 6.1.9); a nanosecond is four of the fraction.
			seconds, fraction := ntp(at)
			if v := number(value); v>>32 != seconds || math.Abs(float64(v&math.MaxUint32)-fraction) > 1<<12 {
				t.Fatalf("element %d: goflow2 reads %x, want %x.%x", x.Type, v, seconds, uint64(fraction))
			}
			continue
		}
		want, ok := numbers[id]
		switch {
		case !ok:
			t.Fatalf("element %d/%d, %d bytes, is not known here", x.Pen, x.Type, len(value))
		case len(value) > 8:
			t.Fatalf("element %d/%d has %d bytes", x.Pen, x.Type, len(value))
		case number(value) != want&(math.MaxUint64>>(64-8*len(value))):
			t.Fatalf("element %d/%d: goflow2 reads %d, want %d", x.Pen, x.Type, number(value), want)
		}
	}
}
