package filter_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

// TestErrors: what is not understood or not supported is said, with its place.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		text   string
		offset int
		want   string
	}{
		{"gateway 10.0.0.1", 0, "gateway is not supported"},
		{"tcp and gateway 10.0.0.1", 8, "gateway is not supported"},
		{"ip protochain 6", 3, "protochain is not supported"},
		{"wlan host 02:00:00:00:00:01", 0, "wlan is not supported"},
		{"host", 4, "ends where an address is expected"},
		{"host and tcp", 5, `"and" does not fit here`},
		{"host example.net", 5, "names of hosts and networks are not looked up"},
		{"1.2.3.4", 0, `"1.2.3.4" does not fit here: a test is expected`},
		{"tcp 80", 4, `"80" does not fit here: and, or or the end is expected`},
		{"tcp or 80", 7, `"80" does not fit here: a test is expected`},
		{"port 80 or tcp or 443", 18, `"443" does not fit here`},
		{"port 65536", 5, "the highest is 65535"},
		{"port nosuchport", 5, "no port is known by the name nosuchport"},
		{"icmp port 80", 0, "icmp has no port"},
		{"tcp host 10.0.0.1", 0, "tcp has no host"},
		{"src proto 6", 4, "a protocol number has no direction"},
		{"proto 256", 6, "the highest is 255"},
		{"net 10.1.2.3/8", 4, "10.0.0.0 is its network"},
		{"net 10.0.0.0/33", 13, "a prefix length of 0 to 32 is expected"},
		{"net 10.0.0.1 mask 255.0.0.0", 4, "10.0.0.0 is its network"},
		{"net 2001:db8::1/32", 4, "bits behind its prefix of 32"},
		{"host 10.0.0.0/8", 13, "a mask wants net in front"},
		{"host 10.0.0.256", 5, "is no IPv4 address"},
		{"host 2001:db8::g", 5, "is no address"},
		{"ip host 2001:db8::1", 8, "ip has no addresses of IPv6"},
		{"ip6 host 10.0.0.1", 9, "is no address of IPv6"},
		{"host 02:00:00:00:00:01", 5, "wants ether in front"},
		{"ether host 10.0.0.1", 11, "wants an Ethernet address"},
		{"ether", 5, "the end does not fit here"},
		{"vlan 4096", 5, "the highest is 4095"},
		{"mpls 1048576", 5, "the highest is 1048575"},
		{"mpls and vlan", 9, "vlan behind mpls is not supported"},
		{"mpls and arp", 9, "arp behind mpls is not supported"},
		{"(tcp", 4, "and, or or ) is expected"},
		{"tcp)", 3, "was not opened"},
		{"tcp and", 7, "ends where a test is expected"},
		{"tcp[0:3] = 1", 6, "a size of 1, 2 or 4"},
		{"tcp[0 = 1", 6, "an operator, : or ] is expected"},
		{"tcp[0]", 6, "a comparison is expected"},
		{"ip[0] / 0 = 1", 6, "division by zero"},
		{"ip[0] << 32 = 1", 6, "a shift by more than 31 bits"},
		{"ip[0] % 4 + 1 = 2", 10, "+ beside another operator wants parentheses"},
		{"ip[0] + 4 % 3 = 2", 10, "% beside another operator wants parentheses"},
		{"ether[-1] = 5", 0, "outside of any frame"},
		{"ether[0xfffff02c:2] = 5", 0, "outside of any frame"},
		{"esp[0] = 1", 0, "esp has no fields here"},
		{"len > 4294967296", 6, "is no number of 32 bits"},
		{"tcp; udp", 3, "has no meaning here"},
		{"inbound", 0, "do not tell their direction"},
		{strings.Repeat("(", 200) + "tcp" + strings.Repeat(")", 200), 100, "nested deeper"},
		{strings.Repeat("not ", 200) + "tcp", 400, "nested deeper"},
		{strings.Repeat("-", 200) + "len = 1", 99, "nested deeper"},
		{"udp and\n  port 80 and\n  gateway x", 24, "gateway is not supported"},
	} {
		_, err := compile(dissect.LinkEthernet, test.text)
		var e *filter.Error
		switch {
		case !errors.As(err, &e):
			t.Errorf("%.60s: error %v, want one with a place", test.text, err)
		case e.Offset != test.offset || !strings.Contains(e.What, test.want):
			t.Errorf("%.60s: at %d: %s; want at %d: %s", test.text, e.Offset, e.What, test.offset, test.want)
		}
	}
	_, err := filter.Parse("udp and\n\tport 80 and\n\tgateway x")
	if got, want := fmt.Sprint(err), "filter: gateway is not supported\n     gateway x\n     ^"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if _, err := filter.Parse(strings.Repeat(" ", filter.MaxText+1)); err == nil {
		t.Error("an endless expression is taken")
	}
}

// TestOtherLinks: what frames do not have is an error, and not silence.
func TestOtherLinks(t *testing.T) {
	for _, test := range []struct {
		link dissect.LinkType
		text string
	}{
		{dissect.LinkRaw, "ether host 02:00:00:00:00:01"}, {dissect.LinkSLL, "broadcast"}, {dissect.LinkNull, "multicast"}, {dissect.LinkRaw, "vlan 5"},
		{dissect.LinkLoop, "mpls"}, {dissect.LinkIPv4, "pppoes"}, {dissect.LinkRaw, "tcp and outbound"}, {dissect.LinkSLL, "ether proto 0x42"},
	} {
		if _, err := compile(test.link, test.text); !errors.As(err, new(*filter.Error)) {
			t.Errorf("link type %d: %s: error %v, want one with a place", test.link, test.text, err)
		}
	}
	if _, err := compile(dissect.LinkRadiotap, "tcp"); !errors.Is(err, filter.ErrLink) {
		t.Errorf("802.11: error %v, want ErrLink", err)
	}
	if _, err := compile(dissect.LinkRadiotap, ""); !errors.Is(err, filter.ErrLink) {
		t.Errorf("802.11: error %v, want ErrLink", err)
	}
}

// TestEquivalent compares what tcpdump does not take with what says the same in its language.
func TestEquivalent(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, test := range []struct {
		link   dissect.LinkType
		text   string
		longer string
	}{
		{dissect.LinkEthernet, "net 10/8", "net 10.0.0.0/8"},
		{dissect.LinkEthernet, "net 10/8 or 192/8", "net 10.0.0.0/8 or net 192.0.0.0/8"},
		{dissect.LinkEthernet, "src net 10 mask 255.0.0.0", "src net 10.0.0.0/8"},
		{dissect.LinkEthernet, "ip proto tcp", "ip and tcp"},
		{dissect.LinkEthernet, "ip proto (tcp or udp)", "ip and (tcp or udp)"},
		{dissect.LinkEthernet, "link multicast", "ether[0] & 1 != 0"},
		{dissect.LinkEthernet, "port 80 or (443 or tcp)", "port 80 or port 443 or tcp"},
		{dissect.LinkEthernet, "", "len >= 0"},
		{dissect.LinkEthernet, "ether host 020000000001", "ether host 2:0:0:0:0:1"},
		{dissect.LinkSLL, "vlan 5", "(ether[14:2] = 0x8100 or ether[14:2] = 0x88a8 or ether[14:2] = 0x9100) and ether[16:2] & 0xfff = 5"},
		{dissect.LinkSLL, "vlan and vlan 6 and ip", "vlan and (ether[18:2] = 0x8100 or ether[18:2] = 0x88a8 or ether[18:2] = 0x9100) and ether[20:2] & 0xfff = 6 and ether[22:2] = 0x800"},
		{dissect.LinkSLL, "mpls 1000 and ip", "ether[14:2] = 0x8847 and ether[16:4] >> 12 = 1000 and ether[18] & 1 = 1 and ether[20] & 0xf0 = 0x40"},
		{dissect.LinkSLL, "outbound", "ether[0:2] = 4"},
		{dissect.LinkSLL2, "inbound", "ether[10] != 4"},
	} {
		a, err := compile(test.link, test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		b, err := compile(test.link, test.longer)
		if err != nil {
			t.Errorf("%s: %v", test.longer, err)
			continue
		}
		taken := 0
		for _, f := range frames(r, test.link, 3000) {
			if len(f) < 60 {
				continue // a load behind the end rejects, and they load differently
			}
			got, want := a.Run(f, len(f)), b.Run(f, len(f))
			if got != want {
				t.Errorf("%s: %d, but %s: %d, for frame %x", test.text, got, test.longer, want, f)
				break
			}
			if got > 0 {
				taken++
			}
		}
		if taken == 0 {
			t.Errorf("%s: no frame was taken: nothing was tested", test.text)
		}
	}
}

// TestLongJumps: an expression whose jumps go further than 255 instructions, with the verdict of a short one; and one that
// no kernel takes.
func TestLongJumps(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	sample := frames(r, dissect.LinkEthernet, 2000)
	var far []string
	for i := range 50 {
		far = append(far, fmt.Sprintf("host 198.51.100.%d", i))
	}
	others := strings.Join(far, " or ")
	for _, test := range [][2]string{
		{"(" + others + ") or tcp", "tcp"},
		{"tcp or (" + others + ")", "tcp"},
		{"tcp and not (" + others + ")", "tcp"},
		{"not (" + others + ") and tcp", "tcp"},
		{"not (udp and (tcp or " + others + ")) and ip", "ip"},
	} {
		long, err := compile(dissect.LinkEthernet, test[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(long) < 500 {
			t.Fatalf("%d instructions only", len(long))
		}
		if err := long.Validate(); err != nil {
			t.Fatal(err)
		}
		agree(t, dissect.LinkEthernet, test[0], sample)
		short, err := compile(dissect.LinkEthernet, test[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range sample {
			if len(f) > 60 && long.Run(f, len(f)) != short.Run(f, len(f)) {
				t.Errorf("%.40s...: %d, want %d, for frame %x", test[0], long.Run(f, len(f)), short.Run(f, len(f)), f)
				break
			}
		}
	}
	many := strings.Repeat("host 198.51.100.1 or ", 500) + "tcp"
	if _, err := compile(dissect.LinkEthernet, many); err == nil || !strings.Contains(err.Error(), "4096 at most") {
		t.Errorf("500 hosts: error %v, want one about 4096 instructions", err)
	}
}

// TestWireLength: len is the length on the wire, of which less may have been captured.
func TestWireLength(t *testing.T) {
	p, err := compile(dissect.LinkEthernet, "greater 1000 and len < 2000")
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 64)
	for wireLen, want := range map[int]bool{64: false, 999: false, 1000: true, 1999: true, 2000: false} {
		if got := p.Run(frame, wireLen) != 0; got != want {
			t.Errorf("%d bytes: %v, want %v", wireLen, got, want)
		}
	}
}

// TestNumbers: programs of tcpdump -ddd, and what is wrong with others.
func TestNumbers(t *testing.T) {
	f, err := filter.ParseText("4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n") // ip
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Compile(filter.Target{Link: dissect.LinkEthernet, SnapLen: 96})
	if err != nil {
		t.Fatal(err)
	}
	ip, arp := append(make([]byte, 12), 8, 0), append(make([]byte, 12), 8, 6)
	if p.Run(ip, 14) != 96 || p.Run(arp, 14) != 0 || p.Run(ip[:13], 13) != 0 {
		t.Errorf("returns %d, %d, %d; want the snap length, 0, 0", p.Run(ip, 14), p.Run(arp, 14), p.Run(ip[:13], 13))
	}
	if f, err := filter.ParseText("tcp and\nport 80\n"); err != nil || f.String() != "tcp and\nport 80\n" {
		t.Errorf("an expression: %v", err)
	}
	for text, want := range map[string]string{
		"2\n6 0 0 0":                   "2 instructions are announced, but 1 lines follow",
		"1\n6 0 0":                     "line 2: want four numbers",
		"1\n6 0 0 x":                   `line 2: "x" is no number of 32 bits`,
		"1\n6 256 0 0":                 `line 2: "256" is no number of 8 bits`,
		"0\n":                          "does not fit here",
		"0\n6 0 0 0":                   "0 instructions, must be",
		"5000\n6 0 0 0":                "5000 instructions, must be",
		"1\n40 0 0 12":                 "does not end by returning",
		"2\n21 0 1 0\n6 0 0 0":         "a jump behind the end",
		"2\n5 0 0 4294967295\n6 0 0 0": "a jump behind the end",
		"2\n52 0 0 0\n6 0 0 0":         "division by zero",
		"2\n2 0 0 16\n6 0 0 0":         "there is no memory 16",
		"2\n65535 0 0 0\n6 0 0 0":      "0xffff is none that is known",
	} {
		if _, err := filter.ParseText(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

// TestMatcher: one filter for frames of several link types.
func TestMatcher(t *testing.T) {
	f, err := filter.Parse("ip")
	if err != nil {
		t.Fatal(err)
	}
	m := filter.NewMatcher(f)
	ethernet := append(make([]byte, 12), 8, 0)
	for range 3 {
		if ok, err := m.Match(dissect.LinkEthernet, ethernet, 14); !ok || err != nil {
			t.Errorf("Ethernet: %v, error %v", ok, err)
		}
		if ok, err := m.Match(dissect.LinkRaw, []byte{0x45}, 1); !ok || err != nil {
			t.Errorf("raw: %v, error %v", ok, err)
		}
		if ok, err := m.Match(dissect.LinkRaw, ethernet, 14); ok || err != nil {
			t.Errorf("raw: %v, error %v, want none", ok, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { m.Match(dissect.LinkEthernet, ethernet, 14) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// FuzzParse: whatever is taken compiles to a valid program, or to an error, that ends on every frame and returns either
// the snap length or 0; and an expression negated decides the other way on a frame that has all that it looks for.
func FuzzParse(f *testing.F) {
	for _, text := range expressions {
		f.Add(text, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, text string, frame []byte) {
		for link := range links {
			p, err := compile(link, text)
			if err != nil {
				if e := (*filter.Error)(nil); errors.As(err, &e) && (e.Offset < 0 || e.Offset > len(text)) {
					t.Errorf("%q: place %d", text, e.Offset)
				}
				continue
			}
			if err := p.Validate(); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if n := p.Run(frame, len(frame)); n != 0 && n != 262144 {
				t.Errorf("%q: returns %d", text, n)
			}
			if len(p) > 4000 || len(text) > 1000 || strings.TrimSpace(text) == "" || strings.Contains(text, "[") || strings.Contains(text, "/ (") {
				continue // computed offsets and divisions may reject either way
			}
			q, err := compile(link, "not ("+text+")")
			if err != nil {
				if strings.Contains(err.Error(), "nested deeper") || strings.Contains(text, ")") || strings.Contains(text, "/") {
					continue
				}
				t.Errorf("%q: its negation: %v", text, err)
				continue
			}
			if whole := append(frame[:len(frame):len(frame)], make([]byte, 300)...); (p.Run(whole, len(whole)) == 0) == (q.Run(whole, len(whole)) == 0) {
				t.Errorf("%q and its negation agree on %x", text, whole)
			}
		}
	})
}

func BenchmarkRun(b *testing.B) {
	sample := frames(rand.New(rand.NewPCG(9, 9)), dissect.LinkEthernet, 1024)
	for _, text := range []string{"tcp", "net 10/8 and not port 22", "host 10.0.0.1 or host 2001:db8::1 or portrange 8000-8999"} {
		b.Run(strings.ReplaceAll(text, "/", "|"), func(b *testing.B) {
			p, err := compile(dissect.LinkEthernet, text)
			if err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				f := sample[i%len(sample)]
				p.Run(f, len(f))
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
