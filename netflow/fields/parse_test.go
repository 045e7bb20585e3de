package fields_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
)

func TestParse(t *testing.T) {
	const v9, ipfix = netflow.VersionV9, netflow.VersionIPFIX
	base := "sourceIPv4Address,destinationIPv4Address,sourceTransportPort,destinationTransportPort,protocolIdentifier,tcpControlBits," +
		"ipClassOfService,ipVersion,"
	tests := []struct {
		version uint8
		list    string
		want    string
	}{
		{ipfix, "octetDeltaCount", "octetDeltaCount"},
		{ipfix, " OCTETdeltacount , src_addr", "octetDeltaCount,sourceIPv4Address"},
		{ipfix, "src_addr,sourceIPv6Address,sourceIPv4Address,packets,packetDeltaCount", "sourceIPv4Address,packetDeltaCount"},
		{ipfix, "bytes,sourceIPv6Address", "octetDeltaCount,sourceIPv4Address"},
		{ipfix, "start,end", "flowStartMilliseconds,flowEndMilliseconds"},
		{v9, "start,end", "flowStartSysUpTime,flowEndSysUpTime"},
		{v9, "flowStartMilliseconds,flowEndNanoseconds", "flowStartMilliseconds,flowEndNanoseconds"},
		{ipfix, "vlan,dot1qVlanId,customer_vlan", "vlanId,dot1qVlanId,dot1qCustomerVlanId"},
		{ipfix, "tcp_rtt,tcp_retransmits", "npmRoundTripTime,RETRANSMITTED_IN_PKTS"},
		{ipfix, "tunnel_src_addr,tunneldestinationipv4address,tunnel_proto,tunnel_type", "tunnelSourceIPv4Address,tunnelDestinationIPv4Address,tunnelProtocolIdentifier,tunnelType"},
		{v9, "tcp_retransmits", "RETRANSMITTED_IN_PKTS"},
		{ipfix, "reverse_bytes,reversepacketdeltacount", "reverseOctetDeltaCount,reversePacketDeltaCount"},
		{ipfix, "default", base + "flowStartMilliseconds,flowEndMilliseconds,octetDeltaCount,packetDeltaCount,ingressInterface,egressInterface,flowEndReason,flowDirection"},
		{v9, "packets,Default", "packetDeltaCount," + base + "flowDirection,flowEndReason,flowStartSysUpTime,flowEndSysUpTime,octetDeltaCount,ingressInterface,egressInterface"},
	}
	for _, tt := range tests {
		l, err := fields.Parse(tt.version, strings.Split(tt.list, ","))
		if err != nil {
			t.Errorf("%q: %v", tt.list, err)
		} else if got := strings.Join(l.Names(), ","); got != tt.want {
			t.Errorf("v%d %q is\n%s, want\n%s", tt.version, tt.list, got, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const v9, ipfix = netflow.VersionV9, netflow.VersionIPFIX
	tests := []struct {
		version uint8
		list    string
		want    string
	}{
		{5, "octetDeltaCount", "NetFlow v5 has no templates"},
		{ipfix, "", "a name is missing"},
		{ipfix, "bytes,,packets", "a name is missing"},
		{ipfix, "src_addr,sourceIPv6Address,icmp_type", "at least one field is needed"},
		{ipfix, "octetDeltaCont", `"octetDeltaCont" is neither an element nor a column; near it are octetDeltaCount`},
		{ipfix, "byte", `near it are bytes`},
		{ipfix, "ttl", `near it are minimumTTL, maximumTTL, min_ttl`},
		{ipfix, "no such thing at all", `"no such thing at all" is neither an element nor a column`},
		{ipfix, "octettotalcount", "octetTotalCount: a flow has no value for it; known is octetDeltaCount"},
		{ipfix, "ipTTL", "ipTTL: a flow has no value for it; known is minimumTTL, maximumTTL"},
		{ipfix, "bgpSourceAsNumber", "bgpSourceAsNumber: a flow has no value for it"},
		{ipfix, "reverseMinimumTTL", "reverseMinimumTTL: a flow has no value for it"},
		{ipfix, "src_as", "src_as: a flow has no value for it"},
		{ipfix, "received", "received: a flow has no value for it"},
		{ipfix, "flowStartSysUpTime", "is of NetFlow v9; IPFIX has flowStartMilliseconds"},
		{v9, "tcp_rtt", "tcp_rtt: NetFlow v9 cannot tell it, IPFIX can"},
		{v9, "tunnel_src_addr", "tunnel_src_addr: NetFlow v9 cannot tell it, IPFIX can"},
		{v9, "tunnelProtocolIdentifier", "tunnelProtocolIdentifier: NetFlow v9 cannot tell it, IPFIX can"},
		{v9, "reverse_bytes", "reverse_bytes: NetFlow v9 cannot tell it, IPFIX can"},
		{v9, "reverseOctetDeltaCount", "reverseOctetDeltaCount: NetFlow v9 cannot tell it, IPFIX can"},
		{v9, "npmroundtriptime", "npmroundtriptime: NetFlow v9 cannot tell it, IPFIX can"},
		{ipfix, "first,second", "\n"}, // both are told
	}
	for _, tt := range tests {
		_, err := fields.Parse(tt.version, strings.Split(tt.list, ","))
		if !errors.Is(err, fields.ErrField) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("v%d %q: %v, want %q", tt.version, tt.list, err, tt.want)
		}
	}
}

// Every name that is offered is understood, and all takes each column once.
func TestNames(t *testing.T) {
	for _, version := range []uint8{netflow.VersionV9, netflow.VersionIPFIX} {
		names := fields.Names(version)
		for _, name := range names {
			if _, err := fields.Parse(version, []string{name, "packets"}); err != nil {
				t.Error(err)
			}
		}
		lower := strings.Split(strings.ToLower(strings.Join(names, ",")), ",")
		slices.Sort(lower)
		if len(slices.Compact(lower)) != len(names) {
			t.Errorf("v%d: a name is there twice in %v", version, names)
		}
		all, err := fields.Parse(version, []string{fields.All})
		if err != nil {
			t.Fatal(err)
		}
		want := netflow.AllColumns &^ netflow.SetOf(netflow.Received, netflow.Exporter, netflow.Domain, netflow.SrcAS, netflow.DstAS, netflow.SrcMask,
			netflow.DstMask, netflow.NextHop, netflow.SamplingRate, netflow.ForwardingStatus, netflow.ExportVersion, netflow.ReversePackets,
			netflow.ReverseBytes, netflow.ReverseTCPFlags, netflow.ReverseTCPRetransmits, netflow.TunnelID, netflow.TCPRTT, netflow.TCPRetransmits,
			netflow.TunnelSrcAddr, netflow.TunnelDstAddr, netflow.TunnelProto, netflow.TunnelType)
		if got := all.Columns(); got != want {
			t.Errorf("v%d: all has columns %b, want %b", version, got, want)
		}
		if len(all.Names()) != len(slices.Compact(slices.Sorted(slices.Values(all.Names())))) {
			t.Errorf("v%d: all has a field twice: %v", version, all.Names())
		}
	}
}

// FuzzParse: a list that is taken has each name once, is taken again as the names it consists of, and comes to the same.
func FuzzParse(f *testing.F) {
	for _, list := range []string{"default", "all,default", "src_addr,bytes", "a,b", ",", "octetdeltacount, packets", "ipTTL", "reverse", "reverseX,tcp_rtt"} {
		f.Add(list, true)
		f.Add(list, false)
	}
	f.Fuzz(func(t *testing.T, text string, v9 bool) {
		version := uint8(netflow.VersionIPFIX)
		if v9 {
			version = netflow.VersionV9
		}
		l, err := fields.Parse(version, strings.Split(text, ","))
		if err != nil {
			if len(err.Error()) > 400*(1+len(text)) {
				t.Errorf("%d bytes of complaint", len(err.Error()))
			}
			return
		}
		again, err := fields.Parse(version, l.Names())
		if err != nil || !slices.Equal(again.Names(), l.Names()) || again.Columns() != l.Columns() {
			t.Errorf("%q is %v, and that is %v, %v", text, l.Names(), again, err)
		}
		for _, tpl := range l.Templates() {
			if tpl.Record != nil && (tpl.Size == 0 || tpl.Size > 400) {
				t.Errorf("%q: template %d of %d bytes", text, tpl.ID, tpl.Size)
			}
		}
	})
}
