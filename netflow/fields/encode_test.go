package fields_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
	"github.com/caprock-net/caprock/netflow/ipfix"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// encoder is what both protocols' encoders do.
type encoder interface {
	Append(now netflow.Timestamp, r *netflow.Record) bool
	AppendMessage(dst []byte, now netflow.Timestamp) []byte
}

func newEncoder(t testing.TB, version uint8, maxBytes int, names ...string) encoder {
	t.Helper()
	return newSamplingEncoder(t, version, maxBytes, 0, names...)
}

// newSamplingEncoder has options to tell, too.
func newSamplingEncoder(t testing.TB, version uint8, maxBytes int, sampling uint32, names ...string) encoder {
	t.Helper()
	var list *fields.List
	if names != nil {
		var err error
		if list, err = fields.Parse(version, names); err != nil {
			t.Fatal(err)
		}
	}
	if version == netflow.VersionV9 {
		return v9.NewEncoder(v9.EncoderConfig{MaxBytes: maxBytes, SourceID: 7, Sampling: sampling, TemplateEvery: time.Minute, TemplateMessages: 20, Fields: list})
	}
	return ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: maxBytes, Domain: 7, Sampling: sampling, TemplateEvery: time.Minute, TemplateMessages: 20, Fields: list})
}

func message(t testing.TB, e encoder, now netflow.Timestamp, records ...netflow.Record) []byte {
	t.Helper()
	for i := range records {
		if !e.Append(now, &records[i]) {
			t.Fatal("no room for a flow")
		}
	}
	return e.AppendMessage(nil, now)
}

var replayed = netflow.TimestampOf(time.Date(2014, 3, 4, 5, 6, 7, 250e6, time.UTC)) // 1393909567.250 = 53155f3f

// two flows: one of IPv4, in a VLAN in a VLAN, in MPLS, and one of IPv6, ICMP, two-way.
func two() []netflow.Record {
	return []netflow.Record{{
		Start: replayed - 3e6, End: replayed - 500e3, IPVersion: 4, Proto: 17,
		SrcAddr: netflow.AddrFrom4([4]byte{10, 1, 2, 3}), DstAddr: netflow.AddrFrom4([4]byte{192, 168, 4, 5}),
		SrcPort: 0x3132, DstPort: 0x3334, Packets: 0x11, Bytes: 0x1213, TCPFlags: 0x1b, VLAN: 0x123, CustomerVLAN: 0x456,
		MPLSLabel: 0xabcde, MinTTL: 0x3f, MaxTTL: 0x40, MinLength: 0x2a, MaxLength: 0x5dc, FragmentFlags: 0x40, TunnelID: 0xabcdef,
		TCPRTT: 0x708, TCPRetransmits: 0x21,
	}, {
		Start: replayed - 3e6, End: replayed - 500e3, IPVersion: 6, Proto: 58,
		SrcAddr: netflow.Addr{0x20, 1, 15: 1}, DstAddr: netflow.Addr{0x20, 2, 15: 2},
		DstPort: 0x8007, ICMPType: 0x80, ICMPCode: 7, Packets: 0x21, Bytes: 0x2223, ReversePackets: 0x24, ReverseBytes: 0x2526,
		MinTTL: 0x41, MaxTTL: 0x41,
	}}
}

func wantHex(t *testing.T, got []byte, text string) {
	t.Helper()
	want, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("\n got %x\nwant %x", got, want)
	}
}

// By RFC 7011. Start and end are 1393909564.25 and 1393909566.75 s, the latter as NTP has it d6bfddbe and three quarters of
// 2^32. Two templates, ids 256 and 289, of 12 fields, two of them with an enterprise number, and of 14, with the counters
// of the other direction, four of them with one: 4 + 60 + 76 = 140 = 8c. Records of 55 and 79 bytes.
func TestGoldenIPFIX(t *testing.T) {
	e := newEncoder(t, netflow.VersionIPFIX, 1400, "sourceIPv6Address", "flowStartMilliseconds", "flowEndMicroseconds", "bytes",
		"min_ttl", "icmpTypeIPv4", "mplsTopLabelStackSection", "layer2SegmentId", "tcp_rtt", "tcp_retransmits", "maximumIpTotalLength",
		"dot1qCustomerVlanId")
	const common = "00980008 009b0008 00010008 00340001"
	const rest = "00460003 015f0008 80450004 00009a4b 806d0004 00008b30 001a0004 00f50002"
	wantHex(t, message(t, e, replayed, two()...), `000a 012a 53155f3f 00000000 00000007
		0002 008c
		0100 000c 00080004`+common+`00b00001`+rest+`
		0121 000e 001b0010`+common+`00b20001`+rest+`
			80010008 00007279  806e0004 00008b30
		0100 003b
		0a010203 000001448b7c035a d6bfddbec0000000 0000000000001213 3f 00
			abcde1 0100000000abcdef 00000708 00000021 000005dc 0456
		0121 0053
		20010000000000000000000000000001 000001448b7c035a d6bfddbec0000000 0000000000002223 41 80
			000000 0000000000000000 00000000 00000000 00000000 0000
			0000000000002526 00000000`)
}

// The header around a tunnel, in elements of VMware (6876, 1adc), which have no room for addresses of IPv6. A template of 5
// fields, four of them with an enterprise number; records of 18 bytes.
func TestGoldenTunnel(t *testing.T) {
	e := newEncoder(t, netflow.VersionIPFIX, 1400, "bytes", "tunnel_src_addr", "tunnel_dst_addr", "tunnel_proto", "tunnel_type")
	records := two()[:1]
	records[0].TunnelSrcAddr, records[0].TunnelDstAddr = netflow.AddrFrom4([4]byte{192, 0, 2, 1}), netflow.AddrFrom4([4]byte{192, 0, 2, 2})
	records[0].TunnelProto, records[0].TunnelType = 17, 7
	records = append(records, records[0])
	records[1].TunnelSrcAddr, records[1].TunnelDstAddr = netflow.Addr{0x20, 1, 15: 1}, netflow.Addr{0x20, 1, 15: 2}
	wantHex(t, message(t, e, replayed, records...), `000a 0064 53155f3f 00000000 00000007
		0002 002c
		0100 0005 00010008 837d0004 00001adc 837e0004 00001adc 837f0001 00001adc 837b0001 00001adc
		0100 0028
		0000000000001213 c0000201 c0000202 11 07
		0000000000001213 00000000 00000000 11 07`)
}

// By RFC 3954, with the clocks of the golden datagrams of the package: header 53155f3f at uptime 0036fa38, flow from
// 0036ef7a to 0036f93e. 4 records: templates 256 and 257 of 9 fields, two flows of 31 and 43 bytes, padded by 1 each.
func TestGoldenV9(t *testing.T) {
	e := newEncoder(t, netflow.VersionV9, 1400, "dst_addr", "start", "flowEndSysUpTime", "flowStartSeconds", "tcp_flags", "packets",
		"tcp_retransmits", "fragmentFlags", "ipDiffServCodePoint")
	records := two()
	records[0].TOS = 0xb8
	const rest = "00160004 00150004 00960004 00060001 00020008 e0ed0004 00c50001 00c30001"
	wantHex(t, message(t, e, replayed, records...), `0009 0004 0036fa38 53155f3f 00000000 00000007
		0000 0054
		0100 0009 000c0004`+rest+`
		0101 0009 001c0010`+rest+`
		0100 0024
		c0a80405 0036ef7a 0036f93e 53155f3c 1b 0000000000000011 00000021 40 2e 00
		0101 0030
		20020000000000000000000000000002 0036ef7a 0036f93e 53155f3c 00 0000000000000021 00000000 00 00 00`)
}

// The list that says default makes what the encoders make without a list, of flows that have no more than that.
func TestDefaultIsTheDefault(t *testing.T) {
	for _, version := range []uint8{netflow.VersionV9, netflow.VersionIPFIX} {
		records := two()
		for i := range records {
			r := &records[i]
			r.VLAN, r.Proto, r.ReversePackets, r.ReverseBytes = 0, 132, 0, 0
		}
		records = append(records, netflow.Record{Start: replayed, End: replayed, Packets: 1})
		got := message(t, newEncoder(t, version, 1400, "default"), replayed, records...)
		want := message(t, newEncoder(t, version, 1400), replayed, records...)
		if !bytes.Equal(got, want) {
			t.Errorf("v%d:\n got %x\nwant %x", version, got, want)
		}
	}
}

// TestTemplatesAreToldAtOnce: as over TCP, a message with all templates, those of two-way flows too, and then none.
func TestTemplatesAreToldAtOnce(t *testing.T) {
	list, err := fields.Parse(netflow.VersionIPFIX, []string{"packets", "src_addr", "min_ttl"})
	if err != nil {
		t.Fatal(err)
	}
	e := ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: 1400, Domain: 7, TemplateEvery: time.Hour, TemplateMessages: 1000, Fields: list})
	wantHex(t, e.AppendTemplates(nil, replayed), `000a 0084 53155f3f 00000000 00000007
		0002 0074
		0100 0003 00020008 00080004 00340001   0101 0003 00020008 001b0010 00340001   0102 0002 00020008 00340001
		0120 0004 00020008 00080004 00340001 80020008 00007279   0121 0004 00020008 001b0010 00340001 80020008 00007279
		0122 0003 00020008 00340001 80020008 00007279`)
	wantHex(t, message(t, e, replayed, two()[0]), `000a 0021 53155f3f 00000000 00000007
		0100 0011 0000000000000011 0a010203 3f`)
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	for _, version := range []uint8{netflow.VersionV9, netflow.VersionIPFIX} {
		e, buf, records := newEncoder(t, version, 1400, "all"), make([]byte, 0, 1500), two()
		if n := testing.AllocsPerRun(100, func() {
			for i := range 100 {
				if !e.Append(replayed, &records[i%2]) {
					buf = e.AppendMessage(buf[:0], replayed)
				}
			}
		}); n != 0 {
			t.Errorf("v%d: %v allocations, want 0", version, n)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, list := range []string{"no list", "default", "all"} {
		b.Run(list, func(b *testing.B) {
			var names []string
			if list != "no list" {
				names = []string{list}
			}
			e, buf := newEncoder(b, netflow.VersionIPFIX, 1400, names...), make([]byte, 0, 1500)
			r := two()[0]
			r.VLAN = 0
			for b.Loop() {
				if !e.Append(replayed, &r) {
					buf = e.AppendMessage(buf[:0], replayed)
					e.Append(replayed, &r)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
		})
	}
}
