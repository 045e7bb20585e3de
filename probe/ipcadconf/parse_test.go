package ipcadconf

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/console"
)

// article is a configuration as of 2005, down to the last line without its semicolon.
const article = `capture-ports enable;
interface wi0;
rsh enable at 127.0.0.1;
dumpfile = ipcad.dump;
chroot = /var/ipcad;
memory_limit = 1m;
netflow export destination 127.0.0.1 9995
`

func TestArticle(t *testing.T) {
	got, err := Parse(article)
	want := &Config{
		Interfaces: []Interface{{Line: 2, Name: "wi0", Ports: true}},
		RSH:        true, At: netip.MustParseAddr("127.0.0.1"),
		DumpFile: "ipcad.dump", Chroot: "/var/ipcad", MemoryLimit: 1 << 20,
		Destinations: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9995")},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func TestAll(t *testing.T) {
	got, err := Parse(`# everything that ipcad.conf(5) has
capture-ports enable ; buffers = 64k;
interface eth0 promisc input-only netflow-sampled netflow-disable filter "ip and not (port 22; or 23)"; /* a comment
of two lines */ capture-ports disable;
interface ppp*;
interface ulog group 1, group 3, 7;
interface ipq netflow-disable;
interface divert port 7000 input-only;
interface file /tmp/a.pcap;
aggregate 10.0.0.0/8 strip 24;
aggregate 192.168.0.0/255.255.0.0 strip 255.255.255.255;
aggregate 1024-65535 into 65535;
aggregate 3128 into 80;
rsh yes; rsh root@127.0.0.1 admin; rsh 127.0.0.1 view-only; rsh 10.0.0.1; rsh x@10.0.0.2 deny;
rsh ttl = 3; rsh timeout=30;
pidfile = /run/ipcad.pid; uid = nobody; gid = nogroup;
memory_limit = 1000 e;
netflow export destination 10.0.0.9 2055; netflow export destination 10.0.0.8 2055;
netflow export version 1;
netflow timeout active 5; netflow timeout inactive 10;
netflow engine-type 73; netflow engine-id 1;
netflow ifclass ppp mapto 100-199; netflow ifclass eth mapto 7;
netflow sampling-mode packet-interval 10;
`)
	if err != nil {
		t.Fatal(err)
	}
	active, inactive, kind, id := 5*time.Minute, 10*time.Second, uint8(73), uint8(1)
	local, ten1, ten2 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	want := &Config{
		Interfaces: []Interface{
			{Line: 3, Name: "eth0", Ports: true, Promiscuous: true, InputOnly: true, Sampled: true, NoNetFlow: true, Filter: "ip and not (port 22; or 23)"},
			{Line: 5, Name: "ppp*"}, {Line: 6, Kind: "ulog", Name: "1,3,7"}, {Line: 7, Kind: "ipq", NoNetFlow: true},
			{Line: 8, Kind: "divert", Name: "7000", InputOnly: true}, {Line: 9, Kind: "file", Name: "/tmp/a.pcap"},
		},
		Networks: []account.Network{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Strip: 24}, {Prefix: netip.MustParsePrefix("192.168.0.0/16"), Strip: 32}},
		Ranges:   []account.PortRange{{First: 1024, Last: 65535, Into: 65535}, {First: 3128, Last: 3128, Into: 80}},
		RSH:      true,
		Access: []console.Rule{{User: "root", Address: local, Level: console.Admin}, {Address: local, Level: console.ViewOnly},
			{Address: ten1, Level: console.Default}, {User: "x", Address: ten2, Level: console.Deny}},
		TTL: 3, Timeout: 30 * time.Second, Buffers: 64 << 10, MemoryLimit: 1000, Entries: true,
		PidFile: "/run/ipcad.pid", UID: "nobody", GID: "nogroup",
		Destinations: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.9:2055"), netip.MustParseAddrPort("10.0.0.8:2055")},
		Version:      1, Active: &active, Inactive: &inactive, EngineType: &kind, EngineID: &id,
		Classes:        []Class{{"ppp", 100, 199, 22}, {"eth", 7, 7, 22}},
		SampleInterval: 10,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"interface e0;\n\nfoo bar;":                        `line 3: unknown directive "foo"`,
		"netflow import x;":                                `line 1: unknown directive "netflow import"`,
		"\ncapture-ports maybe;":                           `line 2: "maybe", want enable or disable`,
		"interface e0 sideways;":                           `line 1: "sideways" is no option of an interface`,
		"interface e0\ninterface e1;":                      `line 2: "interface" is no option of an interface`,
		"interface;":                                       `line 1: the statement is not complete`,
		"rsh enable at home;":                              `line 1: "home", want an IPv4 address`,
		"rsh 127.0.0.1 king;":                              `line 1: access level "king": want deny, view-only, default, backup, admin`,
		"memory_limit = much;":                             `line 1: "much" is no size`,
		"memory_limit 10m;":                                `line 1: "10m", want "="`,
		"aggregate 10.0.0.0/33 strip 8;":                   `line 1: "33", want a mask of 0 to 32 bits`,
		"aggregate 9-8 into 1;":                            `line 1: "9-8": the range is empty`,
		"netflow export version 9;":                        `line 1: "9", want a number up to 5`,
		"netflow export destination 127.0.0.1 9995 twice;": `line 1: "twice" does not belong to "netflow"`,
		"\n/* no end":                                      `line 2: the comment that begins here does not end`,
		`interface "a` + "\n":                              `line 1: the quotation does not end`,
	} {
		_, err := Parse(text)
		var e *Error
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
	if c, err := Parse(""); err != nil || !reflect.DeepEqual(c, &Config{}) {
		t.Errorf("an empty file: %+v, error %v", c, err)
	}
}

// FuzzParse: an error names a line of the file; comments and blank lines in front change nothing but the lines.
func FuzzParse(f *testing.F) {
	f.Add(article)
	f.Add("interface eth0 promisc filter \"ip\"; aggregate 1-2 into 3;\nnetflow ifclass ppp mapto 100-199;memory_limit=5k")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		var e, e2 *Error
		if errors.As(err, &e) && (e.Line < 1 || e.Line > 1+len(text)) {
			t.Errorf("line %d", e.Line)
		}
		c2, err2 := Parse("# comment\n/* and\nanother */" + text)
		if (err == nil) != (err2 == nil) || errors.As(err, &e) && (!errors.As(err2, &e2) || e2.Text != e.Text || e2.Line != e.Line+2) {
			t.Errorf("error %v, behind comments %v", err, err2)
		}
		if err == nil && len(c.Interfaces) != len(c2.Interfaces) {
			t.Errorf("%+v, behind comments %+v", c, c2)
		}
	})
}
