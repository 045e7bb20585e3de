package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

func init() { time.Local = time.UTC }

var begin = time.Unix(1113448403, 0)

// fakeMeter is a probe of one interface, wi0.
type fakeMeter struct {
	flows []netflow.Record
	stop  chan struct{}
}

func (m *fakeMeter) Sources() []Source {
	return []Source{{Name: "wi0", Received: 833}, {Name: "wi1", Down: true}}
}

func (m *fakeMeter) Cache() Cache {
	return Cache{Flows: 21, Bytes: 4096, Active: 30 * time.Minute, Inactive: 15 * time.Second, Exported: true}
}

func (m *fakeMeter) Flows(f func(string, *netflow.Record) bool) {
	for i := range m.flows {
		if !f("wi0", &m.flows[i]) {
			return
		}
	}
}

func (m *fakeMeter) Shutdown() { close(m.stop) }

func addr(text string) netflow.Addr { return netflow.AddrFrom(netip.MustParseAddr(text)) }

// open makes a console with one row in the table.
func open(t testing.TB, cfg Config) (*Console, *fakeMeter) {
	t.Helper()
	a, err := account.New(account.Config{MemoryLimit: 1 << 20}, begin)
	if err != nil {
		t.Fatal(err)
	}
	a.Interface("wi0").Add([]flowcache.Packet{{Packet: dissect.Packet{Src: addr("216.218.215.226"), Dst: addr("131.106.57.173"), IPVersion: 4, IPBytes: 3329}}})
	m := &fakeMeter{stop: make(chan struct{})}
	c, err := Open(cfg, a, m)
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return begin.Add(163 * time.Second) }
	c.started, c.host = begin.Add(43*time.Second), ""
	t.Cleanup(func() { c.Close() })
	return c, m
}

// serve runs a console until the test ends.
func serve(t testing.TB, c *Console) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the console does not end")
		}
	})
}

func execute(t testing.TB, c *Console, line string, s Session) (string, error) {
	var b bytes.Buffer
	err := c.Execute(&b, strings.Fields(line), s)
	return b.String(), err
}

var admin = Session{Level: Admin}

// TestAnswers are IPCAD's, byte for byte.
func TestAnswers(t *testing.T) {
	c, m := open(t, Config{Version: "1.2"})
	m.flows = []netflow.Record{{SrcAddr: addr("207.171.166.48"), DstAddr: addr("131.106.57.173"), Proto: 6, SrcPort: 80, DstPort: 53255, Packets: 60}}
	const stat = `Interface wi0: received 833, 5 m average 0 bytes/sec, 0 pkts/sec, dropped 0
Interface wi1: DOWN
Flow entries made: 1
NetFlow cached flows: 21
Memory usage: 0% (88 from 1048576)
Free slots for rsh clients: 10
IPCAD uptime is 2 minutes
`
	const table = `
   Source           Destination              Packets               Bytes
 216.218.215.226  131.106.57.173                   1                3329

Accounting data age is     2
Accounting data age exact 163
Accounting data saved 1113448566
`
	for _, test := range []struct{ line, want string }{
		{"stat", stat},
		{"status", stat},
		{"show ip accounting", table + stat},
		{"sh ip ca flo", `
IP Flow Switching Cache, 4096 bytes
  21 flows, 0 flow alloc failures
  Active flows timeout in 30 minutes
  Inactive flows timeout in 15 seconds

SrcIf         SrcIPaddress    DstIf         DstIPaddress    Pr SrcP DstP  Pkts
wi0           207.171.166.48  <?>           131.106.57.173  06 0050 d007    60
`},
		{"show version", "Caprock probe 1.2, with the console of IPCAD\n\nIPCAD uptime is 2 minutes\n"},
		{"clear ip accounting", "IP accounting cleared\n"},
		{"show ip accounting checkpoint", table},
		{"cle ip acco che", "IP accounting checkpoint cleared\n"},
		{"shutdown", "Shutdown process started\n"},
	} {
		got, err := execute(t, c, test.line, admin)
		if err != nil || got != test.want {
			t.Errorf("%s: error %v\n%s\nwant\n%s", test.line, err, got, test.want)
		}
	}
	select {
	case <-m.stop:
	default:
		t.Error("shutdown did nothing")
	}
}

// TestStatistics is the seed's stat, the machine's line included.
func TestStatistics(t *testing.T) {
	cached := 21
	s := Statistics{
		Sources: []SourceStatistics{{Name: "wi0", Received: 833, BytesPerSecond: 773, PacketsPerSecond: 1}}, Entries: 32, Cached: &cached,
		MemoryUsed: 2816, MemoryLimit: 1048576, FreeSlots: 9,
		Uptimes: Uptimes{Probe: Seconds(2 * time.Minute), Host: "orr.taosecurity.com", Machine: Seconds(17 * time.Minute)},
	}
	var b bytes.Buffer
	_ = s.WriteText(&b)
	if got, want := b.String(), `Interface wi0: received 833, 5 m average 773 bytes/sec, 1 pkts/sec, dropped 0
Flow entries made: 32
NetFlow cached flows: 21
Memory usage: 0% (2816 from 1048576)
Free slots for rsh clients: 9
IPCAD uptime is 2 minutes
orr.taosecurity.com uptime is 17 minutes
`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.Cached, s.MemoryLimit = nil, 0
	b.Reset()
	_ = s.WriteText(&b)
	if got := b.String(); strings.Contains(got, "NetFlow") || !strings.Contains(got, "\nMemory usage: 2 kbytes.\n") {
		t.Error(got)
	}
}

func TestUptime(t *testing.T) {
	for seconds, want := range map[int64]string{
		1: " 1 second", 59: " 59 seconds", 60: " 1 minute", 150: " 2 minutes", 3600: " 1 hour,", 3660: "  1:01", 7200: " 2 hours,",
		86400 + 39600 + 300: " 1 day 11:05", 2*86400 + 120: " 2 days 2 minutes",
	} {
		if got := uptime(time.Duration(seconds) * time.Second); got != want {
			t.Errorf("%d seconds: %q, want %q", seconds, got, want)
		}
	}
}

// TestInterface is the seed's report, and that of Linux, which has fewer lines.
func TestInterface(t *testing.T) {
	drops, changed := uint64(0), time.Date(2005, 4, 14, 2, 58, 55, 0, time.UTC)
	i := Interface{
		Name: "wi0", Running: true, Up: true, MAC: "0004.e229.3bba", Address: "131.106.57.173", Mask: "255.255.248.0", Broadcast: "131.106.63.255",
		MTU: 1500, Bandwidth: 11000, DropsIn: &drops, Changed: &changed, Metered: true, BitsPerSecond: 4208, PacketsPerSecond: 1,
		Counted: true, PacketsIn: 1914, BytesIn: 775739, PacketsOut: 704, BytesOut: 144852, Collisions: 45,
	}
	check := func(want string) {
		t.Helper()
		var b bytes.Buffer
		if err := i.WriteText(&b); err != nil || b.String() != want {
			t.Errorf("error %v, got\n%s\nwant\n%s", err, &b, want)
		}
	}
	const head, tail = `wi0 is up, line protocol is up
  Hardware is Ethernet, address is 0004.e229.3bba
  Internet address is 131.106.57.173 255.255.248.0
  IP broadcast address is 131.106.63.255
  Encapsulation Ethernet, loopback not set
`, `  5 minute average rate 4208 bits/sec, 1 packets/sec
     1914 packets input, 775739 bytes, 0 no buffer
     0 input errors, 0 CRC, 0 frame, 0 overrun, 0 ignored, 0 abort
     704 packets output, 144852 bytes, 0 underruns
     0 output errors, 45 collisions, 0 interface resets, 0 restarts
`
	check(head + `  MTU 1500 bytes, BW 11000 Kbit
  Input queue: 0 drops
  Last administrative status change at Thu Apr 14 02:58:55 2005
` + tail)
	i.Bandwidth, i.DropsIn, i.Changed, i.DropsOut = 0, nil, nil, &drops
	check(head + "  MTU 1500\n" + tail + "     0 output drops\n")
}

func TestShowInterface(t *testing.T) {
	c, _ := open(t, Config{})
	if _, err := execute(t, c, "show interface nosuch0", admin); !errors.Is(err, ErrNoInterface) || err.Error() != "No such interface nosuch0" {
		t.Errorf("error %v", err)
	}
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) == 0 {
		t.Skip("no interfaces")
	}
	got, err := execute(t, c, "sh in "+interfaces[0].Name, admin)
	if err != nil || !strings.HasPrefix(got, interfaces[0].Name+" is ") {
		t.Errorf("%s, error %v", got, err)
	}
}

// TestFiles: dump, restore and import; a client of rsh has the folder of the dump file only.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	c, _ := open(t, Config{DumpFile: filepath.Join(dir, "ipcad.dump")})
	do := func(line string, s Session) string {
		t.Helper()
		got, err := execute(t, c, line, s)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return got
	}
	if got := do("dump", admin); got != "1 elements put into "+dir+"/ipcad.dump.\n" {
		t.Error(got)
	}
	do("import", admin)
	if got := do("sh ip acco", admin); !strings.Contains(got, "                  2                6658\n") {
		t.Error(got)
	}
	if got := do("restore", admin); got != "1 elements got from "+dir+"/ipcad.dump.\n" {
		t.Error(got)
	}
	if got := do("sh ip acco", admin); !strings.Contains(got, "                  1                3329\n") {
		t.Error(got)
	}
	do("dump other", Session{Level: Backup, Directory: "/", Confined: true})
	if _, err := os.Stat(filepath.Join(dir, "other")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/etc/passwd", "../x", "..", "a/b", "."} {
		if _, err := execute(t, c, "dump "+name, Session{Level: Backup, Directory: "/", Confined: true}); err == nil {
			t.Errorf("dump %s is done for anybody", name)
		}
	}
	if _, err := execute(t, c, "restore nosuch", Session{Level: Admin, Directory: dir}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := do("import empty", Session{Level: Admin, Directory: dir}); got != "No valid entries found in "+dir+"/empty.\n" {
		t.Error(got)
	}
	if n, err := Load(filepath.Join(dir, "nosuch"), c.account); n != 0 || err != nil {
		t.Errorf("a table that is not there: %d, error %v", n, err)
	}
}

func TestJSON(t *testing.T) {
	c, m := open(t, Config{})
	m.flows = []netflow.Record{{SrcAddr: addr("207.171.166.48"), DstAddr: addr("131.106.57.173"), Proto: 6, SrcPort: 80, DstPort: 53255, Packets: 60}, {}}
	for line, path := range map[string]string{"sh ip acco": "rows", "sh ip acco che": "rows", "sh ip ca flo": "flows", "stat": "interfaces"} {
		got, err := execute(t, c, line, Session{Level: Admin, JSON: true})
		var v map[string]any
		if err := errors.Join(err, json.Unmarshal([]byte(got), &v)); err != nil || v[path] == nil {
			t.Errorf("%s: %v\n%s", line, err, got)
		}
	}
	if _, err := execute(t, c, "clear ip accounting", Session{Level: Admin, JSON: true}); !errors.Is(err, ErrArgument) {
		t.Errorf("clear as JSON: error %v", err)
	}
}

// TestControl: the socket is for its owner only; one left behind is replaced, one in use is not.
func TestControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "probe.sock")
	c, m := open(t, Config{Control: path})
	serve(t, c)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, error %v; want 0600", info.Mode(), err)
	}
	if _, err := Open(Config{Control: path}, c.account, m); err == nil {
		t.Error("two probes at one socket")
	}
	var clients sync.WaitGroup
	for range 5 {
		clients.Go(func() {
			var b bytes.Buffer
			if err := Call(context.Background(), &b, path, []string{"sh", "ip", "acco"}, false); err != nil || !strings.Contains(b.String(), "216.218.215.226") {
				t.Errorf("%v: %s", err, &b)
			}
		})
	}
	clients.Wait()
	if err := Call(context.Background(), io.Discard, path, []string{"sh"}, false); err == nil || !strings.Contains(err.Error(), "ambiguous") {
		t.Errorf("error %v", err)
	}
	if err := Call(context.Background(), io.Discard, path+"x", []string{"stat"}, false); !errors.Is(err, ErrNoProbe) {
		t.Errorf("error %v, want ErrNoProbe", err)
	}

	left := filepath.Join(t.TempDir(), "left.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	open(t, Config{Control: left})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Control: file}, c.account, m); err == nil {
		t.Error("a file was taken for a socket")
	}
}

// TestBiflowIsTwoRows: the table of the cache has a row for each direction.
func TestBiflowIsTwoRows(t *testing.T) {
	c, m := open(t, Config{})
	a, b := addr("10.0.0.1"), addr("192.0.2.1")
	m.flows = []netflow.Record{
		{SrcAddr: a, DstAddr: b, Proto: 6, SrcPort: 0x1000, DstPort: 80, Packets: 6, ReversePackets: 4},
		{SrcAddr: a, DstAddr: b, Proto: 1, DstPort: 8 << 8, ICMPType: 8, Packets: 3, ReversePackets: 2},
		{SrcAddr: a, DstAddr: b, Proto: 17, SrcPort: 0x1000, DstPort: 53, ReversePackets: 1},
	}
	got, err := execute(t, c, "show ip cache flow", Session{Level: Admin})
	const want = `Pkts
wi0           10.0.0.1        <?>           192.0.2.1       06 1000 0050     6
wi0           192.0.2.1       <?>           10.0.0.1        06 0050 1000     4
wi0           10.0.0.1        <?>           192.0.2.1       01 0000 0800     3
wi0           192.0.2.1       <?>           10.0.0.1        01 0000 0000     2
wi0           192.0.2.1       <?>           10.0.0.1        11 0035 1000     1
`
	if err != nil || !strings.HasSuffix(got, want) {
		t.Errorf("error %v\n%s", err, got)
	}
}
