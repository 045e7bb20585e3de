package console

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// rsh is a client of the rcmd protocol. It returns what came on the main connection, the first byte included.
func rsh(t *testing.T, to netip.AddrPort, withErrors bool, user, command string) string {
	t.Helper()
	port := ""
	accepted := make(chan error, 1)
	if withErrors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port = fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				defer conn.Close()
			}
			accepted <- err
		}()
	} else {
		accepted <- nil
	}
	conn, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, port+"\x00")
	if err := <-accepted; err != nil { // as rcmd(3) waits before it goes on
		t.Fatal(err)
	}
	io.WriteString(conn, "me\x00"+user+"\x00"+command+"\x00")
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestRSH(t *testing.T) {
	rules := []Rule{{User: "root", Address: netip.MustParseAddr("127.0.0.1"), Level: Admin}, {User: "bad", Address: netip.MustParseAddr("127.0.0.1"), Level: Deny},
		{Address: netip.MustParseAddr("127.0.0.1"), Level: ViewOnly}}
	c, m := open(t, Config{RSH: RSH{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Access: rules, TTL: 3}})
	c.trust = true
	serve(t, c)
	to := netip.MustParseAddrPort(c.rsh[0].Addr().String())
	for _, withErrors := range []bool{false, true} {
		if got := rsh(t, to, withErrors, "anybody", "show ip accounting"); !strings.HasPrefix(got, "\x00\n   Source ") || !strings.Contains(got, "Free slots for rsh clients: 9\n") {
			t.Errorf("got %q", got)
		}
		if got := rsh(t, to, withErrors, "anybody", "clear ip accounting"); got != "\x00Permission denied: this needs the level default.\n" {
			t.Errorf("got %q", got)
		}
		if got := rsh(t, to, withErrors, "bad", "stat"); got != "\x00Permission denied.\n" {
			t.Errorf("got %q", got)
		}
		if got := rsh(t, to, withErrors, "anybody", "sh"); !strings.HasPrefix(got, "\x00ambiguous command") {
			t.Errorf("got %q", got)
		}
	}
	if got := rsh(t, to, true, "root", "shutdown"); got != "\x00Shutdown process started\n" {
		t.Errorf("got %q", got)
	}
	<-m.stop
	c.trust = false
}

// TestUnprivileged: who could be anybody gets no answer; and other machines need rules.
func TestUnprivileged(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:0")
	c, _ := open(t, Config{RSH: RSH{Listen: []netip.AddrPort{local}}})
	serve(t, c)
	conn, err := net.Dial("tcp", c.rsh[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "\x00me\x00me\x00stat\x00")
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	for _, bad := range []RSH{
		{Listen: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:514")}}, {TTL: 256}, {Timeout: -1},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is allowed", bad)
		}
	}
}

// TestSlots: ten clients that say nothing leave no room; when they are gone there is.
func TestSlots(t *testing.T) {
	c, _ := open(t, Config{RSH: RSH{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Timeout: 2 * time.Second}})
	c.trust = true
	serve(t, c)
	to := netip.MustParseAddrPort(c.rsh[0].Addr().String())
	for range maxClients {
		conn, err := net.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for c.clients.Load() < maxClients {
		time.Sleep(time.Millisecond)
	}
	if got := rsh(t, to, true, "me", "stat"); got != "\x00Too many clients.\n" {
		t.Errorf("got %q", got)
	}
	for c.clients.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	if got := rsh(t, to, true, "me", "stat"); !strings.Contains(got, "Free slots for rsh clients: 9\n") {
		t.Errorf("got %q", got)
	}
}

// FuzzHandshake: what is read is what was sent, and never more than the bounds.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte("1022\x00root\x00root\x00show ip accounting\x00"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("99999\x00a\x00b\x00c\x00"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bufio.NewReader(bytes.NewReader(sent))
		port, err := readPort(r)
		if err != nil {
			if !errors.Is(err, errHandshake) {
				t.Error(err)
			}
			return
		}
		h, err := readHandshake(r)
		if err != nil {
			return
		}
		if len(h.local) > maxUser || len(h.remote) > maxUser || len(h.command) > maxCommand {
			t.Errorf("%+v", h)
		}
		first, rest, _ := bytes.Cut(sent, []byte{0})
		if want := h.local + "\x00" + h.remote + "\x00" + h.command + "\x00"; !bytes.HasPrefix(rest, []byte(want)) {
			t.Errorf("sent %q, read %+v", sent, h)
		}
		if text := strings.TrimLeft(string(first), "0"); port != 0 && text != fmt.Sprint(port) || port == 0 && text != "" {
			t.Errorf("port %q read as %d", first, port)
		}
	})
}
