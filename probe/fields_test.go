package probe_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
	v9 "github.com/caprock-net/caprock/netflow/v9"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/dissect"
)

// exported runs a probe over a capture and returns the flows that its one datagram brings to a collector.
func exported(t *testing.T, cfg probe.Config) []netflow.Record {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cfg.Export.Destinations = []string{conn.LocalAddr().String()}
	if _, err := run(t, cfg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	batch, version, decode := netflow.NewBatch(100), uint8(netflow.VersionIPFIX), ipfix.Decode
	if cfg.Export.Protocol == "v9" {
		version, decode = netflow.VersionV9, v9.Decode
	}
	var report template.Report
	domain := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, version)
	if err := decode(batch, domain, buf[:n], &report); err != nil || !report.Complete() {
		t.Fatalf("%v, %+v", err, report)
	}
	var flows []netflow.Record
	for i := range batch.Len() {
		flows = append(flows, batch.Record(i))
	}
	return flows
}

// TestFields: what is named arrives, and the cache keeps what it otherwise would not.
func TestFields(t *testing.T) {
	inner := ethernet(0x0800, ipv4(2, 17, 7, 0x4000, udp(1000, 2000, make([]byte, 30))))
	tagged := ethernet(0x88a8, append([]byte{0, 100, 0x81, 0, 0, 200, 0x08, 0}, ipv4(1, 17, 7, 0x4000, udp(53, 53, make([]byte, 100)))...))
	frames := writeFrames(t, vxlan(1, 4000, inner), tagged)
	macs := netflow.Record{SrcMAC: netflow.MAC{2, 0, 0, 0, 0, 2}, DstMAC: netflow.MAC{2, 0, 0, 0, 0, 1}}
	details := func(r netflow.Record) netflow.Record { // what the tests below have in common
		return netflow.Record{
			Packets: r.Packets, VLAN: r.VLAN, CustomerVLAN: r.CustomerVLAN, MinTTL: r.MinTTL, MaxTTL: r.MaxTTL, MinLength: r.MinLength,
			MaxLength: r.MaxLength, FragmentFlags: r.FragmentFlags, TunnelID: r.TunnelID, SrcMAC: r.SrcMAC, DstMAC: r.DstMAC, SrcPort: r.SrcPort,
			TunnelSrcAddr: r.TunnelSrcAddr, TunnelDstAddr: r.TunnelDstAddr, TunnelProto: r.TunnelProto, TunnelType: r.TunnelType,
		}
	}
	tests := []struct {
		protocol, fields string
		decap            dissect.Tunnels
		inside, outside  netflow.Record
	}{
		{"ipfix", "all", dissect.VXLAN | dissect.IPIP,
			netflow.Record{Packets: 1, MinTTL: 64, MaxTTL: 64, MinLength: 58, MaxLength: 58, FragmentFlags: 0x40, TunnelID: 42, SrcPort: 1000,
				TunnelSrcAddr: netflow.AddrFrom4([4]byte{10, 0, 0, 1}), TunnelDstAddr: netflow.AddrFrom4([4]byte{10, 0, 0, 200}), TunnelProto: 17, TunnelType: netflow.TunnelVXLAN},
			netflow.Record{Packets: 1, VLAN: 100, CustomerVLAN: 200, MinTTL: 64, MaxTTL: 64, MinLength: 128, MaxLength: 128, FragmentFlags: 0x40, SrcPort: 53}},
		{"ipfix", "packets,tunnel_id,maximumTTL,sourceMacAddress,dst_mac", dissect.VXLAN,
			netflow.Record{Packets: 1, MaxTTL: 64, TunnelID: 42}, netflow.Record{Packets: 1, MaxTTL: 64}},
		{"ipfix", "tunnelProtocolIdentifier,packets,tunnel_dst_addr,src_mac,dst_mac", dissect.AllTunnels,
			netflow.Record{Packets: 1, TunnelDstAddr: netflow.AddrFrom4([4]byte{10, 0, 0, 200}), TunnelProto: 17}, netflow.Record{Packets: 1}},
		{"v9", "customer_vlan,packets,src_mac,dst_mac", dissect.VXLAN,
			netflow.Record{Packets: 1}, netflow.Record{Packets: 1, CustomerVLAN: 200}},
		{"v9", "all", dissect.AllTunnels, // of which kind a number would be is not known
			netflow.Record{Packets: 1, MinTTL: 64, MaxTTL: 64, MinLength: 58, MaxLength: 58, FragmentFlags: 0x40, SrcPort: 1000},
			netflow.Record{Packets: 1, VLAN: 100, CustomerVLAN: 200, MinTTL: 64, MaxTTL: 64, MinLength: 128, MaxLength: 128, FragmentFlags: 0x40, SrcPort: 53}},
	}
	for _, tt := range tests {
		cfg := filesConfig(frames)
		cfg.Export.Protocol, cfg.Export.Fields, cfg.Decap = tt.protocol, strings.Split(tt.fields, ","), tt.decap
		flows := exported(t, cfg)
		if len(flows) != 2 {
			t.Fatalf("%s %s: %d flows, want 2", tt.protocol, tt.fields, len(flows))
		}
		want := map[netflow.Record]bool{}
		for _, w := range []netflow.Record{tt.inside, tt.outside} {
			w.SrcMAC, w.DstMAC = macs.SrcMAC, macs.DstMAC
			want[w] = true
		}
		for _, got := range flows {
			if !want[details(got)] {
				t.Errorf("%s %s: got %+v, want one of %+v", tt.protocol, tt.fields, details(got), want)
			}
			delete(want, details(got))
		}
	}
}

func TestFieldsThatStayEmpty(t *testing.T) {
	tests := []struct {
		fields string
		set    func(c *probe.Config)
		want   string // "": it is good
	}{
		{"default,all", func(c *probe.Config) {}, ""},
		{"all", func(c *probe.Config) { c.Decap, c.Cache.TCPMetrics = dissect.AllTunnels, true }, ""},
		{"all", func(c *probe.Config) { c.Export.Protocol, c.Cache.TCPMetrics = "v9", true }, ""},
		{"reverse_bytes,packets", func(c *probe.Config) { c.Cache.Biflow = true }, ""},
		{"reverse_bytes,packets", func(c *probe.Config) {}, "two-way flows"},
		{"tcp_rtt,packets", func(c *probe.Config) {}, ""}, // is measured then
		{"tcp_rtt,packets", func(c *probe.Config) { c.Cache.Key = 1 }, "TCP metrics need"},
		{"tcp_rtt,packets", func(c *probe.Config) { c.Export.Protocol = "v9" }, "NetFlow v9 cannot tell it"},
		{"tunnel_id,packets", func(c *probe.Config) {}, "if these are looked into"},
		{"tunnel_id,packets", func(c *probe.Config) { c.Decap = dissect.IPIP }, "if these are looked into"},
		{"tunnel_id,packets", func(c *probe.Config) { c.Decap = dissect.GTPU | dissect.IPIP }, ""},
		{"gtpuTEid,packets", func(c *probe.Config) { c.Decap = dissect.GTPU | dissect.IPIP }, ""},
		{"layer2SegmentId,packets", func(c *probe.Config) { c.Decap = dissect.Geneve }, ""},
		{"layer2SegmentId,packets", func(c *probe.Config) { c.Decap = dissect.GTPU }, "layer2SegmentId: the tunnels that are looked into (decap gtpu) have gtpuTEid"},
		{"gtpuTEid,packets", func(c *probe.Config) { c.Decap = dissect.VXLAN }, "gtpuTEid: the tunnels that are looked into (decap vxlan) have layer2SegmentId"},
		{"tunnel_id,packets", func(c *probe.Config) { c.Decap = dissect.AllTunnels }, "may be of any of vxlan,geneve,gtpu"},
		{"tunnel_src_addr,packets", func(c *probe.Config) {}, "what is around a tunnel is known if tunnels are looked into"},
		{"tunnelType,packets", func(c *probe.Config) { c.Decap = dissect.PPPoE }, "what is around a tunnel is known if tunnels are looked into"},
		{"tunnel_src_addr,packets", func(c *probe.Config) { c.Decap = dissect.IPIP }, ""},
		{"tunnel_src_addr,packets", func(c *probe.Config) { c.Decap, c.Export.Protocol = dissect.IPIP, "v9" }, "NetFlow v9 cannot tell it"},
		{"nextHop", func(c *probe.Config) {}, `"nextHop" is neither an element nor a column`},
	}
	for _, tt := range tests {
		cfg := filesConfig("-")
		cfg.Export.Fields = strings.Split(tt.fields, ",")
		tt.set(&cfg)
		err := cfg.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.fields, err, tt.want)
		}
	}
}
