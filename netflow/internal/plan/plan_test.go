package plan_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/plan"
	"github.com/caprock-net/caprock/netflow/netflowtest"
)

var (
	f       = netflowtest.Field
	reverse = netflowtest.Reverse
	rec     = netflowtest.Record

	enterprise = netflowtest.Enterprise
	vmware     = func(id, length uint16) plan.Field { return enterprise(netflow.PENVMware, id, length) }

	addr4 = func(d byte) netflow.Addr { return netflow.AddrFrom4([4]byte{10, 0, 0, d}) }
	addr6 = func(d byte) netflow.Addr { return netflow.Addr{0x20, 1, 0xd, 0xb8, 15: d} }
)

const export = netflow.Timestamp(1_700_000_000_000_000)

// ntp encodes a time as RFC 7011 section 6.1.9 does, cutting the fraction.
func ntp(t netflow.Timestamp) uint64 {
	return uint64(t/1e6+2208988800)<<32 | uint64(t%1e6)<<32/1e6
}

func TestColumns(t *testing.T) {
	ctx := plan.Context{Export: export, Uptime: 1000, HasUptime: true}
	boot := plan.Context{Export: export}
	sampled := plan.Context{Export: export, Rate: 7, Samplers: map[uint64]uint32{3: 30, 1 << 40: 40}}
	const ms = netflow.Timestamp(1000)
	tests := []struct {
		name   string
		fields []plan.Field
		record []byte
		ctx    plan.Context
		want   netflow.Record
	}{
		{"counters of 8 bytes", []plan.Field{f(1, 8), f(2, 8)}, rec(uint64(1<<40), uint64(1<<33)), ctx,
			netflow.Record{Bytes: 1 << 40, Packets: 1 << 33}},
		{"counters of 1 and 2 bytes", []plan.Field{f(1, 1), f(2, 2)}, rec(uint8(200), uint16(60000)), ctx,
			netflow.Record{Bytes: 200, Packets: 60000}},
		{"counters of 3, 5, 6 and 7 bytes", []plan.Field{f(1, 3), f(2, 5), reverse(1, 6), reverse(2, 7)},
			[]byte{1, 2, 3, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 7}, ctx,
			netflow.Record{Bytes: 0x010203, Packets: 0x0102030405, ReverseBytes: 0x010203040506, ReversePackets: 0x01020304050607}},
		{"counter of 9 bytes is skipped", []plan.Field{f(1, 9), f(2, 1)}, rec(make([]byte, 8), uint8(1), uint8(2)), ctx,
			netflow.Record{Packets: 2}},
		{"delta before total", []plan.Field{f(85, 4), f(86, 4), f(1, 4), f(2, 4)}, rec(uint32(9), uint32(8), uint32(7), uint32(6)), ctx,
			netflow.Record{Bytes: 7, Packets: 6}},
		{"delta of zero is told all the same", []plan.Field{f(85, 4), f(1, 4)}, rec(uint32(9), uint32(0)), ctx, netflow.Record{}},
		{"total", []plan.Field{f(85, 4), f(86, 4), reverse(85, 4), reverse(86, 4)},
			rec(uint32(9), uint32(8), uint32(7), uint32(6)), ctx,
			netflow.Record{Bytes: 9, Packets: 8, ReverseBytes: 7, ReversePackets: 6}},
		{"initiator and responder", []plan.Field{f(231, 4), f(232, 4), f(298, 4), f(299, 4)},
			rec(uint32(1), uint32(2), uint32(3), uint32(4)), ctx,
			netflow.Record{Bytes: 1, ReverseBytes: 2, Packets: 3, ReversePackets: 4}},
		{"counters after a middlebox are another thing", []plan.Field{f(23, 4), f(24, 4)}, rec(uint32(1), uint32(2)), ctx, netflow.Record{}},
		{"first of two is the outer one", []plan.Field{f(4, 1), f(4, 1)}, rec(uint8(47), uint8(6)), ctx, netflow.Record{Proto: 47}},
		{"wider than the column", []plan.Field{f(4, 4), f(7, 4), f(6, 4), f(5, 2)},
			rec(uint32(6), uint32(443), uint32(0x12), uint16(8)), ctx,
			netflow.Record{Proto: 6, SrcPort: 443, TCPFlags: 0x12, TOS: 8}},
		{"too large for the column is not told", []plan.Field{f(4, 2), f(10, 8)}, rec(uint16(262), uint64(1)<<32|5), ctx, netflow.Record{}},
		{"enterprise elements are skipped", []plan.Field{netflowtest.Enterprise(9, 1, 4), f(1, 4)}, rec(uint32(1), uint32(2)), ctx,
			netflow.Record{Bytes: 2}},
		{"field types of v9 above 32767", []plan.Field{f(57590, 2), f(33002, 2), f(2, 4)}, rec(uint16(1), uint16(2), uint32(3)), ctx,
			netflow.Record{Packets: 3}},
		{"fields of no length", []plan.Field{f(1, 0), f(85, 4), f(27, 0), f(8, 4)}, rec(uint32(5), addr4(1)), ctx,
			netflow.Record{Bytes: 5, IPVersion: 4, SrcAddr: addr4(1), DstAddr: netflow.AddrFrom4([4]byte{})}},

		{"IPv4", []plan.Field{f(8, 4), f(12, 4), f(15, 4), f(9, 1), f(13, 1)}, rec(addr4(1), addr4(2), addr4(3), uint8(24), uint8(16)), ctx,
			netflow.Record{IPVersion: 4, SrcAddr: addr4(1), DstAddr: addr4(2), NextHop: addr4(3), SrcMask: 24, DstMask: 16}},
		{"IPv6", []plan.Field{f(27, 16), f(28, 16), f(62, 16), f(29, 1), f(30, 1)}, rec(addr6(1), addr6(2), addr6(3), uint8(64), uint8(48)), ctx,
			netflow.Record{IPVersion: 6, SrcAddr: addr6(1), DstAddr: addr6(2), NextHop: addr6(3), SrcMask: 64, DstMask: 48}},
		{"IPv6 with ::", []plan.Field{f(27, 16), f(28, 16)}, rec(netflow.Addr{}, addr6(2)), ctx, netflow.Record{IPVersion: 6, DstAddr: addr6(2)}},
		{"next hop 0.0.0.0 is none", []plan.Field{f(15, 4)}, rec("0.0.0.0"), ctx, netflow.Record{}},
		{"addresses of other widths are skipped", []plan.Field{f(8, 3), f(12, 4), f(27, 4), f(56, 4)},
			rec([]byte{1, 2, 3}, addr4(2), uint32(1), uint32(2)), ctx,
			netflow.Record{IPVersion: 4, SrcAddr: netflow.AddrFrom4([4]byte{}), DstAddr: addr4(2)}},
		{"no addresses, whatever ipVersion says", []plan.Field{f(60, 1), f(1, 4)}, rec(uint8(4), uint32(2)), ctx, netflow.Record{Bytes: 2}},
		{"both families, the other zero: IPv4", dual(), rec(uint8(0), addr4(1), addr4(2), uint8(24), make([]byte, 32), uint8(99), addr4(9), make([]byte, 16)), ctx,
			netflow.Record{IPVersion: 4, SrcAddr: addr4(1), DstAddr: addr4(2), SrcMask: 24, NextHop: addr4(9)}},
		{"both families, the other zero: IPv6", dual(), rec(uint8(0), "0.0.0.0", "0.0.0.0", uint8(24), netflow.Addr{}, addr6(2), uint8(64), addr4(9), addr6(8)), ctx,
			netflow.Record{IPVersion: 6, DstAddr: addr6(2), SrcMask: 64, NextHop: addr6(8)}},
		{"both families, ipVersion decides", dual(), rec(uint8(6), addr4(1), addr4(2), uint8(24), addr6(1), addr6(2), uint8(64), addr4(9), make([]byte, 16)), ctx,
			netflow.Record{IPVersion: 6, SrcAddr: addr6(1), DstAddr: addr6(2), SrcMask: 64, NextHop: addr4(9)}},
		{"both families, IPv4 outside", []plan.Field{f(8, 4), f(12, 4), f(27, 16), f(28, 16)}, rec(addr4(1), addr4(2), addr6(1), addr6(2)), ctx,
			netflow.Record{IPVersion: 4, SrcAddr: addr4(1), DstAddr: addr4(2)}},
		{"both families, IPv6 outside", []plan.Field{f(27, 16), f(28, 16), f(8, 4), f(12, 4)}, rec(addr6(1), addr6(2), addr4(1), addr4(2)), ctx,
			netflow.Record{IPVersion: 6, SrcAddr: addr6(1), DstAddr: addr6(2)}},

		{"interfaces, AS, direction, reason, status", []plan.Field{f(10, 2), f(14, 4), f(16, 2), f(17, 4), f(61, 1), f(136, 1), f(89, 1)},
			rec(uint16(3), uint32(70000), uint16(64512), uint32(4200000000), uint8(1), uint8(2), uint8(64)), ctx,
			netflow.Record{Input: 3, Output: 70000, SrcAS: 64512, DstAS: 4200000000, Direction: 1, EndReason: 2, ForwardingStatus: 64}},
		{"physical interfaces", []plan.Field{f(252, 4), f(253, 4)}, rec(uint32(3), uint32(4)), ctx, netflow.Record{Input: 3, Output: 4}},
		{"VLAN", []plan.Field{f(58, 2), f(243, 2)}, rec(uint16(7), uint16(8)), ctx, netflow.Record{VLAN: 7}},
		{"VLAN by dot1qVlanId", []plan.Field{f(58, 2), f(243, 2)}, rec(uint16(0), uint16(8)), ctx, netflow.Record{VLAN: 8}},
		{"inner VLAN", []plan.Field{f(243, 2), f(245, 2)}, rec(uint16(8), uint16(9)), ctx, netflow.Record{VLAN: 8, CustomerVLAN: 9}},
		{"TTL", []plan.Field{f(192, 1), f(53, 1), f(52, 1)}, rec(uint8(7), uint8(64), uint8(63)), ctx, netflow.Record{MinTTL: 63, MaxTTL: 64}},
		{"TTL of one packet", []plan.Field{f(192, 1)}, rec(uint8(57)), ctx, netflow.Record{MinTTL: 57, MaxTTL: 57}},
		{"TTL, the least only", []plan.Field{f(52, 1), f(192, 1)}, rec(uint8(3), uint8(57)), ctx, netflow.Record{MinTTL: 3, MaxTTL: 57}},
		{"lengths of 2 and 8 bytes", []plan.Field{f(25, 2), f(26, 8)}, rec(uint16(40), uint64(9000)), ctx, netflow.Record{MinLength: 40, MaxLength: 9000}},
		{"lengths of 4 bytes", []plan.Field{f(25, 4), f(26, 4)}, rec(uint32(40), uint32(65575)), ctx, netflow.Record{MinLength: 40, MaxLength: 65575}},
		{"a length that does not fit", []plan.Field{f(25, 8), f(26, 8)}, rec(uint64(40), uint64(1)<<32|40), ctx, netflow.Record{MinLength: 40}},
		{"fragment flags", []plan.Field{f(197, 1)}, rec(uint8(0x60)), ctx, netflow.Record{FragmentFlags: 0x60}},
		// RFC 3032 section 2.1: label 0xabcde, traffic class 5, bottom of stack.
		{"MPLS label", []plan.Field{f(70, 3), f(71, 3)}, []byte{0xab, 0xcd, 0xeb, 1, 2, 3}, ctx, netflow.Record{MPLSLabel: 0xabcde}},
		{"MPLS label of another width is skipped", []plan.Field{f(70, 4), f(1, 1)}, []byte{1, 2, 3, 4, 5}, ctx, netflow.Record{Bytes: 5}},
		// RFC 7133 section 3: 0x01 in front says VXLAN.
		{"VXLAN", []plan.Field{f(351, 8)}, rec(uint64(1)<<56 | 0xabcdef), ctx, netflow.Record{TunnelID: 0xabcdef}},
		{"segment of reduced size", []plan.Field{f(351, 4)}, rec(uint32(5001)), ctx, netflow.Record{TunnelID: 5001}},
		{"GTP-U beside no segment", []plan.Field{f(507, 4), f(351, 8)}, rec(uint32(0xdeadbeef), uint64(1)<<56), ctx, netflow.Record{TunnelID: 0xdeadbeef}},
		{"segment before GTP-U", []plan.Field{f(507, 4), f(351, 8)}, rec(uint32(0xdeadbeef), uint64(1)<<56|9), ctx, netflow.Record{TunnelID: 9}},
		{"header around a tunnel", []plan.Field{vmware(894, 4), vmware(895, 1), vmware(896, 2), vmware(893, 4), vmware(891, 1), f(4, 1)},
			rec("192.0.2.2", uint8(47), uint16(5), "192.0.2.1", uint8(2), uint8(6)), ctx,
			netflow.Record{TunnelSrcAddr: netflow.AddrFrom4([4]byte{192, 0, 2, 1}), TunnelDstAddr: netflow.AddrFrom4([4]byte{192, 0, 2, 2}), TunnelProto: 47, TunnelType: 2, Proto: 6}},
		{"header of IPv6 around a tunnel", []plan.Field{vmware(893, 4), vmware(894, 4), vmware(895, 1)}, rec("0.0.0.0", "0.0.0.0", uint8(17)), ctx, netflow.Record{TunnelProto: 17}},
		{"tunnel's key of 3 bytes", []plan.Field{vmware(892, 3)}, []byte{0xab, 0xcd, 0xef}, ctx, netflow.Record{TunnelID: 0xabcdef}},
		{"tunnel's key of 4 bytes beside no segment", []plan.Field{vmware(892, 4), f(351, 8)}, rec(uint32(0xdeadbeef), uint64(1)<<56), ctx, netflow.Record{TunnelID: 0xdeadbeef}},
		{"GTP-U before a tunnel's key", []plan.Field{vmware(892, 3), f(507, 4)}, rec([]byte{1, 2, 3}, uint32(7)), ctx, netflow.Record{TunnelID: 7}},
		{"tunnel's key that is larger than its column", []plan.Field{vmware(892, 8), f(4, 1)}, rec(uint64(1)<<32|7, uint8(6)), ctx, netflow.Record{Proto: 6}},
		{"tunnel's key longer than numbers", []plan.Field{vmware(892, 9), f(4, 1)}, rec(make([]byte, 8), uint8(1), uint8(6)), ctx, netflow.Record{Proto: 6}},
		// RFC 7011 section 8: the outer header first.
		{"addresses twice are the outer ones", []plan.Field{f(8, 4), f(12, 4), f(4, 1), f(8, 4), f(12, 4), f(4, 1)},
			rec(addr4(1), addr4(2), uint8(4), addr4(3), addr4(4), uint8(6)), ctx, netflow.Record{IPVersion: 4, SrcAddr: addr4(1), DstAddr: addr4(2), Proto: 4}},
		{"TCP by elements of Flowmon and ntop", []plan.Field{enterprise(39499, 69, 4), enterprise(35632, 110, 4), enterprise(35632, 109, 4)},
			rec(uint32(1234), uint32(2), uint32(3)), ctx, netflow.Record{TCPRTT: 1234, TCPRetransmits: 3, ReverseTCPRetransmits: 2}},
		{"TCP by field types of ntop in v9", []plan.Field{f(57581, 4), f(57582, 4), f(57595, 4), f(57596, 4)},
			rec(uint32(3), uint32(2), uint32(10), uint32(5)), ctx, netflow.Record{TCPRTT: 30_000, TCPRetransmits: 3, ReverseTCPRetransmits: 2}},
		{"microseconds before halves of milliseconds", []plan.Field{enterprise(35632, 123, 4), enterprise(39499, 69, 4), enterprise(35632, 124, 4)},
			rec(uint32(10), uint32(25_678), uint32(3)), ctx, netflow.Record{TCPRTT: 25_678}},
		{"a latency that does not fit", []plan.Field{enterprise(35632, 123, 8), enterprise(35632, 124, 8)},
			rec(uint64(math.MaxUint64), uint64(math.MaxUint64)), ctx, netflow.Record{}},
		{"retransmissions by Flowmon", []plan.Field{enterprise(39499, 71, 4)}, rec(uint32(7)), ctx, netflow.Record{TCPRetransmits: 7}},
		{"MACs", []plan.Field{f(56, 6), f(80, 6), f(57, 6)}, rec(netflow.MAC{1}, netflow.MAC{2}, netflow.MAC{3}), ctx,
			netflow.Record{SrcMAC: netflow.MAC{1}, DstMAC: netflow.MAC{2}}},
		{"MACs of softflowd", []plan.Field{f(56, 6), f(57, 6)}, rec(netflow.MAC{1}, netflow.MAC{3}), ctx,
			netflow.Record{SrcMAC: netflow.MAC{1}, DstMAC: netflow.MAC{3}}},
		{"TCP flags of 2 bytes and of the reverse", []plan.Field{f(6, 2), reverse(6, 1)}, rec(uint16(0x112), uint8(0x10)), ctx,
			netflow.Record{TCPFlags: 0x112, ReverseTCPFlags: 0x10}},
		{"reverse elements without a column", []plan.Field{reverse(5, 1), reverse(239, 1), f(5, 1)}, rec(uint8(1), uint8(2), uint8(3)), ctx,
			netflow.Record{TOS: 3}},
		{"ports by protocol", []plan.Field{f(4, 1), f(180, 2), f(181, 2), f(182, 2), f(183, 2)},
			rec(uint8(17), uint16(53), uint16(5353), uint16(0), uint16(0)), ctx, netflow.Record{Proto: 17, SrcPort: 53, DstPort: 5353}},

		{"ICMP in the port", []plan.Field{f(4, 1), f(7, 2), f(11, 2)}, rec(uint8(1), uint16(0), uint16(0x0301)), ctx,
			netflow.Record{Proto: 1, DstPort: 0x0301, ICMPType: 3, ICMPCode: 1}},
		{"ICMP by 32", []plan.Field{f(4, 1), f(32, 2)}, rec(uint8(1), uint16(0x0800)), ctx,
			netflow.Record{Proto: 1, DstPort: 0x0800, ICMPType: 8}},
		{"ICMP by 176 and 177", []plan.Field{f(4, 1), f(176, 1), f(177, 1)}, rec(uint8(1), uint8(3), uint8(4)), ctx,
			netflow.Record{Proto: 1, DstPort: 0x0304, ICMPType: 3, ICMPCode: 4}},
		{"ICMP not told, and no protocol: ports are ports", []plan.Field{f(7, 2), f(11, 2), f(176, 1), f(177, 1)}, rec(uint16(53), uint16(4660), uint8(0), uint8(0)), ctx,
			netflow.Record{SrcPort: 53, DstPort: 4660}},
		{"ICMPv6 by 139", []plan.Field{f(4, 1), f(32, 2), f(139, 2)}, rec(uint8(58), uint16(0x0800), uint16(0x8700)), ctx,
			netflow.Record{Proto: 58, DstPort: 0x8700, ICMPType: 135}},
		{"ICMPv6 by 178 and 179", []plan.Field{f(4, 1), f(178, 1), f(179, 1)}, rec(uint8(58), uint8(1), uint8(4)), ctx,
			netflow.Record{Proto: 58, DstPort: 0x0104, ICMPType: 1, ICMPCode: 4}},
		{"ICMP without a protocol", []plan.Field{f(27, 16), f(28, 16), f(139, 2)}, rec(addr6(1), addr6(2), uint16(0x8000)), ctx,
			netflow.Record{IPVersion: 6, SrcAddr: addr6(1), DstAddr: addr6(2), DstPort: 0x8000, ICMPType: 128}},
		{"no ICMP in TCP", []plan.Field{f(4, 1), f(11, 2), f(32, 2)}, rec(uint8(6), uint16(443), uint16(0x0800)), ctx,
			netflow.Record{Proto: 6, DstPort: 443}},

		{"uptimes", []plan.Field{f(22, 4), f(21, 4)}, rec(uint32(400), uint32(1000)), ctx, netflow.Record{Start: export - 600*ms, End: export}},
		{"uptimes that wrapped since", []plan.Field{f(22, 4), f(21, 4)}, rec(uint32(math.MaxUint32-999), uint32(0)), ctx,
			netflow.Record{Start: export - 2000*ms, End: export - 1000*ms}},
		{"uptimes after the header's", []plan.Field{f(22, 4), f(21, 4)}, rec(uint32(900), uint32(1500)), ctx,
			netflow.Record{Start: export - 100*ms, End: export + 500*ms}},
		{"uptimes of 8 bytes", []plan.Field{f(22, 8), f(21, 8)}, rec(uint64(400), uint64(1)<<32|1000), ctx,
			netflow.Record{Start: export - 600*ms, End: export}},
		{"uptimes with the boot in the record", []plan.Field{f(22, 4), f(21, 4), f(160, 8)},
			rec(uint32(400), uint32(1000), uint64(export/1000)-5000), boot, netflow.Record{Start: export - 4600*ms, End: export - 4000*ms}},
		{"uptimes with the boot in the record, wrapped", []plan.Field{f(22, 4), f(21, 4), f(160, 8)},
			rec(uint32(400), uint32(1000), uint64(export/1000)-5000-1<<32), boot, netflow.Record{Start: export - 4600*ms, End: export - 4000*ms}},
		{"uptimes without a boot", []plan.Field{f(22, 4), f(21, 4)}, rec(uint32(400), uint32(1000)), boot, netflow.Record{}},
		{"seconds", []plan.Field{f(150, 4), f(151, 4)}, rec(uint32(1_600_000_000), uint32(1_600_000_001)), ctx,
			netflow.Record{Start: 1_600_000_000e6, End: 1_600_000_001e6}},
		{"milliseconds", []plan.Field{f(152, 8), f(153, 8)}, rec(uint64(1_600_000_000_001), uint64(1_600_000_000_002)), ctx,
			netflow.Record{Start: 1_600_000_000_001_000, End: 1_600_000_000_002_000}},
		{"microseconds", []plan.Field{f(154, 8), f(155, 8)}, rec(ntp(export+123457), ntp(export+999999)), ctx,
			netflow.Record{Start: export + 123457, End: export + 999999}},
		{"nanoseconds", []plan.Field{f(156, 8), f(157, 8)}, rec(ntp(export+1), ntp(export+2)), ctx, netflow.Record{Start: export + 1, End: export + 2}},
		{"after the NTP era of 1900", []plan.Field{f(154, 8), f(155, 8)}, rec(uint64(0), uint64(5)<<32), ctx,
			netflow.Record{Start: 0, End: (1<<32 - 2208988800 + 5) * 1e6}},
		{"microseconds before the export", []plan.Field{f(158, 4), f(159, 4)}, rec(uint32(2_000_001), uint32(0)), ctx,
			netflow.Record{Start: export - 2_000_001, End: export}},
		{"the most precise first", []plan.Field{f(150, 4), f(22, 4), f(152, 8), f(151, 4), f(153, 8), f(21, 4)},
			rec(uint32(1), uint32(2), uint64(1_600_000_000_001), uint32(3), uint64(1_600_000_000_002), uint32(4)), ctx,
			netflow.Record{Start: 1_600_000_000_001_000, End: 1_600_000_000_002_000}},
		{"zero falls back", []plan.Field{f(152, 8), f(22, 4), f(153, 8), f(21, 4)}, rec(uint64(0), uint32(400), uint64(0), uint32(1000)), ctx,
			netflow.Record{Start: export - 600*ms, End: export}},
		{"a time beyond the year 9999 is none", []plan.Field{f(152, 8), f(153, 8)}, rec(uint64(math.MaxUint64), uint64(253402300800000)), ctx, netflow.Record{}},
		{"duration after the start", []plan.Field{f(152, 8), f(161, 4)}, rec(uint64(1_600_000_000_000), uint32(1500)), ctx,
			netflow.Record{Start: 1_600_000_000_000_000, End: 1_600_000_001_500_000}},
		{"duration before the end", []plan.Field{f(153, 8), f(162, 4)}, rec(uint64(1_600_000_000_000), uint32(1500)), ctx,
			netflow.Record{Start: 1_599_999_999_998_500, End: 1_600_000_000_000_000}},
		{"a start only", []plan.Field{f(152, 8)}, rec(uint64(1_600_000_000_000)), ctx,
			netflow.Record{Start: 1_600_000_000_000_000, End: 1_600_000_000_000_000}},
		{"an event", []plan.Field{f(230, 1), f(323, 8)}, rec(uint8(4), uint64(1_600_000_000_001)), ctx,
			netflow.Record{Start: 1_600_000_000_001_000, End: 1_600_000_000_001_000}},
		{"an event in NTP time", []plan.Field{f(324, 8)}, rec(ntp(export)), ctx, netflow.Record{Start: export, End: export}},
		{"an event in seconds", []plan.Field{f(322, 4)}, rec(uint32(1_600_000_000)), ctx, netflow.Record{Start: 1_600_000_000e6, End: 1_600_000_000e6}},
		{"when it was collected", []plan.Field{f(258, 8)}, rec(uint64(1_600_000_000_001)), ctx,
			netflow.Record{Start: 1_600_000_000_001_000, End: 1_600_000_000_001_000}},

		{"sampling of the domain", []plan.Field{f(2, 1)}, rec(uint8(1)), sampled, netflow.Record{Packets: 1, SamplingRate: 7}},
		{"sampling interval in the record", []plan.Field{f(34, 4)}, rec(uint32(100)), sampled, netflow.Record{SamplingRate: 100}},
		{"sampling interval of zero", []plan.Field{f(34, 4)}, rec(uint32(0)), sampled, netflow.Record{SamplingRate: 7}},
		{"sampler id", []plan.Field{f(48, 1)}, rec(uint8(3)), sampled, netflow.Record{SamplingRate: 30}},
		{"selector id", []plan.Field{f(302, 8)}, rec(uint64(1 << 40)), sampled, netflow.Record{SamplingRate: 40}},
		{"unknown sampler", []plan.Field{f(48, 2)}, rec(uint16(4)), sampled, netflow.Record{SamplingRate: 7}},
		{"packets taken and left out", []plan.Field{f(305, 4), f(306, 4)}, rec(uint32(2), uint32(198)), sampled, netflow.Record{SamplingRate: 100}},
		{"interval wider than the column", []plan.Field{f(34, 8)}, rec(uint64(math.MaxUint64)), sampled, netflow.Record{SamplingRate: math.MaxUint32}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.record) != plan.Compile(tt.fields).Length() {
				t.Fatalf("record of %d bytes, layout of %d", len(tt.record), plan.Compile(tt.fields).Length())
			}
			for way, got := range decodeBothWays(t, tt.fields, tt.record, &tt.ctx) {
				if got != tt.want {
					t.Errorf("%s: got %+v, want %+v", way, got, tt.want)
				}
			}
		})
	}
}

func dual() []plan.Field {
	return []plan.Field{f(60, 1), f(8, 4), f(12, 4), f(9, 1), f(27, 16), f(28, 16), f(29, 1), f(15, 4), f(62, 16)}
}

// variableForm makes every field of a layout one of variable length, and the record fit it.
func variableForm(fields []plan.Field, record []byte) ([]plan.Field, []byte) {
	var vf []plan.Field
	var vr []byte
	for _, f := range fields {
		value := record[:f.Length]
		record = record[f.Length:]
		f.Length = netflow.VariableLength
		vf = append(vf, f)
		vr = append(vr, netflowtest.Var(value)...)
	}
	return vf, vr
}

// decodeBothWays decodes a record three times: alone, as the last of several, and with each field in variable length.
func decodeBothWays(t *testing.T, fields []plan.Field, record []byte, ctx *plan.Context) map[string]netflow.Record {
	got := map[string]netflow.Record{}
	b := netflow.NewBatch(8)
	p := plan.Compile(fields)
	if res := p.DecodeFlows(b, record, ctx); res.Rows != 1 || res.Bad {
		t.Fatalf("fixed length: %+v", res)
	}
	got["fixed length"] = b.Record(0)
	noise := make([]byte, len(record))
	for i := range noise {
		noise[i] = byte(i*37 + 1)
	}
	b.Reset()
	p.DecodeFlows(b, append(append(noise[:len(noise):len(noise)], noise...), record...), ctx)
	got["third of three"] = b.Record(b.Len() - 1)
	b.Reset()
	vf, vr := variableForm(fields, record)
	if res := plan.Compile(vf).DecodeFlows(b, vr, ctx); res.Rows != 1 || res.Bad {
		t.Fatalf("variable length: %+v", res)
	}
	// An element of no length is not there, so a layout of variable lengths cannot tell what is missing from what is
	// empty: the alternatives chosen at compile time may differ.
	for _, f := range fields {
		if f.Length == 0 || f.Length == 9 || f.ID == 8 && f.Length == 3 {
			return got
		}
	}
	got["variable length"] = b.Record(0)
	return got
}

func TestMixedLengths(t *testing.T) {
	p := plan.Compile([]plan.Field{f(4, 1), netflowtest.Variable(82), f(1, 4), netflowtest.Variable(96), netflowtest.Variable(2), f(5, 1)})
	var body []byte
	for i := range 3 {
		name := make([]byte, i*254) // 0, 254, 508
		body = append(body, rec(uint8(6), netflowtest.Var(name), uint32(100+i), netflowtest.VarLong([]byte("x")),
			netflowtest.Var([]byte{byte(i + 1)}), uint8(9))...)
	}
	b := netflow.NewBatch(8)
	if got := p.Length(); got != 9 {
		t.Errorf("least length %d, want 9", got)
	}
	res := p.DecodeFlows(b, append(body, 0, 0, 0), &plan.Context{})
	if res.Rows != 3 || res.Bad {
		t.Fatalf("three records and padding: %+v", res)
	}
	for i := range 3 {
		want := netflow.Record{Proto: 6, Bytes: uint64(100 + i), Packets: uint64(i + 1), TOS: 9}
		if got := b.Record(i); got != want {
			t.Errorf("record %d: got %+v, want %+v", i, got, want)
		}
	}
	for n := range len(body) {
		b.Reset()
		res := p.DecodeFlows(b, body[:n], &plan.Context{})
		if res.Rows >= 3 || res.Rows != b.Len() {
			t.Errorf("cut at %d: %+v, %d rows", n, res, b.Len())
		}
		for i := range b.Len() {
			if b.Record(i).Bytes != uint64(100+i) {
				t.Errorf("cut at %d: record %d is %+v", n, i, b.Record(i))
			}
		}
	}
}

func TestNoRoom(t *testing.T) {
	for name, fields := range map[string][]plan.Field{"fixed": {f(2, 1)}, "variable": {netflowtest.Variable(2)}} {
		b := netflow.NewBatch(3)
		body := []byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
		res := plan.Compile(fields).DecodeFlows(b, body, &plan.Context{})
		want := len(body)
		if name == "variable" {
			want /= 2
		}
		if res.Records != want || res.Rows != 3 || b.Len() != 3 {
			t.Errorf("%s: %+v, %d rows, want %d records, 3 rows", name, res, b.Len(), want)
		}
	}
}

func TestOptions(t *testing.T) {
	scope := func(id, length uint16) plan.Field { return plan.Field{ID: id, Length: length, Scope: true} }
	tests := []struct {
		name   string
		fields []plan.Field
		record []byte
		want   plan.Values
	}{
		{"interval", []plan.Field{scope(1, 4), f(34, 4), f(35, 1)}, rec(uint32(1), uint32(100), uint8(1)), plan.Values{Rate: 100}},
		{"v9 scopes are no elements", []plan.Field{scope(2, 4), f(34, 4)}, rec(uint32(99), uint32(10)), plan.Values{Rate: 10}},
		{"sampler of v9", []plan.Field{scope(1, 4), f(48, 1), f(49, 1), f(50, 2), f(34, 4)},
			rec(uint32(1), uint8(3), uint8(2), uint16(2000), uint32(0)), plan.Values{Rate: 2000, Sampler: 3}},
		{"count-based selector", []plan.Field{f(302, 8), f(304, 2), f(305, 4), f(306, 4)},
			rec(uint64(5), uint16(1), uint32(1), uint32(999)), plan.Values{Rate: 1000, Sampler: 5}},
		{"305, 306 and 34, as softflowd and interoperable exporters send", []plan.Field{f(149, 4), f(304, 2), f(305, 4), f(306, 4), f(34, 4)},
			rec(uint32(0), uint16(1), uint32(1), uint32(99), uint32(100)), plan.Values{Rate: 100}},
		{"n out of N of IOS XR", []plan.Field{f(302, 4), f(305, 4), f(304, 2), f(309, 4), f(310, 4)},
			rec(uint32(1), uint32(1), uint16(3), uint32(1), uint32(256)), plan.Values{Rate: 256, Sampler: 1}},
		{"305 alone", []plan.Field{f(302, 4), f(305, 4)}, rec(uint32(4), uint32(1024)), plan.Values{Rate: 1024, Sampler: 4}},
		{"n larger than N", []plan.Field{f(309, 4), f(310, 4)}, rec(uint32(5), uint32(4)), plan.Values{}},
		{"probability", []plan.Field{f(311, 8)}, rec(math.Float64bits(0.001)), plan.Values{Rate: 1000}},
		{"probability of 4 bytes", []plan.Field{f(311, 4)}, rec(math.Float32bits(0.25)), plan.Values{Rate: 4}},
		{"absurd probability", []plan.Field{f(311, 8)}, rec(math.Float64bits(math.NaN())), plan.Values{}},
		{"tiny probability", []plan.Field{f(311, 8)}, rec(math.Float64bits(1e-300)), plan.Values{Rate: math.MaxUint32}},
		{"interval of zero", []plan.Field{f(34, 4)}, rec(uint32(0)), plan.Values{}},
		{"space that overflows", []plan.Field{f(305, 8), f(306, 8)}, rec(uint64(2), uint64(math.MaxUint64)), plan.Values{Rate: math.MaxUint32}},
		{"boot", []plan.Field{f(143, 4), f(160, 8)}, rec(uint32(1), uint64(1_600_000_000_000)), plan.Values{InitTime: 1_600_000_000_000}},
	}
	for _, tt := range tests {
		var got []plan.Values
		n, bad := plan.CompileOptions(tt.fields).Options(tt.record, func(v *plan.Values) { got = append(got, *v) })
		if n != 1 || bad || len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: got %+v (%d records, bad %v), want %+v", tt.name, got, n, bad, tt.want)
		}
	}
}

// FuzzPlan compiles any layout and decodes any bytes with it. A record of fixed length and the same record with every
// field in variable length must give the same row, no more rows come out than there are bytes for, and rows and columns
// that nobody declared stay zero.
func FuzzPlan(fz *testing.F) {
	fz.Add([]byte{8, 4, 12, 4, 1, 8, 2, 8, 152, 8, 153, 8, 4, 1}, []byte("the bytes of a record or two, more or less"), uint32(5))
	fz.Add([]byte{27, 16, 8, 4, 28, 16, 12, 4, 60, 1, 32, 2, 48, 1}, make([]byte, 100), uint32(0))
	fz.Add([]byte{22, 4, 21, 4, 160, 8, 161, 4, 34, 4, 62, 16, 15, 4}, make([]byte, 100), uint32(0))
	fz.Fuzz(func(t *testing.T, spec, body []byte, uptime uint32) {
		var fields []plan.Field
		for ; len(spec) >= 2 && len(fields) < 64; spec = spec[2:] {
			// Numbers above 255 that mean something are reached through 200 to 255.
			id := uint16(spec[0])
			switch {
			case id >= 240:
				id += 62 // 302..317
			case id >= 200:
				id += 98 // 298..337
			}
			field := plan.Field{ID: id, Length: uint16(spec[1] % 24)}
			if spec[1] >= 240 {
				field.PEN = netflow.PENReverse
			}
			if field.Length > 0 {
				fields = append(fields, field)
			}
		}
		p := plan.Compile(fields)
		ctx := plan.Context{Export: export, Uptime: uptime, HasUptime: uptime != 0, Rate: uptime % 3, Samplers: map[uint64]uint32{1: 2}}
		b := netflow.NewBatch(300)
		res := p.DecodeFlows(b, body, &ctx)
		if p.Length() > 0 && res.Records != len(body)/p.Length() || res.Rows != min(res.Records, b.Cap()) || res.Rows != b.Len() {
			t.Fatalf("%d bytes, records of %d: %+v, %d rows", len(body), p.Length(), res, b.Len())
		}
		netflowtest.CheckBatch(t, b)
		if !wellFormed(fields) {
			return
		}
		c := netflow.NewBatch(1)
		for i := range min(b.Len(), 5) {
			c.Reset()
			vf, vr := variableForm(fields, body[i*p.Length():(i+1)*p.Length()])
			if res := plan.Compile(vf).DecodeFlows(c, vr, &ctx); res.Records != 1 || res.Rows != 1 || res.Bad {
				t.Fatalf("in variable length: %+v", res)
			}
			netflowtest.CheckBatch(t, c)
			if got, want := c.Record(0), b.Record(i); got != want {
				t.Fatalf("record %d in variable length: %+v, in fixed length: %+v", i, got, want)
			}
		}
	})
}

// wellFormed reports whether every field has a width that its element can have, so that none is skipped.
func wellFormed(fields []plan.Field) bool {
	seen := map[uint32]bool{}
	for _, f := range fields {
		e, ok := netflow.ElementByID(netflow.PENIana, f.ID)
		if !ok || seen[f.PEN<<16|uint32(f.ID)] {
			continue
		}
		seen[f.PEN<<16|uint32(f.ID)] = true
		switch e.Type {
		case netflow.TypeUint8, netflow.TypeUint16, netflow.TypeUint32, netflow.TypeUint64:
			if f.Length > 8 {
				return false
			}
		default:
			if f.Length != e.Type.Length() {
				return false
			}
		}
	}
	return true
}

// twenty is the layout of a router's NetFlow v9 export: 20 fields, 55 bytes.
var twenty = []plan.Field{
	f(8, 4), f(12, 4), f(15, 4), f(10, 4), f(14, 4), f(2, 4), f(1, 4), f(22, 4), f(21, 4), f(7, 2),
	f(11, 2), f(4, 1), f(6, 1), f(5, 1), f(16, 4), f(17, 4), f(9, 1), f(13, 1), f(61, 1), f(136, 1),
}

func BenchmarkDecodeFixed(b *testing.B) { benchmark(b, twenty, false) }

func BenchmarkDecodeVariable(b *testing.B) { benchmark(b, twenty, true) }

func benchmark(b *testing.B, fields []plan.Field, variable bool) {
	const records = 24
	rnd := rand.New(rand.NewPCG(1, 2))
	var body []byte
	layout := fields
	for range records {
		var r []byte
		for _, x := range fields {
			value := binary.BigEndian.AppendUint64(nil, rnd.Uint64())[:x.Length]
			if x.ID == 4 {
				value[0] = 6
			}
			r = append(r, value...)
		}
		if variable {
			layout, r = variableForm(fields, r)
		}
		body = append(body, r...)
	}
	p := plan.Compile(layout)
	batch := netflow.NewBatch(100 * records)
	ctx := &plan.Context{Export: export, Uptime: 1, HasUptime: true}
	if n := testing.AllocsPerRun(100, func() {
		batch.Reset()
		p.DecodeFlows(batch, body, ctx)
	}); n != 0 {
		b.Errorf("%v allocations for a set", n)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if batch.Room() < records {
			batch.Reset()
		}
		n += p.DecodeFlows(batch, body, ctx).Rows
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/flow")
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, fields := range [][]plan.Field{twenty, dual(), {f(4, 1), f(11, 2), f(48, 1), f(323, 8), netflowtest.Variable(82)}} {
		p := plan.Compile(fields)
		body := make([]byte, 10*p.Length())
		b := netflow.NewBatch(100)
		ctx := &plan.Context{Export: export, Uptime: 1, HasUptime: true, Rate: 1, Samplers: map[uint64]uint32{0: 1}}
		if n := testing.AllocsPerRun(100, func() {
			b.Reset()
			p.DecodeFlows(b, body, ctx)
		}); n != 0 {
			t.Errorf("%v: %v allocations for a set", fields, n)
		}
	}
}
