package ipfix_test

import (
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
)

// TestOpenVSwitch reads what Open vSwitch sends of a packet that left by a tunnel of VXLAN: the template of Ethernet, IPv4,
// TCP in its order (ofproto/ofproto-dpif-ipfix.c), with the tunnel in VMware's elements, and of those the key in variable length.
func TestOpenVSwitch(t *testing.T) {
	const seconds = netflowtest.Seconds
	field := netflowtest.Field
	vmware := func(id, length uint16) template.Field { return netflowtest.Enterprise(netflow.PENVMware, id, length) }
	msg := netflowtest.IPFIX(seconds, 7, 42).Template(267,
		field(138, 4), field(61, 1), field(56, 6), field(80, 6), field(256, 2), field(240, 1),
		field(60, 1), field(192, 1), field(4, 1), field(195, 1), field(196, 1), field(5, 1), field(8, 4), field(12, 4), field(7, 2), field(11, 2),
		vmware(893, 4), vmware(894, 4), vmware(895, 1), vmware(896, 2), vmware(897, 2), vmware(891, 1), vmware(892, netflow.VariableLength),
		field(158, 4), field(159, 4), field(2, 8), field(352, 8), field(136, 1), field(1, 8), field(198, 8), field(25, 8), field(26, 8),
	).Data(267, netflowtest.Record(
		uint32(9), uint8(1), netflow.MAC{2, 1}, netflow.MAC{2, 2}, uint16(0x800), uint8(14),
		uint8(4), uint8(63), uint8(6), uint8(46), uint8(5), uint8(0xb8), "10.0.0.1", "10.0.0.2", uint16(50000), uint16(443),
		"192.0.2.1", "192.0.2.2", uint8(17), uint16(50001), uint16(4789), uint8(1), netflowtest.Var([]byte{0, 0x13, 0x89}),
		uint32(3_000_000), uint32(1_000_000), uint64(2), uint64(228), uint8(2), uint64(200), uint64(20_000), uint64(100), uint64(100),
	)).Bytes()
	b := netflow.NewBatch(10)
	var rep template.Report
	if err := ipfix.Decode(b, template.NewStore(template.Limits{}).Domain(netflow.Addr{}, netflow.VersionIPFIX), msg, &rep); err != nil || b.Len() != 1 || !rep.Complete() {
		t.Fatal(err, rep)
	}
	w := netflow.Record{
		IPVersion: 4, SrcAddr: netflow.AddrFrom4([4]byte{10, 0, 0, 1}), DstAddr: netflow.AddrFrom4([4]byte{10, 0, 0, 2}), SrcPort: 50000, DstPort: 443,
		Proto: 6, TOS: 0xb8, Direction: 1, SrcMAC: netflow.MAC{2, 1}, DstMAC: netflow.MAC{2, 2}, MinTTL: 63, MaxTTL: 63, MinLength: 100, MaxLength: 100,
		Start: (seconds - 3) * 1e6, End: (seconds - 1) * 1e6, Packets: 2, Bytes: 200, EndReason: netflow.EndReasonActive, Domain: 42, ExportVersion: 10,
		TunnelSrcAddr: netflow.AddrFrom4([4]byte{192, 0, 2, 1}), TunnelDstAddr: netflow.AddrFrom4([4]byte{192, 0, 2, 2}), TunnelProto: 17, TunnelType: 1,
		TunnelID: 5001,
	}
	if got := b.Record(0); got != w {
		t.Errorf("got %+v\nwant %+v", got, w)
	}
}
