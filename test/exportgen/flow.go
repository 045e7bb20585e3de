package main

import "github.com/caprock-net/caprock/netflow"

// began is when the first flow does.
const began = netflow.Timestamp(1_780_000_000_123_000)

// flow makes the i-th flow. The bits of i choose which groups of fields it has values for, so that 128 flows have all
// combinations; its bytes are unique. Values are as large as their fields.
func flow(i int) netflow.Record {
	r := netflow.Record{
		Start: began + netflow.Timestamp(i)*1_001_000, End: began + netflow.Timestamp(i)*1_001_000 + 59_999_000,
		SrcPort: uint16(65535 - i), DstPort: uint16(1 + i), Proto: netflow.ProtoTCP, TOS: 0xb8, TCPFlags: 0x1b,
		Packets: uint64(i%1000 + 1), Bytes: 1_000_000 + uint64(i), Input: 70_001, Output: 1<<32 - 2,
		EndReason: uint8(1 + i%5), Direction: uint8(i % 2), SamplingRate: 0,
	}
	bit := func(n int) bool { return i>>n&1 != 0 }
	six := bit(0)
	if six {
		r.IPVersion = 6
		r.SrcAddr = netflow.Addr{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}
		r.DstAddr = netflow.Addr{0x20, 1, 0xd, 0xb8, 0xff, 15: 1}
	} else {
		r.IPVersion = 4
		r.SrcAddr = netflow.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		r.DstAddr = netflow.AddrFrom4([4]byte{203, 0, 113, 255})
	}
	switch {
	case bit(1) && six:
		r.Proto, r.TCPFlags, r.SrcPort, r.DstPort, r.ICMPType, r.ICMPCode = netflow.ProtoICMPv6, 0, 0, 0x8104, 0x81, 4
	case bit(1):
		r.Proto, r.TCPFlags, r.SrcPort, r.DstPort, r.ICMPType, r.ICMPCode = netflow.ProtoICMP, 0, 0, 0x0b01, 11, 1
	}
	if bit(2) {
		r.VLAN, r.SrcMAC, r.DstMAC = 4094, netflow.MAC{2, 0, 0, 0, 0, 1}, netflow.MAC{0xfe, 1, 2, 3, 4, 0xff}
	}
	if bit(3) {
		r.SrcAS, r.DstAS, r.SrcMask, r.DstMask, r.ForwardingStatus = 64_512, 64_513, 24, 31, 0x42
		r.NextHop = netflow.AddrFrom4([4]byte{192, 0, 2, 254})
		if six {
			r.NextHop = netflow.Addr{0xfe, 0x80, 15: 9}
		}
	}
	if bit(4) {
		r.ReversePackets, r.ReverseBytes, r.ReverseTCPFlags = 7, 500_000_000+uint64(i), 0x12
	}
	if bit(5) { // counters that v5 has to split would not be told apart; they have tests of their own
		r.Packets = 1<<31 - 1
	}
	if bit(6) && r.Proto == netflow.ProtoTCP {
		r.TCPRTT, r.TCPRetransmits = 1<<32-1, 3
		if bit(4) {
			r.ReverseTCPRetransmits = 1<<32 - 5
		}
	}
	r.CustomerVLAN, r.MPLSLabel, r.TunnelID, r.FragmentFlags = 4093, 1<<20-2, 1<<24-3, 0x60 // without a template of their own
	r.TunnelSrcAddr, r.TunnelDstAddr = netflow.AddrFrom4([4]byte{198, 51, 100, 254}), netflow.AddrFrom4([4]byte{198, 51, 100, byte(i)})
	r.TunnelProto, r.TunnelType = netflow.ProtoUDP, netflow.TunnelGeneve
	r.MinTTL, r.MaxTTL, r.MinLength, r.MaxLength = 1, 255, 40, 70_000
	return r
}

// line is a flow as a line of the list.
type line struct {
	Start, End                                       int64 // microseconds since 1970
	SrcAddr, DstAddr, NextHop                        string
	SrcPort, DstPort, TCPFlags, ReverseTCPFlags      uint16
	Proto, TOS, IPVersion, EndReason, Direction      uint8
	ICMPType, ICMPCode, SrcMask, DstMask, Forwarding uint8
	Packets, Bytes, ReversePackets, ReverseBytes     uint64
	Input, Output, SrcAS, DstAS                      uint32
	VLAN                                             uint16
	SrcMAC, DstMAC                                   uint64

	CustomerVLAN                                  uint16
	MPLSLabel, TunnelID, MinLength, MaxLength     uint32
	FragmentFlags, MinTTL, MaxTTL                 uint8
	TCPRTT, TCPRetransmits, ReverseTCPRetransmits uint32
	TunnelSrcAddr, TunnelDstAddr                  string
	TunnelProto, TunnelType                       uint8
}

func lineOf(r *netflow.Record) line {
	l := line{
		Start: int64(r.Start), End: int64(r.End), SrcAddr: r.SrcAddr.String(), DstAddr: r.DstAddr.String(),
		SrcPort: r.SrcPort, DstPort: r.DstPort, TCPFlags: r.TCPFlags, ReverseTCPFlags: r.ReverseTCPFlags,
		Proto: r.Proto, TOS: r.TOS, IPVersion: r.IPVersion, EndReason: r.EndReason, Direction: r.Direction,
		ICMPType: r.ICMPType, ICMPCode: r.ICMPCode, SrcMask: r.SrcMask, DstMask: r.DstMask, Forwarding: r.ForwardingStatus,
		Packets: r.Packets, Bytes: r.Bytes, ReversePackets: r.ReversePackets, ReverseBytes: r.ReverseBytes,
		Input: r.Input, Output: r.Output, SrcAS: r.SrcAS, DstAS: r.DstAS, VLAN: r.VLAN,
		SrcMAC: r.SrcMAC.Uint64(), DstMAC: r.DstMAC.Uint64(), CustomerVLAN: r.CustomerVLAN, MPLSLabel: r.MPLSLabel, TunnelID: r.TunnelID,
		MinLength: r.MinLength, MaxLength: r.MaxLength, FragmentFlags: r.FragmentFlags, MinTTL: r.MinTTL, MaxTTL: r.MaxTTL,
		TunnelSrcAddr: r.TunnelSrcAddr.String(), TunnelDstAddr: r.TunnelDstAddr.String(), TunnelProto: r.TunnelProto, TunnelType: r.TunnelType,
		TCPRTT: r.TCPRTT, TCPRetransmits: r.TCPRetransmits, ReverseTCPRetransmits: r.ReverseTCPRetransmits,
	}
	if !r.NextHop.IsZero() {
		l.NextHop = r.NextHop.String()
	}
	return l
}
