//go:build linux

package test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// datagram makes an Ethernet frame with an IPv4 packet of length bytes.
func datagram(src, dst string, proto uint8, sport, dport uint16, length int) []byte {
	f := make([]byte, 14+length)
	copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0})
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(length))
	copy(ip[12:], netip.MustParseAddr(src).AsSlice())
	copy(ip[16:], netip.MustParseAddr(dst).AsSlice())
	if proto == 6 || proto == 17 {
		binary.BigEndian.PutUint16(ip[20:], sport)
		binary.BigEndian.PutUint16(ip[22:], dport)
	}
	if proto == 6 {
		ip[32], ip[33] = 0x50, 0x10
	}
	return f
}

func (s *sender) send(t *testing.T, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		if err := unix.Sendto(s.fd, f, 0, &unix.SockaddrLinklayer{Ifindex: s.index}); err != nil {
			t.Fatal(err)
		}
	}
}

// like compares a text with one in which "~" stands for what nobody can foretell: digits, or a word.
func like(t *testing.T, what, got, want string) {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "~", `[\w:.-]+(?: \w+,?)*`) + "$"
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// TestIPCAD is the article on IPCAD (2005), step by step, with a probe in IPCAD's place and our collector in flow-capture's: the
// configuration, rsh localhost with Debian's client, the tables, clear, shutdown, the start with what was saved, capture-ports,
// and the exported flows at the end.
func TestIPCAD(t *testing.T) {
	client := peer(t, "rsh-redone-rsh")
	near, far := cable(t)
	near.ip(t, "link", "set", wire, "down")
	near.ip(t, "link", "set", wire, "address", "00:04:e2:29:3b:ba", "name", "wi0")
	near.ip(t, "address", "add", "131.106.57.173/21", "broadcast", "131.106.63.255", "dev", "wi0")
	near.ip(t, "link", "set", "wi0", "up")
	eventually(t, func() bool { return strings.Contains(near.ip(t, "-o", "link", "show", "wi0"), "state UP") }, func() string { return "wi0 does not come up" })
	s := far.sender(t)

	dir := t.TempDir()
	conf := func(ports string) string {
		path := filepath.Join(dir, "ipcad.conf")
		text := ports + `interface wi0;
rsh enable at 127.0.0.1;
rsh root@127.0.0.1 admin;
dumpfile = ipcad.dump;
chroot = ` + dir + `;
memory_limit = 1m;
netflow export destination 127.0.0.1 9995
`
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stored := t.TempDir()
	flowCapture := startCommand(t, "listening", near.command(filepath.Join(bin, "collector"), "-w", stored, "-l", "127.0.0.1:9995"))
	dump := filepath.Join(dir, "ipcad.dump")
	socket := filepath.Join(dir, "probe.sock")
	ipcad := func(ports string) *process {
		return startCommand(t, "msg=metering", near.command(filepath.Join(bin, "probe"), "--ipcad-conf", conf(ports), "--import", dump, "--save", dump, "--control", socket))
	}
	rsh := func(words ...string) string {
		t.Helper()
		cmd := near.command(client, append([]string{"localhost"}, words...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("rsh %v: %v", words, err)
		}
		return string(out)
	}
	ended := func(p *process) {
		t.Helper()
		select {
		case err := <-p.done:
			if err != nil {
				t.Fatalf("%v\n%s", err, p.log())
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the probe does not end\n%s", p.log())
		}
	}

	p := ipcad("")
	if log := p.log(); !strings.Contains(log, "ipcad.conf: netflow export destination: --export 127.0.0.1:9995\n") || !strings.Contains(log, "no accounting table to import") {
		t.Errorf("at the start:\n%s", log)
	}
	for range 5 {
		s.send(t, datagram("216.218.215.226", "131.106.57.173", 17, 53, 1025, 554))
	}
	s.send(t, datagram("131.106.57.229", "255.255.255.255", 17, 68, 67, 328), datagram("216.218.215.226", "131.106.57.173", 17, 53, 1025, 559),
		datagram("131.106.57.229", "255.255.255.255", 17, 68, 67, 328))
	eventually(t, func() bool { return strings.Contains(rsh("stat"), "received 8,") }, func() string { return rsh("stat") })

	const statistics = `Interface wi0: received 8, 5 m average ~ bytes/sec, ~ pkts/sec, dropped 0
Flow entries made: 2
NetFlow cached flows: 2
Memory usage: 0% (176 from 1048576)
Free slots for rsh clients: 9
IPCAD uptime is ~
~ uptime is ~
`
	const table = `
   Source           Destination              Packets               Bytes
 131.106.57.229   255.255.255.255                  2                 656
 216.218.215.226  131.106.57.173                   6                3329

Accounting data age is     0
Accounting data age exact ~
Accounting data saved ~
`
	uptimes := func(text string) string { // the machine's has blanks of its own
		return regexp.MustCompile(`uptime is .*`).ReplaceAllString(text, "uptime is x")
	}
	like(t, "rsh localhost stat", uptimes(rsh("stat")), statistics)
	like(t, "rsh localhost show interface wi0", rsh("show", "interface", "wi0"), `wi0 is up, line protocol is up
  Hardware is Ethernet, address is 0004.e229.3bba
  Internet address is 131.106.57.173 255.255.248.0
  IP broadcast address is 131.106.63.255
  Encapsulation Ethernet, loopback not set
  MTU 1500
  5 minute average rate ~ bits/sec, ~ packets/sec
     8 packets input, ~ bytes, 0 no buffer
     0 input errors, 0 CRC, 0 frame, 0 overrun, 0 ignored, 0 abort
     ~ packets output, ~ bytes, 0 underruns
     0 output errors, 0 collisions, 0 interface resets, 0 restarts
     0 output drops
`)
	like(t, "rsh localhost show ip accounting", uptimes(rsh("show", "ip", "accounting")), table+statistics)
	like(t, "probe ctl", complete(t, "ip", "netns", "exec", string(near), filepath.Join(bin, "probe"), "ctl", "--control", socket, "sh", "ip", "acco", "che"), `
   Source           Destination              Packets               Bytes

Accounting data age is     0
Accounting data age exact ~
Accounting data saved ~
`)
	if got := rsh("clear", "ip", "accounting"); got != "IP accounting cleared\n" {
		t.Errorf("clear: %q", got)
	}
	like(t, "rsh localhost show ip accounting checkpoint", rsh("show", "ip", "accounting", "checkpoint"), table)
	if got := rsh("dump", "/tmp/x"); !strings.HasPrefix(got, "Permission denied") {
		t.Errorf("dump of a file anywhere: %q", got)
	}
	s.send(t, datagram("192.168.75.1", "255.255.255.255", 1, 0, 0, 60))
	eventually(t, func() bool { return strings.Contains(rsh("stat"), "received 9,") }, func() string { return rsh("stat") })
	if got := rsh("shutdown"); got != "Shutdown process started\n" {
		t.Errorf("shutdown: %q", got)
	}
	ended(p)

	p = ipcad("capture-ports enable;\n")
	if !strings.Contains(p.log(), "elements=1") {
		t.Errorf("the saved table was not imported:\n%s", p.log())
	}
	s.send(t, datagram("0.0.0.0", "224.0.0.1", 2, 0, 0, 28), datagram("207.171.166.48", "131.106.57.173", 6, 80, 53255, 1400))
	eventually(t, func() bool { return strings.Contains(rsh("stat"), "received 2,") }, func() string { return rsh("stat") })
	got, _, _ := strings.Cut(rsh("show", "ip", "accounting"), "\nAccounting")
	if want := `
   Source           Destination    Packets        Bytes  SrcPt DstPt Proto   IF
 207.171.166.48   131.106.57.173         1         1400     80 53255     6  wi0
 0.0.0.0          224.0.0.1              1           28      -     -     2  wi0
 192.168.75.1     255.255.255.255        1           60      -     -     -    -
`; got != want {
		t.Errorf("with capture-ports:\n%s\nwant\n%s", got, want)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	ended(p)

	eventually(t, func() bool { return stat(t, stored).Flows == 5 }, func() string { return fmt.Sprintf("%+v", stat(t, stored)) })
	flowCapture.stop()
	if got := stat(t, stored); got.Packets != 11 || got.Bytes != 656+3329+60+28+1400 {
		t.Errorf("stored: %+v", got)
	}
	flows := run(t, "flowcat", stored)
	printed, _, err := try(t, flows, "flowprint")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{`216\.218\.215\.226 +131\.106\.57\.173 +17 +53 +1025 +3329 +6`, `0\.0\.0\.0 +224\.0\.0\.1 +2 +\d+ +\d+ +28 +1`} {
		if !regexp.MustCompile(row).MatchString(printed) {
			t.Errorf("flowcat | flowprint has no line like %s:\n%s", row, printed)
		}
	}
}
