package dissect_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	v4addrs = "c0000201 c6336401" // 192.0.2.1 > 198.51.100.1
	v6addrs = "20010db8000000000000000000000001 20010db8000000000000000000000002"
	tcpHead = "01bb c000 00000001 00000002 5112 ffff 00000000" // NS, SYN, ACK
)

// samples are IP packets: IPv4 and IPv6 in all their forms.
var samples = map[string]string{
	"tcp":             "45b8 0028 0001 4000 4006 0000" + v4addrs + tcpHead,
	"udp":             "4500 0020 0001 0000 4011 0000" + v4addrs + "0035 1234 000c 0000 01020304",
	"udp padded":      "4500 001c 0001 0000 4011 0000" + v4addrs + "0035 1234 0008 0000 00000000000000000000",
	"padding only":    "4500 0014 0001 0000 4011 0000" + v4addrs + "11112222333344445555",
	"options":         "4600 0020 0001 0000 4011 0000" + v4addrs + "94040000 0035 1234 0008 0000",
	"options cut":     "4f00 0048 0001 0000 4011 0000" + v4addrs + "94040000",
	"icmp":            "4500 001c 0001 0000 4001 0000" + v4addrs + "0305 0000 00000000",
	"icmp cut":        "4500 001c 0001 0000 4001 0000" + v4addrs + "03",
	"ports cut":       "4500 001c 0001 0000 4011 0000" + v4addrs + "0035 12",
	"flags cut":       "4500 0028 0001 4000 4006 0000" + v4addrs + "01bb c000 00000001 00000002 51",
	"first fragment":  "4500 001c 0001 2000 4011 0000" + v4addrs + "0035 1234 0020 0000",
	"later fragment":  "4500 001c 0001 2001 4011 0000" + v4addrs + "0035 1234 0020 0000",
	"last fragment":   "4500 001c 0001 0001 4001 0000" + v4addrs + "0305 0000 00000000",
	"length 0":        "4500 0000 0001 0000 4011 0000" + v4addrs + "0035 1234 0000 0000 0102",
	"sctp":            "4500 0020 0001 0000 4084 0000" + v4addrs + "0035 1234 00000000 00000000",
	"dccp":            "4500 0020 0001 0000 4021 0000" + v4addrs + "0035 1234 00000000 00000000",
	"udplite":         "4500 0020 0001 0000 4088 0000" + v4addrs + "0035 1234 00000000 00000000",
	"gre":             "4500 0020 0001 0000 402f 0000" + v4addrs + "0000 0800 45000000 00000000",
	"esp in ipv4":     "4500 0020 0001 0000 4032 0000" + v4addrs + "00000001 00000001 00000000",
	"short header":    "4400 0020 0001 0000 4011 0000" + v4addrs + "0035 1234 00000000",
	"length < header": "4500 0013 0001 0000 4011 0000" + v4addrs + "0035 1234 00000000",
	"cut":             "4500 0020 0001 0000 4011 0000 c0000201 c63364",
	"tcp6":            "6b8abcde 0014 06 40" + v6addrs + tcpHead,
	"udp6 padded":     "60000000 0008 11 40" + v6addrs + "0035 1234 0008 0000 00000000",
	"payload 0":       "60000000 0000 11 40" + v6addrs + "0035 1234 0000 0000 00000000",
	"icmp6":           "60000000 0008 3a 40" + v6addrs + "8700 0000 00000000",
	"extensions": "60000000 0040 00 40" + v6addrs + "2b00 050200000000" + "3c02 040000000000 20010db8000000000000000000000003" +
		"3300 010400000000" + "1101 0000 00000001 0000 0000" + "0035 1234 0014 0000 000000000000000000000000",
	"atomic fragment":  "60000000 0010 2c 40" + v6addrs + "1100 0000 00000001" + "0035 1234 0008 0000",
	"first fragment6":  "60000000 0010 2c 40" + v6addrs + "1100 0001 00000001" + "0035 1234 0008 0000",
	"later fragment6":  "60000000 0010 2c 40" + v6addrs + "1100 0009 00000001" + "0035 1234 0008 0000",
	"esp":              "60000000 0010 32 40" + v6addrs + "00000001 00000001 0035 1234 0008 0000",
	"mobility":         "60000000 0008 87 40" + v6addrs + "3b00 0500 00000000",
	"no next header":   "60000000 0000 3b 40" + v6addrs,
	"extension absent": "60000000 0008 00 40" + v6addrs,
	"extension cut":    "60000000 0018 00 40" + v6addrs + "1101 0502 0000",
	"fragment cut":     "60000000 0018 2c 40" + v6addrs + "1100 0000",
	"cut6":             "60000000 0008 11 40 20010db8",
}

func TestIP(t *testing.T) {
	type want struct {
		version, proto   uint8
		bytes            uint32
		srcPort, dstPort uint16
		flags            uint16
		tos, ttl         uint8
		icmpType, code   uint8
		fragment         dissect.Fragment
	}
	const ns = netflow.TCPNs | netflow.TCPSyn | netflow.TCPAck
	for name, w := range map[string]want{
		"tcp":              {4, 6, 40, 443, 49152, ns, 0xb8, 64, 0, 0, dissect.Whole},
		"udp":              {4, 17, 32, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"udp padded":       {4, 17, 28, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"padding only":     {4, 17, 20, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"options":          {4, 17, 32, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"options cut":      {4, 17, 72, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"icmp":             {4, 1, 28, 0, 3<<8 | 5, 0, 0, 64, 3, 5, dissect.Whole},
		"icmp cut":         {4, 1, 28, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"ports cut":        {4, 17, 28, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"flags cut":        {4, 6, 40, 443, 49152, 0, 0, 64, 0, 0, dissect.Whole},
		"first fragment":   {4, 17, 28, 53, 4660, 0, 0, 64, 0, 0, dissect.First},
		"later fragment":   {4, 17, 28, 0, 0, 0, 0, 64, 0, 0, dissect.Later},
		"last fragment":    {4, 1, 28, 0, 0, 0, 0, 64, 0, 0, dissect.Later},
		"length 0":         {4, 17, 1030, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"sctp":             {4, 132, 32, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"dccp":             {4, 33, 32, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"udplite":          {4, 136, 32, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"gre":              {4, 47, 32, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"esp in ipv4":      {4, 50, 32, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"tcp6":             {6, 6, 60, 443, 49152, ns, 0xb8, 64, 0, 0, dissect.Whole},
		"udp6 padded":      {6, 17, 48, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"payload 0":        {6, 17, 40, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"icmp6":            {6, 58, 48, 0, 135 << 8, 0, 0, 64, 135, 0, dissect.Whole},
		"extensions":       {6, 17, 104, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"atomic fragment":  {6, 17, 56, 53, 4660, 0, 0, 64, 0, 0, dissect.Whole},
		"first fragment6":  {6, 17, 56, 53, 4660, 0, 0, 64, 0, 0, dissect.First},
		"later fragment6":  {6, 17, 56, 0, 0, 0, 0, 64, 0, 0, dissect.Later},
		"esp":              {6, 50, 56, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"mobility":         {6, 135, 48, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"no next header":   {6, 59, 40, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"extension absent": {6, 0, 48, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"extension cut":    {6, 17, 64, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"fragment cut":     {6, 44, 64, 0, 0, 0, 0, 64, 0, 0, dissect.Whole},
		"short header":     {}, "length < header": {}, "cut": {}, "cut6": {},
	} {
		ip := unhex(samples[name])
		var p dissect.Packet
		missing := 0
		if name == "length 0" {
			missing = 1000 // the capture cut it: the length on the wire is what counts
		}
		verdict := dissect.Dissect(dissect.LinkRaw, ip, len(ip)+missing, &p)
		if w.version == 0 {
			if verdict != dissect.Malformed {
				t.Errorf("%s: %v, want %v", name, verdict, dissect.Malformed)
			}
			continue
		}
		got := want{p.IPVersion, p.Proto, p.IPBytes, p.SrcPort, p.DstPort, p.TCPFlags, p.TOS, p.TTL, p.ICMPType, p.ICMPCode, p.Fragment}
		src, dst := "192.0.2.1", "198.51.100.1"
		if w.version == 6 {
			src, dst = "2001:db8::1", "2001:db8::2"
		}
		if verdict != dissect.OK || got != w || p.Src.Netip() != netip.MustParseAddr(src) || p.Dst.Netip() != netip.MustParseAddr(dst) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, verdict, got, w)
		}
	}
}

// TestExtensionLimit chains more extension headers than are followed.
func TestExtensionLimit(t *testing.T) {
	for n, proto := range map[int]uint8{dissect.MaxExtensions - 1: 17, dissect.MaxExtensions + 1: 60, 1000: 60} {
		ip := unhex("60000000 ffff 3c 40" + v6addrs + strings.Repeat("3c00 010400000000", n-1) + "1100 010400000000" + "0035 1234 0008 0000")
		var p dissect.Packet
		if v := dissect.Dissect(dissect.LinkIPv6, ip, len(ip), &p); v != dissect.OK || p.Proto != proto {
			t.Errorf("%d extension headers: %v, protocol %d, want %d", n, v, p.Proto, proto)
		}
	}
}

// TestDetails has the fields that not every flow carries.
func TestDetails(t *testing.T) {
	type want struct {
		flags                uint8
		id                   uint32
		seq, ack, payload    uint32
		captured, headerSize uint32
	}
	const timestamps = "0101080a 0000000100000002" // options of 12 bytes: a TCP header of 32
	for name, c := range map[string]struct {
		ip string
		want
	}{
		"tcp":                {samples["tcp"], want{dissect.DontFragment, 0, 1, 2, 0, 40, 20}},
		"payload":            {"4500 05dc 0007 0000 4006 0000" + v4addrs + tcpHead, want{0, 0, 1, 2, 1460, 40, 20}},
		"options":            {"4600 05dc 0007 0000 4006 0000" + v4addrs + "01010101 01bb c000 00000001 00000002 8010 ffff 00000000" + timestamps, want{0, 0, 1, 2, 1444, 56, 24}},
		"first of fragments": {"4500 05dc 0007 2000 4006 0000" + v4addrs + tcpHead, want{dissect.MoreFragments, 7, 1, 2, 1460, 40, 20}},
		"middle":             {"4500 05dc 0007 20b9 4006 0000" + v4addrs + tcpHead, want{dissect.MoreFragments, 7, 0, 0, 0, 40, 20}},
		"last":               {"4500 05dc 0007 00b9 4006 0000" + v4addrs + tcpHead, want{0, 7, 0, 0, 0, 40, 20}},
		"do and more":        {"4500 05dc 0007 6000 4006 0000" + v4addrs + tcpHead, want{0x60, 7, 1, 2, 1460, 40, 20}},
		"header beyond":      {"4500 0028 0007 0000 4006 0000" + v4addrs + "01bb c000 00000001 00000002 f010 ffff 00000000", want{0, 0, 1, 2, 0, 40, 20}},
		"cut":                {samples["flags cut"], want{dissect.DontFragment, 0, 0, 0, 0, 33, 20}},
		"padding":            {samples["udp padded"], want{0, 0, 0, 0, 0, 38, 20}},
		"tcp6":               {samples["tcp6"], want{0, 0, 1, 2, 0, 60, 40}},
		"payload6":           {"60000000 05b4 06 40" + v6addrs + tcpHead, want{0, 0, 1, 2, 1440, 60, 40}},
		"jumbogram":          {"60000000 0000 06 40" + v6addrs + tcpHead, want{0, 0, 1, 2, 0, 60, 40}},
		"extension":          {"60000000 05b4 3c 40" + v6addrs + "0600 010400000000" + tcpHead, want{0, 0, 1, 2, 1432, 68, 48}},
		"first of 6":         {"60000000 05b4 2c 40" + v6addrs + "0600 0001 00010002" + tcpHead, want{dissect.MoreFragments, 0x10002, 1, 2, 1432, 68, 48}},
		"middle of 6":        {"60000000 05b4 2c 40" + v6addrs + "0600 0009 00010002" + tcpHead, want{dissect.MoreFragments, 0x10002, 0, 0, 0, 68, 48}},
		"last of 6":          {"60000000 05b4 2c 40" + v6addrs + "0600 0008 00010002" + tcpHead, want{0, 0x10002, 0, 0, 0, 68, 48}},
		"atomic":             {"60000000 05b4 2c 40" + v6addrs + "0600 0000 00010002" + tcpHead, want{0, 0, 1, 2, 1432, 68, 48}},
	} {
		var p dissect.Packet
		ip := unhex(c.ip)
		verdict := dissect.Dissect(dissect.LinkRaw, ip, len(ip), &p)
		if got := (want{p.FragmentFlags, p.FragmentID, p.TCPSeq, p.TCPAck, p.TCPPayload, p.Captured, p.IPHeader}); verdict != dissect.OK || got != c.want {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, verdict, got, c.want)
		}
	}
}
