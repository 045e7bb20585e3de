package export

import (
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

func TestDirectionsOfAFlow(t *testing.T) {
	r := netflow.Record{
		Start: 1e6, End: 2e6, IPVersion: 4, TOS: 8, Direction: 1, EndReason: 3, VLAN: 7, Proto: netflow.ProtoTCP,
		SrcAddr: netflow.AddrFrom4([4]byte{1}), DstAddr: netflow.AddrFrom4([4]byte{2}), NextHop: netflow.AddrFrom4([4]byte{3}),
		SrcPort: 1024, DstPort: 443, Packets: 10, Bytes: 1000, TCPFlags: 2, ReversePackets: 20, ReverseBytes: 2000, ReverseTCPFlags: 18,
		Input: 1, Output: 2, SrcAS: 64512, DstAS: 64513, SrcMask: 24, DstMask: 16, SrcMAC: netflow.MAC{2}, DstMAC: netflow.MAC{4},
	}
	forth := r
	forth.ReversePackets, forth.ReverseBytes, forth.ReverseTCPFlags = 0, 0, 0
	back := netflow.Record{
		Start: 1e6, End: 2e6, IPVersion: 4, TOS: 8, Direction: 1, EndReason: 3, VLAN: 7, Proto: netflow.ProtoTCP,
		SrcAddr: netflow.AddrFrom4([4]byte{2}), DstAddr: netflow.AddrFrom4([4]byte{1}),
		SrcPort: 443, DstPort: 1024, Packets: 20, Bytes: 2000, TCPFlags: 18,
		Input: 2, Output: 1, SrcAS: 64513, DstAS: 64512, SrcMask: 16, DstMask: 24, SrcMAC: netflow.MAC{4}, DstMAC: netflow.MAC{2},
	}
	var e Exporter
	e.split(&r)
	if e.forth != forth || e.back != back {
		t.Errorf("got\n%+v and\n%+v, want\n%+v and\n%+v", e.forth, e.back, forth, back)
	}
	r.Proto, r.SrcPort, r.DstPort, r.ICMPType = netflow.ProtoICMP, 0, 8<<8, 8
	if e.split(&r); e.back.SrcPort != 0 || e.back.DstPort != 0 || e.back.ICMPType != 0 || e.forth.DstPort != 8<<8 {
		t.Errorf("echo replies have ports %d, %d, want 0, 0", e.back.SrcPort, e.back.DstPort)
	}
	r.DstPort, r.ICMPType, r.ICMPCode = 3<<8|1, 3, 1
	if e.split(&r); e.back.SrcPort != 0 || e.back.DstPort != 3<<8|1 || e.back.ICMPType != 3 {
		t.Errorf("ICMP the other way has ports %d, %d, want 0, %d", e.back.SrcPort, e.back.DstPort, 3<<8|1)
	}
	r = netflow.Record{Packets: 1, ReversePackets: 2, MinTTL: 1, MaxTTL: 2, MinLength: 3, MaxLength: 4, FragmentFlags: 5, TCPRTT: 6,
		TCPRetransmits: 7, ReverseTCPRetransmits: 8, TunnelID: 9}
	if e.split(&r); e.back != (netflow.Record{Packets: 2, TCPRetransmits: 8, TunnelID: 9}) || e.forth.ReverseTCPRetransmits != 0 || e.forth.TCPRetransmits != 7 {
		t.Errorf("%+v and %+v", e.forth, e.back)
	}
}

// A flow seen in the reverse direction only is one record.
func TestOneDirectionIsOneRecord(t *testing.T) {
	for _, protocol := range []string{"v9", "v5"} {
		cfg := Config{Protocol: protocol}.withDefaults()
		d := newDestination("test", newEncoder(&cfg), &script{}, &cfg)
		e := Exporter{version: versions[protocol], destinations: []sender{d}, places: []*place{{sender: d}}}
		for _, r := range []netflow.Record{
			{IPVersion: 4, ReversePackets: 1, ReverseBytes: 40},
			{IPVersion: 4, Packets: 1, Bytes: 40},
			{IPVersion: 4}, // nothing at all is still a flow
			{IPVersion: 4, Packets: 1, Bytes: 40, ReversePackets: 1, ReverseBytes: 40},
		} {
			if err := e.Export(second, &r); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Flush(second); err != nil {
			t.Fatal(err)
		}
		want := Tally{4, 4, 160}
		if s := e.Stats(); s.Given != want || s.Destinations[0].Exported != want || s.Destinations[0].Records != 5 {
			t.Errorf("%s: given %+v, exported %+v in %d records, want %+v in 5", protocol, s.Given, s.Destinations[0].Exported, s.Destinations[0].Records, want)
		}
	}
}
