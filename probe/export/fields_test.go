package export_test

import (
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
	v9 "github.com/caprock-net/caprock/netflow/v9"
	"github.com/caprock-net/caprock/probe/export"
)

func TestFieldColumns(t *testing.T) {
	tests := []struct {
		names string
		want  netflow.ColumnSet
	}{
		{"sourceIPv4Address,octetDeltaCount", netflow.SetOf(netflow.SrcAddr, netflow.Bytes)},
		{"min_ttl,mplsTopLabelStackSection,reverseOctetDeltaCount", netflow.SetOf(netflow.MinTTL, netflow.MPLSLabel, netflow.ReverseBytes)},
		{"flowStartSysUpTime", netflow.SetOf(netflow.Start)}, // v9's only
		{"flowDurationMilliseconds", netflow.SetOf(netflow.Start, netflow.End)},
	}
	for _, tt := range tests {
		if got, err := export.FieldColumns(strings.Split(tt.names, ",")); err != nil || got != tt.want {
			t.Errorf("%s: %b, %v, want %b", tt.names, got, err, tt.want)
		}
	}
	if _, err := export.FieldColumns([]string{"octetDeltaCounts"}); err == nil || !strings.Contains(err.Error(), "near it are octetDeltaCount") {
		t.Errorf("%v, want what is near the name", err)
	}
}

func TestFieldsAreValidated(t *testing.T) {
	tests := []struct {
		protocol string
		mtu      int
		fields   string
		want     string
	}{
		{"ipfix", 0, "default,all,reverse_bytes", ""},
		{"v9", 0, "all", ""},
		{"ipfix", 512, "default", ""},
		{"ipfix", 512, "all", "mtu 512: for these fields at least"},
		{"ipfix", 0, "bgpNextHopIPv4Address", "bgpNextHopIPv4Address: a flow has no value for it"},
		{"v9", 0, "tcp_rtt", "NetFlow v9 cannot tell it"},
		{"v5", 0, "default", "fields: those of NetFlow v5 are fixed"},
		{"v1", 0, "default", "fields: those of NetFlow v1 are fixed"},
	}
	for _, tt := range tests {
		cfg := export.Config{Destinations: []string{"127.0.0.1:9"}, Protocol: tt.protocol, MTU: tt.mtu, Fields: strings.Split(tt.fields, ",")}
		err := cfg.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s with %s: %v, want %q", tt.protocol, tt.fields, err, tt.want)
		}
	}
}

// TestFieldsOfTwoWayFlows: nothing of the other direction is lost, with names of its counters or without, as one record or
// as two; and of what a list does not name nothing is sent.
func TestFieldsOfTwoWayFlows(t *testing.T) {
	r := flow(1)
	r.ReversePackets, r.ReverseBytes, r.ReverseTCPFlags, r.TCPRetransmits, r.ReverseTCPRetransmits = 7, 700, 0x19, 3, 4
	r.Start, r.End = present-13*86400e6, present // longer than uptimes can tell
	tests := []struct {
		protocol, fields string
		rows             int
		durations        uint64
		want             netflow.Record // sum of the rows
	}{
		{"ipfix", "packets,bytes", 1, 0, netflow.Record{Packets: r.Packets, Bytes: r.Bytes, ReversePackets: 7, ReverseBytes: 700}},
		{"ipfix", "packets,reverse_bytes,tcp_flags", 1, 0, netflow.Record{Packets: r.Packets, ReversePackets: 7, ReverseBytes: 700,
			TCPFlags: r.TCPFlags, ReverseTCPFlags: 0x19}},
		{"ipfix", "tcp_retransmits", 1, 0, netflow.Record{TCPRetransmits: 3, ReverseTCPRetransmits: 4}},
		{"ipfix", "proto", 1, 0, netflow.Record{}},
		{"v9", "packets,bytes,tcp_retransmits", 2, 0, netflow.Record{Packets: r.Packets + 7, Bytes: r.Bytes + 700, TCPRetransmits: 3 + 4}},
		{"v9", "packets,start", 2, 1, netflow.Record{Packets: r.Packets + 7}},
		{"v9", "packets,flowStartMilliseconds", 2, 0, netflow.Record{Packets: r.Packets + 7}},
	}
	for _, tt := range tests {
		c := listen(t)
		e := newExporter(t, export.Config{Destinations: []string{c.addr}, Protocol: tt.protocol, Fields: strings.Split(tt.fields, ",")})
		if err := e.Export(present, &r); err != nil {
			t.Fatal(err)
		}
		e.Flush(present)
		msg := c.next(t, 1)[0]
		batch, version := netflow.NewBatch(10), uint8(netflow.VersionIPFIX)
		decode := ipfix.Decode
		if tt.protocol == "v9" {
			version, decode = netflow.VersionV9, v9.Decode
		}
		var report template.Report
		domain := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, version)
		if err := decode(batch, domain, msg, &report); err != nil || !report.Complete() || batch.Len() != tt.rows {
			t.Fatalf("%s %s: %v, %+v, %d rows", tt.protocol, tt.fields, err, report, batch.Len())
		}
		var got netflow.Record
		for i := range batch.Len() {
			x := batch.Record(i)
			got.Packets += x.Packets
			got.Bytes += x.Bytes
			got.TCPRetransmits += x.TCPRetransmits
			got.TCPFlags |= x.TCPFlags
			got.ReversePackets, got.ReverseBytes, got.ReverseTCPFlags, got.ReverseTCPRetransmits =
				x.ReversePackets, x.ReverseBytes, x.ReverseTCPFlags, x.ReverseTCPRetransmits
		}
		s := e.Stats()
		if got != tt.want || s.Durations != tt.durations {
			t.Errorf("%s %s: got %+v, %d durations, want %+v, %d", tt.protocol, tt.fields, got, s.Durations, tt.want, tt.durations)
		}
		sum(t, s, s.Destinations[0])
	}
}
