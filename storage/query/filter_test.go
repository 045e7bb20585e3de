package query

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

// primitives is every form of test, in the spelling of nfdump 1.7.1, of 1.7.8, and our own, with its canonical form.
var primitives = []struct{ text, canonical string }{
	{"any", "any"},
	{"", "any"},
	{"  # nothing but a comment", "any"},
	{"ipv4", "ipv4"},
	{"inet", "ipv4"},
	{"IPv6", "ipv6"},
	{"inet6", "ipv6"},
	{"proto tcp", "proto tcp"},
	{"proto 6", "proto tcp"},
	{"PROTO ICMP6", "proto icmp6"},
	{"proto ipv6-icmp", "proto icmp6"},
	{"proto > 6", "proto > tcp"},
	{"proto 253", "proto 253"},
	{"proto in [tcp udp, 1 44-58]", "proto in [tcp udp icmp 44-58]"},
	{"udp", "proto udp"},
	{"icmp", "proto icmp"},
	{"gre", "proto gre"},
	{"ip 10.0.0.1", "ip 10.0.0.1"},
	{"host 10.0.0.1", "ip 10.0.0.1"},
	{"src ip 2001:DB8::1", "src ip 2001:db8::1"},
	{"dst host ::ffff:10.0.0.1", "dst ip 10.0.0.1"},
	{"ip = 10.0.0.1", "ip 10.0.0.1"},
	{"ip != 10.0.0.1", "ip != 10.0.0.1"},
	{"src ip != 2001:db8::1", "src ip != 2001:db8::1"},
	{"src 10.0.0.1", "src ip 10.0.0.1"},
	{"dst 10.0.0.0/8", "dst net 10.0.0.0/8"},
	{"src or dst ip 10.0.0.1", "src or dst ip 10.0.0.1"},
	{"src and dst net 10/8", "src and dst net 10.0.0.0/8"},
	{"src_addr 10.0.0.1", "src ip 10.0.0.1"},
	{"dst_addr in [10.0.0.1 2001:db8::/32]", "dst ip in [10.0.0.1 2001:db8::/32]"},
	{"ip in [10.0.0.1 10.1.0.0/16, 2001:db8::/64]", "ip in [10.0.0.1 10.1.0.0/16 2001:db8::/64]"},
	{"net in [10/8]", "ip in [10.0.0.0/8]"},
	{"net 10/8", "net 10.0.0.0/8"},
	{"net 10.1.1/24", "net 10.1.1.0/24"},
	{"net 10.1.2.3/15", "net 10.0.0.0/15"},
	{"net 0.0.0.0/0", "net 0.0.0.0/0"},
	{"net ::/0", "net ::/0"},
	{"src net 10.1.2.3 255.255.0.0", "src net 10.1.0.0/16"},
	{"dst net 2001:db8::/64", "dst net 2001:db8::/64"},
	{"ip ::", "ip ::"},
	{"port 80", "port 80"},
	{"port https", "port 443"},
	{"src port > 1024", "src port > 1024"},
	{"port>1024", "port > 1024"},
	{"dst port >= 1024", "dst port >= 1024"},
	{"dst port lt 1024", "dst port < 1024"},
	{"port != 80", "port != 80"},
	{"port == 0x50", "port 80"},
	{"port in [80 443, 8000-8100 ftp-data]", "port in [80 443 8000-8100 20]"},
	{"src or dst port != 443", "src or dst port != 443"},
	{"src and dst port < 1024", "src and dst port < 1024"},
	{"dst_port 443", "dst port 443"},
	{"as 64500", "as 64500"},
	{"src as > 0", "src as > 0"},
	{"dst as < 64501", "dst as < 64501"},
	{"as != 64500", "as != 64500"},
	{"src as 0", "src as 0"},
	{"as in [64500, 4200000000]", "as in [64500 4200000000]"},
	{"if 1", "if 1"},
	{"in if 1", "in if 1"},
	{"out if > 1", "out if > 1"},
	{"input 2", "in if 2"},
	{"in or out if 3", "in or out if 3"},
	{"src mask 24", "src mask 24"},
	{"mask < 24", "mask < 24"},
	{"vlan 10", "vlan 10"},
	{"src vlan 10", "vlan 10"},
	{"vlan != 10", "vlan != 10"},
	{"mac 00:11:22:33:44:55", "mac 00:11:22:33:44:55"},
	{"src mac 0011.2233.4455", "src mac 00:11:22:33:44:55"},
	{"in src mac 00-11-22-33-44-55", "src mac 00:11:22:33:44:55"},
	{"in dst mac 00:00:00:00:00:02", "dst mac 00:00:00:00:00:02"},
	{"mac != 00:11:22:33:44:55", "mac != 00:11:22:33:44:55"},
	{"mac in [00:00:00:00:00:02]", "mac in [00:00:00:00:00:02]"},
	{"icmp type 8", "icmp-type 8"},
	{"icmp-type > 3", "icmp-type > 3"},
	{"icmp code 0", "icmp-code 0"},
	{"flags S", "flags S"},
	{"flags sa", "flags SA"},
	{"flags X", "flags FSRPAU"},
	{"flags EC", "flags EC"},
	{"flags =S", "flags 2"},
	{"flags 18", "flags 18"},
	{"flags > 15", "flags > 15"},
	{"flags != SA", "flags != 18"},
	{"flags in [2 18]", "flags in [2 18]"},
	{"out flags SA", "out flags SA"},
	{"tos 184", "tos 184"},
	{"src tos > 7", "tos > 7"},
	{"packets > 1", "packets > 1"},
	{"packets 0", "packets 0"},
	{"bytes > 15m", "bytes > 15000000"},
	{"bytes >= 1.5k", "bytes >= 1500"},
	{"in bytes 64", "bytes 64"},
	{"out bytes < 100", "out bytes < 100"},
	{"out packets 0", "out packets 0"},
	{"reverse_packets != 7", "out packets != 7"},
	{"duration > 0", "duration > 0"},
	{"duration 1", "duration 1"},
	{"duration <= 1.5s", "duration <= 1500"},
	{"duration >= 1h", "duration >= 3600000"},
	{"duration < 1ms", "duration < 1"},
	{"pps > 100", "pps > 100"},
	{"bps >= 1k", "bps >= 1000"},
	{"bps 0", "bps 0"},
	{"bpp < 64", "bpp < 64"},
	{"bpp != 64", "bpp != 64"},
	{"first seen > 2026-10-25", "first seen > 2026-10-25"},
	{"first seen < 2026-10-25T02:30", "first seen < 2026-10-25T02:30"},
	{"first seen = 2026-10-25T01Z", "first seen 2026-10-25T01Z"},
	{"first seen != 2026-10-25T00z", "first seen != 2026-10-25T00Z"},
	{"last seen <= 2026/10/25.02:00:01", "last seen <= 2026/10/25.02:00:01"},
	{"last seen >= 2026-10-25T03:00:00+02:00", "last seen >= 2026-10-25T03:00:00+02:00"},
	{"received > 2026-10-25T01:00:30Z", "received > 2026-10-25T01:00:30Z"},
	{"received 2026", "received 2026"},
	{"flowdir ingress", "flowdir 0"},
	{"flowdir 1", "flowdir 1"},
	{"fwdstat 64", "fwdstat 64"},
	{"fwdstat dropped", "fwdstat in [128-191]"},
	{"fwdstat != forwarded", "not fwdstat in [64-127]"},
	{"exporter ip 192.0.2.1", "exporter ip 192.0.2.1"},
	{"exporter 192.0.2.1", "exporter ip 192.0.2.1"},
	{"router ip 2001:db8::fe", "exporter ip 2001:db8::fe"},
	{"exporter net 192.0.2.0/24", "exporter net 192.0.2.0/24"},
	{"exporter net ::/0", "exporter net ::/0"},
	{"exporter in [192.0.2.1 2001:db8::/32]", "exporter ip in [192.0.2.1 2001:db8::/32]"},
	{"exporter != 192.0.2.1", "exporter ip != 192.0.2.1"},
	{"next ip 192.0.2.254", "next ip 192.0.2.254"},
	{"next hop 192.0.2.254", "next ip 192.0.2.254"},
	{"next net 192/8", "next net 192.0.0.0/8"},
	{"next ip ::", "next ip ::"},
	{"tun ip 192.0.2.1", "tun ip 192.0.2.1"},
	{"src tun ip 192.0.2.1", "src tun ip 192.0.2.1"},
	{"dst tun host 192.0.2.2", "dst tun ip 192.0.2.2"},
	{"src or dst tun ip != 192.0.2.1", "src or dst tun ip != 192.0.2.1"},
	{"tun ip in [192.0.2.1 198.51.100.0/24]", "tun ip in [192.0.2.1 198.51.100.0/24]"},
	{"dst tun net 192.0.2.0 255.255.255.0", "dst tun net 192.0.2.0/24"},
	{"tunnel_src_addr 192.0.2.1", "src tun ip 192.0.2.1"},
	{"tunnel_dst_addr != 192.0.2.2", "dst tun ip != 192.0.2.2"},
	{"tun proto gre", "tun proto gre"},
	{"tun proto != 17", "tun proto != udp"},
	{"tunnel_proto in [4 41]", "tun proto in [ipip ipv6]"},
	{"tunnel_type 1", "tunnel_type 1"},
	{"tunnel_id > 1k", "tunnel_id > 1000"},
	{"domain 1", "domain 1"},
	{"domain != 1", "domain != 1"},
	{"observation domain id > 0", "domain > 0"},
	{"sampling 100", "sampling 100"},
	{"sampling < 100", "sampling < 100"},
	{"endreason idle", "endreason 1"},
	{"endreason in [2 resources]", "endreason in [2 5]"},
	{"version 9", "version 9"},
	{"version ipfix", "version 10"},
	{"version < 10", "version < 10"},
}

var combinations = []struct{ text, canonical string }{
	{"tcp and port 80", "proto tcp and port 80"},
	{"tcp && port 80 || udp", "proto tcp and port 80 or proto udp"},
	{"port 80 or port 443 and src ip 10.0.0.1", "port 80 or port 443 and src ip 10.0.0.1"},
	{"(port 80 or port 443) and src ip 10.0.0.1", "(port 80 or port 443) and src ip 10.0.0.1"},
	{"(tcp and (udp and any)) and any", "proto tcp and proto udp and any and any"},
	{"not tcp and udp", "not proto tcp and proto udp"},
	{"not (tcp and udp)", "not (proto tcp and proto udp)"},
	{"! ! tcp", "not not proto tcp"},
	{"!(tcp or udp)", "not (proto tcp or proto udp)"},
	{"tcp # comment\nand # another\n\tport 80", "proto tcp and port 80"},
	{"src 10.0.0.1 or dst port 80", "src ip 10.0.0.1 or dst port 80"},
	{"flags S and not flags AFRPU", "flags S and not flags FRPAU"},
}

func TestParseGivesTheCanonicalForm(t *testing.T) {
	for _, c := range append(primitives, combinations...) {
		f, err := ParseFilter(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := f.String(); got != c.canonical {
			t.Errorf("%q: got %q, want %q", c.text, got, c.canonical)
		}
		again, err := ParseFilter(c.canonical)
		if err != nil || !reflect.DeepEqual(again.tree, f.tree) {
			t.Errorf("%q: canonical form parses to another tree, %v", c.canonical, err)
		}
	}
}

// TestSyntaxErrors wants the whole text: what was found, a caret under it, what was expected and the hint.
func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct {
		filter, found, expected string
		column                  int
	}{
		{"tcp and dst prt 443", `unexpected "prt"`, `^ expected ip, net, port, as, mask, mac or tun; did you mean "port"?`, 12},
		{"tun port 80", `unexpected "port"`, "^ expected ip, net or proto", 4},
		{"src tun proto gre", `unexpected "proto"`, "^ expected ip or net", 8},
		{"src or dst tun", "unexpected end", "^ expected ip or net", 14},
		{"in tun ip 1.1.1.1", `unexpected "tun"`, "^ expected if, packets", 3},
		{"prot tcp", `unexpected "prot"`, `did you mean "proto"?`, 0},
		{"proto 6 port 80", `unexpected "port"`, `^ expected "and", "or" or the end; two tests need one of them between`, 8},
		{"src port 443 or 80", `unexpected "80"`, "^ expected a test such as", 16},
		{"(port 80", "unexpected end", `^ expected "and", "or" or ")"`, 8},
		{"port 80)", `unexpected ")"`, `"and", "or" or the end`, 7},
		{"port", "unexpected end", "^ expected a port number or a service name", 4},
		{"port 70000", `unexpected "70000"`, "port is at most 65535", 5},
		{"port in [80-", `unexpected "80-"`, "a port number", 9},
		{"port in []", `unexpected "]"`, "the list is empty", 9},
		{"port in [90-80]", `unexpected "90-80"`, "the range is backwards", 9},
		{"port htpps", `unexpected "htpps"`, `did you mean "https"?`, 5},
		{"tcp and and udp", `unexpected "and"`, `^ expected a test such as port 80, "not" or "("`, 8},
		{"tcp and", "unexpected end", "^ expected a test", 7},
		{"host www.example.com", `unexpected "www.example.com"`, "names are not looked up", 5},
		{"ip 10.0.0.256", `unexpected "10.0.0.256"`, "^ expected an IPv4 or IPv6 address", 3},
		{"ip < 10.0.0.1", `unexpected "<"`, "addresses have no order", 3},
		{"net 10.0.0.0/33", `unexpected "10.0.0.0/33"`, "the prefix length is wrong", 4},
		{"net 10.0.0.0", "unexpected end", "^ expected an IPv4 mask such as 255.255.255.0; write the length after a slash", 12},
		{"net 10.0.0.0 255.0.255.0", `unexpected "255.0.255.0"`, "the mask has holes", 13},
		{"10.0.0.1", `unexpected "10.0.0.1"`, `did you mean "ip 10.0.0.1"?`, 0},
		{"geo IN", `unexpected "geo"`, `nfdump knows "geo", but flows here do not have it`, 0},
		{"flags SQ", `unexpected "SQ"`, "^ expected flag letters of FSRPAUEC or a number", 6},
		{"bytes > 1.5", `unexpected "1.5"`, "^ expected a number", 8},
		{"bytes > 99999999999t", `unexpected "99999999999t"`, "^ expected a number", 8},
		{"first seen > yesterday", `unexpected "yesterday"`, "^ expected a time such as", 13},
		{"first 2026", `unexpected "2026"`, `^ expected "seen"`, 6},
		{"src proto tcp", `unexpected "proto"`, "proto has no src and dst", 4},
		{"dst vlan 5", `unexpected "vlan"`, "of vlan only that of the source is stored", 4},
		{`ident "x"`, `unexpected "\""`, "nothing needs quotes here", 6},
		{"tcp & udp", `unexpected "&"`, `^ expected "and" or "or"`, 4},
		{"tcp\nand prt 80", `unexpected "prt"`, "\n    and prt 80\n        ^ expected", 8},
		{strings.Repeat("(", 300) + "any", `unexpected "("`, "nested too deeply", maxDepth},
		{strings.Repeat("not ", 300) + "any", `unexpected "not"`, "nested too deeply", 4 * maxDepth},
		{"tcp ü", `unexpected "ü"`, "no test contains this character", 4},
	} {
		_, err := ParseFilter(c.filter)
		var e *SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v, want a SyntaxError", c.filter, err)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, c.found) || !strings.Contains(text, c.expected) || e.Offset != c.column {
			t.Errorf("%q: offset %d, want %d, %q, %q\n%v", c.filter, e.Offset, c.column, c.found, c.expected, err)
		}
	}
}

func TestSyntaxErrorShowsThePlace(t *testing.T) {
	_, err := ParseFilter("tcp and dst prt 443")
	want := `filter: unexpected "prt"
    tcp and dst prt 443
                ^ expected ip, net, port, as, mask, mac or tun; did you mean "port"?`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%v", err, want)
	}
}

// matches runs a filter over one record by way of a chunk.
func matches(t *testing.T, text string, r netflow.Record) bool {
	t.Helper()
	f, err := ParseFilterIn(text, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var v view
	b := netflow.NewBatch(1)
	b.Append(&r)
	v.open(column.FromBatch(b))
	rows := bitmap{1}
	if err := narrow(f.node(), &v, rows); err != nil {
		t.Fatal(err)
	}
	return rows[0] == 1
}

// TestSemantics holds what nfdump's manual and runs say, and the rules of the package comment.
func TestSemantics(t *testing.T) {
	flow := netflow.Record{
		IPVersion: 4, SrcAddr: addr("10.1.2.3"), DstAddr: addr("192.168.1.1"), SrcPort: 40000, DstPort: 443, Proto: 6,
		TCPFlags: netflow.TCPSyn | netflow.TCPEce | netflow.TCPCwr, Packets: 10, Bytes: 15000000,
		Start: netflow.TimestampOf(time.Date(2026, 11, 21, 16, 5, 9, 250e6, time.UTC)),
		End:   netflow.TimestampOf(time.Date(2026, 11, 21, 16, 5, 11, 750e6, time.UTC)),
	}
	ping := netflow.Record{IPVersion: 6, SrcAddr: addr("::"), DstAddr: addr("ff02::1"), Proto: 58, ICMPType: 128, DstPort: 128 << 8}
	l2 := netflow.Record{SrcMAC: netflow.MACFrom(1), Packets: 1, Bytes: 60}
	for _, c := range []struct {
		filter string
		r      netflow.Record
		want   bool
	}{
		{"bytes > 15m", flow, false}, // decimal factors
		{"bytes >= 15m", flow, true},
		{"flags S and not flags AFRPU", flow, true}, // E and C may be set
		{"flags =S", flow, false},
		{"flags = SEC", flow, true},
		{"flags S", ping, false},         // implies TCP
		{"not flags S", ping, true},      // a test on a lacking field is false
		{"port > 1024", flow, true},      // either
		{"not port 443", flow, false},    // neither
		{"port != 443", flow, false},     // neither
		{"port != 444", flow, true},      //
		{"src port != 443", flow, true},  //
		{"duration 2500", flow, true},    // milliseconds
		{"pps 4", flow, true},            // 10 in 2.5 s
		{"bps 48m", flow, true},          // 120,000,000 bits in 2.5 s
		{"bpp 1500k", flow, true},        //
		{"pps 0", ping, false},           // no times told
		{"src as < 5", flow, false},      // not told
		{"not src as < 5", flow, true},   //
		{"src as 0", flow, true},         // but zero can be named
		{"out bytes < 100", flow, false}, // one-way
		{"icmp type 128", ping, true},    //
		{"icmp type 0", flow, false},     // not ICMP
		{"src ip ::", ping, true},        // an address
		{"src ip ::", l2, false},         // none
		{"ip != 10.0.0.1", l2, false},    //
		{"net ::/0", ping, true},         //
		{"net ::/0", flow, false},        // IPv4 is not inside IPv6
		{"net 0.0.0.0/0", flow, true},    //
		{"net 0.0.0.0/0", ping, false},   //
		{"ipv4", l2, false},              //
		{"not ipv4 and not ipv6", l2, true},
		{"net 10.1/16", flow, true},
		{"dst net 10.1/16", flow, false},
		{"first seen 2026-11-21", flow, true}, // the whole day
		{"first seen 2026-11-21T16:05:09.25", flow, true},
		{"first seen != 2026-11-21T16", flow, false},
		{"first seen > 2026-11-21", flow, true}, // its first instant
		{"first seen <= 2026-11-21", flow, false},
		{"last seen < 2026-11-21T16:05:12", flow, true},
		{"last seen < 2026/11/21.17:05:12+01:00", flow, true},
		{"first seen < 2030", ping, false}, // not told
		{"flowdir ingress", flow, true},
	} {
		if got := matches(t, c.filter, c.r); got != c.want {
			t.Errorf("%q: got %v, want %v", c.filter, got, c.want)
		}
	}
}

// randomFilter combines primitives by chance.
func randomFilter(rnd *rand.Rand, depth int) string {
	switch n := rnd.IntN(6); {
	case depth == 0 || n == 0:
		for {
			if s := primitives[rnd.IntN(len(primitives))].text; s != "" && !strings.Contains(s, "#") {
				return s
			}
		}
	case n == 1:
		return "not (" + randomFilter(rnd, depth-1) + ")"
	case n <= 3:
		return "(" + randomFilter(rnd, depth-1) + " and " + randomFilter(rnd, depth-1) + ")"
	default:
		return "(" + randomFilter(rnd, depth-1) + " or " + randomFilter(rnd, depth-1) + ")"
	}
}

// checkFilter compares the compiled filter with the oracle on a chunk, and wants what is said to be known to be true.
func checkFilter(t *testing.T, f *Filter, c *memChunk) {
	t.Helper()
	var v view
	v.open(c)
	c.read = 0
	known := f.node().known(&v)
	if c.read != 0 {
		t.Errorf("%v: asking what is known read %b", f, c.read)
	}
	rows, err := v.match(f.node())
	if err != nil {
		t.Fatal(err)
	}
	if extra := c.read &^ f.Columns(); extra != 0 {
		t.Errorf("%v: read columns %b beyond its own", f, extra)
	}
	row, conditions := netflow.NewBatch(1), f.Conditions()
	for i := range c.records {
		got := rows[i/64]>>(i%64)&1 == 1
		want := holds(f.tree, &c.records[i])
		row.Reset()
		row.Append(&c.records[i])
		if f.Match(row, 0) != want {
			t.Fatalf("%v: Match does not give %v for %+v", f, want, c.records[i])
		}
		for _, condition := range conditions {
			if want && !meets(&condition, &c.records[i]) {
				t.Fatalf("%v: condition %+v does not hold for %+v", f, condition, c.records[i])
			}
		}
		if got != want {
			t.Fatalf("%v: got %v, want %v for %+v", f, got, want, c.records[i])
		}
		if known == always && !want || known == never && want {
			t.Fatalf("%v: known %d, but it is %v for %+v", f, known, want, c.records[i])
		}
	}
	if n := len(c.records) % 64; n != 0 && rows[len(rows)-1]>>n != 0 {
		t.Fatalf("%v: bits beyond the last row", f)
	}
}

func TestEvaluationEqualsTheOracle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.FixedZone("", 7200)
	}
	for round := range 3000 {
		text := primitives[round%len(primitives)].text
		if round >= 2*len(primitives) {
			text = randomFilter(rnd, 4)
		}
		f, err := ParseFilterIn(text, berlin)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		n := 1 + rnd.IntN(200)
		records := randomRecords(rnd, n)
		if rnd.IntN(3) == 0 { // chunks where much is equal, so that bounds say something
			for i := range records {
				records[i] = records[rnd.IntN(min(n, 2))]
			}
		}
		checkFilter(t, f, &memChunk{records: records, seed: rnd.Uint64()})
	}
}

func TestBetweenBoundsReceived(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		c := &memChunk{records: randomRecords(rnd, 100), seed: rnd.Uint64()}
		from := testEpoch + netflow.Timestamp(rnd.IntN(100))*1e6
		to := testEpoch + netflow.Timestamp(rnd.IntN(100))*1e6
		switch rnd.IntN(3) {
		case 0:
			from = 0
		case 1:
			to = 0
		}
		var f *Filter
		if rnd.IntN(2) == 0 {
			f, _ = ParseFilter("tcp or udp")
		}
		bounded := f.Between(from, to)
		var v view
		v.open(c)
		rows, err := v.match(bounded.node())
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range c.records {
			want := (f == nil || holds(f.tree, &r)) && r.Received >= from && (to == 0 || r.Received < to)
			if got := rows[i/64]>>(i%64)&1 == 1; got != want {
				t.Fatalf("%v between %v and %v: got %v for %v", f, from, to, got, r.Received)
			}
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, c := range append(primitives, combinations...) {
		f.Add(c.text, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		x, err := ParseFilterIn(text, time.UTC)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text) || e.Text != text {
				t.Fatalf("error %#v", err)
			}
			if msg := err.Error(); !strings.Contains(msg, "^") || strings.ContainsAny(msg, "\x1b\r\x00") {
				t.Fatalf("error text %q", msg)
			}
			return
		}
		again, err := ParseFilterIn(x.String(), time.UTC)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, x, err)
		}
		if !reflect.DeepEqual(again.tree, x.tree) {
			t.Fatalf("%q prints as %q, which is another tree and prints as %q", text, x, again)
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		checkFilter(t, x, &memChunk{records: randomRecords(rnd, 70), seed: seed})
	})
}

func ExampleParseFilter() {
	_, err := ParseFilter("proto tcp and dts port 443")
	fmt.Println(err)
	// Output:
	// filter: unexpected "dts"
	//     proto tcp and dts port 443
	//                   ^ expected a test such as ip, net, port, proto, bytes or flags; did you mean "dst"?
}
