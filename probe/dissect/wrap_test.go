package dissect_test

import (
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// wrappings put an IP packet behind each of the headers that Dissect follows. In the text are hexadecimal bytes; E4 or E6
// stands for the EtherType, P for the PPP protocol, N for the NLPID and A for the address family, each of the packet's version.
var wrappings = []struct {
	name   string
	link   dissect.LinkType
	header string
	vlan   uint16
	macs   int // 2: both, 1: source only

	customer uint16 // VLAN of the second tag
	label    uint32 // of the top of the MPLS stack
}{
	{"raw", dissect.LinkRaw, "", 0, 0, 0, 0},
	{"raw 12", dissect.LinkRaw12, "", 0, 0, 0, 0},
	{"raw 14", dissect.LinkRaw14, "", 0, 0, 0, 0},
	{"ethernet", dissect.LinkEthernet, "020000000001 020000000002 E", 0, 2, 0, 0},
	{"802.1Q", dissect.LinkEthernet, "020000000001 020000000002 8100 e00a E", 10, 2, 0, 0},
	{"802.1ad", dissect.LinkEthernet, "020000000001 020000000002 88a8 000b 8100 000c E", 11, 2, 12, 0},
	{"QinQ 9100", dissect.LinkEthernet, "020000000001 020000000002 9100 000d 9100 000c 8100 000e E", 13, 2, 12, 0},
	{"802.3 SNAP", dissect.LinkEthernet, "020000000001 020000000002 0100 aaaa03 000000 E", 0, 2, 0, 0},
	{"802.1Q, 802.3 SNAP", dissect.LinkEthernet, "020000000001 020000000002 8100 000a 0100 aaaa03 0000f8 E", 10, 2, 0, 0},
	{"mpls", dissect.LinkEthernet, "020000000001 020000000002 8847 00064140", 0, 2, 0, 100},
	{"mpls stack in 802.1Q", dissect.LinkEthernet, "020000000001 020000000002 8100 0007 8848 0006404000064040 00064140", 7, 2, 0, 100},
	{"pppoe", dissect.LinkEthernet, "020000000001 020000000002 8864 1100 0001 0064 P", 0, 2, 0, 0},
	{"pppoe, short protocol", dissect.LinkEthernet, "020000000001 020000000002 8864 1100 0001 0064 p", 0, 2, 0, 0},
	{"pppoe in 802.1ad", dissect.LinkEthernet, "020000000001 020000000002 88a8 0005 8100 0006 8864 1100 0001 0064 P", 5, 2, 6, 0},
	{"pppoe link", dissect.LinkPPPEther, "1100 0001 0064 P", 0, 0, 0, 0},
	{"ppp", dissect.LinkPPP, "P", 0, 0, 0, 0},
	{"ppp in hdlc framing", dissect.LinkPPP, "ff03 P", 0, 0, 0, 0},
	{"ppp hdlc link", dissect.LinkPPPHDLC, "ff03 P", 0, 0, 0, 0},
	{"ppp hdlc link, cisco", dissect.LinkPPPHDLC, "0f00 E", 0, 0, 0, 0},
	{"ppp mpls", dissect.LinkPPP, "ff03 0281 00064140", 0, 0, 0, 100},
	{"cisco hdlc", dissect.LinkCHDLC, "8f00 E", 0, 0, 0, 0},
	{"frame relay", dissect.LinkFRelay, "0481 03 N", 0, 0, 0, 0},
	{"frame relay, pad", dissect.LinkFRelay, "0481 03 00 N", 0, 0, 0, 0},
	{"frame relay, four bytes", dissect.LinkFRelay, "04808001 03 N", 0, 0, 0, 0},
	{"frame relay, snap", dissect.LinkFRelay, "0481 03 00 80 000000 E", 0, 0, 0, 0},
	{"frame relay, cisco", dissect.LinkFRelay, "0481 E", 0, 0, 0, 0},
	{"loop", dissect.LinkLoop, "000000 A", 0, 0, 0, 0},
	{"null, big", dissect.LinkNull, "000000 A", 0, 0, 0, 0},
	{"null, little", dissect.LinkNull, "A 000000", 0, 0, 0, 0},
	{"cooked", dissect.LinkSLL, "0000 0001 0006 020000000002 0000 E", 0, 1, 0, 0},
	{"cooked, 802.1Q", dissect.LinkSLL, "0000 0001 0006 020000000002 0000 8100 0009 E", 9, 1, 0, 0},
	{"cooked, no address", dissect.LinkSLL, "0000 0304 0000 0000000000000000 E", 0, 0, 0, 0},
	{"cooked, 802.2", dissect.LinkSLL, "0000 0001 0006 020000000002 0000 0004 aaaa03 000000 E", 0, 1, 0, 0},
	{"cooked 2", dissect.LinkSLL2, "E 0000 00000003 0001 00 06 020000000002 0000", 0, 1, 0, 0},
	{"802.11 to station", dissect.LinkWLAN, "0802 0000 020000000001 020000000003 020000000002 0000 aaaa03 000000 E", 0, 2, 0, 0},
	{"802.11 from station", dissect.LinkWLAN, "0801 0000 020000000003 020000000002 020000000001 0000 aaaa03 000000 E", 0, 2, 0, 0},
	{"802.11 ad hoc", dissect.LinkWLAN, "0800 0000 020000000001 020000000002 020000000003 0000 aaaa03 000000 E", 0, 2, 0, 0},
	{"802.11 bridge", dissect.LinkWLAN, "0803 0000 020000000003 020000000004 020000000001 0000 020000000002 aaaa03 000000 E", 0, 2, 0, 0},
	{"802.11 QoS", dissect.LinkWLAN, "8802 0000 020000000001 020000000003 020000000002 0000 0000 aaaa03 000000 E", 0, 2, 0, 0},
	{"802.11 QoS and HT", dissect.LinkWLAN, "8882 0000 020000000001 020000000003 020000000002 0000 0000 00000000 aaaa03 000000 E", 0, 2, 0, 0},
	{"radiotap", dissect.LinkRadiotap, "0000 0800 00000000 0802 0000 020000000001 020000000003 020000000002 0000 aaaa03 000000 E", 0, 2, 0, 0},
	{"radiotap, padded", dissect.LinkRadiotap, "0000 1900 03000080 00000000 00000000 0000000000000000 20" +
		"8802 0000 020000000001 020000000003 020000000002 0000 0000 0000 aaaa03 000000 E", 0, 2, 0, 0},
}

// wrap builds a frame.
func wrap(header string, ip []byte) []byte {
	v6 := len(ip) > 0 && ip[0]>>4 == 6
	for _, r := range [][3]string{{"E", "0800", "86dd"}, {"P", "0021", "0057"}, {"p", "21", "57"}, {"N", "cc", "8e"}, {"A", "02", "1e"}} {
		value := r[1]
		if v6 {
			value = r[2]
		}
		header = strings.ReplaceAll(header, r[0], value)
	}
	return append(unhex(header), ip...)
}

// TestWrappings wants every link type to lead to the same packet.
func TestWrappings(t *testing.T) {
	for name, ip := range samples {
		checkWrappings(t, name, unhex(ip), 0)
	}
}

// checkWrappings wraps an IP packet, of which missing bytes were not captured.
func checkWrappings(t *testing.T, name string, ip []byte, missing int) {
	t.Helper()
	var want dissect.Packet
	verdict := dissect.Dissect(dissect.LinkRaw, ip, len(ip)+missing, &want)
	if verdict == dissect.NonIP {
		return // the first nibble is not 4 or 6: what the link announces decides
	}
	for _, w := range wrappings {
		frame := wrap(w.header, ip)
		var got dissect.Packet
		if v := dissect.Dissect(w.link, frame, len(frame)+missing, &got); v != verdict {
			t.Errorf("%s in %s: %v, want %v", name, w.name, v, verdict)
			continue
		}
		if verdict != dissect.OK {
			continue
		}
		want := want
		want.VLAN, want.CustomerVLAN, want.MPLSLabel = w.vlan, w.customer, w.label
		if w.macs > 0 {
			want.SrcMAC = netflow.MACFrom(0x020000000002)
		}
		if w.macs > 1 {
			want.DstMAC = netflow.MACFrom(0x020000000001)
		}
		if got != want {
			t.Errorf("%s in %s\ngot  %+v\nwant %+v", name, w.name, got, want)
		}
	}
}

// TestNotIP has frames that must not be taken for IP.
func TestNotIP(t *testing.T) {
	ip := unhex(samples["udp"])
	tags := strings.Repeat("8100 0001", dissect.MaxTags)
	labels := strings.Repeat("00064040", dissect.MaxLabels)
	for name, c := range map[string]struct {
		link   dissect.LinkType
		header string
		want   dissect.Verdict
	}{
		"most tags":               {dissect.LinkEthernet, "020000000001 020000000002" + tags + "E", dissect.OK},
		"too many tags":           {dissect.LinkEthernet, "020000000001 020000000002 8100 0001" + tags + "E", dissect.NonIP},
		"most labels":             {dissect.LinkEthernet, "020000000001 020000000002 8847" + labels[8:] + "00064140", dissect.OK},
		"too many labels":         {dissect.LinkEthernet, "020000000001 020000000002 8847" + labels + "00064140", dissect.NonIP},
		"pseudowire":              {dissect.LinkEthernet, "020000000001 020000000002 8847 00064140 00000000", dissect.NonIP},
		"arp":                     {dissect.LinkEthernet, "020000000001 020000000002 0806", dissect.NonIP},
		"ipv6 announced":          {dissect.LinkEthernet, "020000000001 020000000002 86dd", dissect.Malformed},
		"pppoe discovery":         {dissect.LinkEthernet, "020000000001 020000000002 8863 1109 0000 0064 0021", dissect.NonIP},
		"pppoe not session data":  {dissect.LinkEthernet, "020000000001 020000000002 8864 1109 0000 0064 0021", dissect.NonIP},
		"tag in snap":             {dissect.LinkEthernet, "020000000001 020000000002 0100 aaaa03 000000 8100 0001 E", dissect.NonIP},
		"snap of cisco":           {dissect.LinkEthernet, "020000000001 020000000002 0100 aaaa03 00000c 0800", dissect.NonIP},
		"bpdu":                    {dissect.LinkEthernet, "020000000001 020000000002 0026 424203", dissect.NonIP},
		"LCP":                     {dissect.LinkPPP, "ff03 c021", dissect.NonIP},
		"slarp":                   {dissect.LinkCHDLC, "8f00 8035", dissect.NonIP},
		"family of neither order": {dissect.LinkNull, "08000f00", dissect.NonIP},
		"802.11 encrypted":        {dissect.LinkWLAN, "0842 0000 020000000001 020000000003 020000000002 0000 aaaa03 000000 E", dissect.NonIP},
		"802.11 null":             {dissect.LinkWLAN, "4802 0000 020000000001 020000000003 020000000002 0000 aaaa03 000000 E", dissect.NonIP},
		"802.11 beacon":           {dissect.LinkWLAN, "8000 0000 020000000001 020000000003 020000000002 0000 aaaa03 000000 E", dissect.NonIP},
		"802.11 aggregate":        {dissect.LinkWLAN, "8802 0000 020000000001 020000000003 020000000002 0000 8000 aaaa03 000000 E", dissect.NonIP},
		"token ring":              {6, "", dissect.Unsupported},
	} {
		var p dissect.Packet
		frame := wrap(c.header, ip)
		if got := dissect.Dissect(c.link, frame, len(frame), &p); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// supported reports whether frames of a link type can be read.
func supported(l dissect.LinkType) bool {
	return dissect.Dissect(l, nil, 0, new(dissect.Packet)) != dissect.Unsupported
}

func TestWrappingsCoverLinks(t *testing.T) {
	covered := map[dissect.LinkType]bool{dissect.LinkIPv4: true, dissect.LinkIPv6: true} // TestCorpora, TestExtensionLimit
	for _, w := range wrappings {
		covered[w.link] = true
	}
	for link := range dissect.LinkType(1000) {
		if supported(link) && !covered[link] {
			t.Errorf("link type %d has no test", link)
		}
	}
}
