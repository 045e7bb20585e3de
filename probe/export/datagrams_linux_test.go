package export

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// polled returns the descriptors that the runtime's poller knows, as the kernel tells (proc_pid_fdinfo(5)).
func polled(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil || len(files) == 0 {
		t.Skip("no /proc here")
	}
	known := map[string]bool{}
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil { // one may be closed by now
			for _, m := range regexp.MustCompile(`tfd: *(\d+)`).FindAllStringSubmatch(string(text), -1) {
				known[m[1]] = true
			}
		}
	}
	return known
}

func TestThePollerDoesNotKnowTheSocket(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(polled(t)) == 0 {
		t.Fatal("the poller knows no descriptor, not even that of a net.UDPConn")
	}
	s, err := dialUDP(c.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if fd := s.(*datagrams).fd; polled(t)[fmt.Sprint(fd)] {
		t.Errorf("the poller knows descriptor %d", fd)
	}
	if n, err := s.Write([]byte("flows")); n != 5 || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
	b := make([]byte, 9)
	n, from, err := c.ReadFrom(b)
	if string(b[:n]) != "flows" || err != nil || from.String() != s.LocalAddr().String() || s.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("received %q from %v, error %v; the socket is of %v, for %v", b[:n], from, err, s.LocalAddr(), s.RemoteAddr())
	}
}

// A socket that takes nothing any more: of a pair of which nobody reads the other end.
func TestWriteWaitsForRoomAndGivesUp(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	const wait = 50 * time.Millisecond
	fd, err := duplicate(uintptr(pair[0]), wait)
	if err != nil {
		t.Fatal(err)
	}
	d := &datagrams{fd: fd}
	defer d.Close()
	var took time.Duration
	for err == nil {
		began := time.Now()
		_, err = d.Write(make([]byte, 1000))
		took = time.Since(began)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || faultOf(err) != FaultBlocked || took < wait {
		t.Errorf("gave up after %v with %v, fault %v", took, err, faultOf(err))
	}
	if _, err := unix.Read(pair[1], make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("room")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if _, err := d.Write(make([]byte, 1<<20)); faultOf(err) != FaultTooLong || !strings.Contains(fmt.Sprint(err), "write") {
		t.Errorf("a datagram too long: %v", err)
	}
}

func TestWriteManyStopsAtTheOneThatFails(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := dialUDP(c.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ps := [][]byte{[]byte("one"), []byte("two"), make([]byte, 1<<17), []byte("three")}
	if n, err := s.WriteMany(ps); n != 2 || err != nil {
		t.Errorf("sent %d, error %v; want the two before the one that is too long", n, err)
	}
	if n, err := s.WriteMany(ps[2:]); n != 0 || faultOf(err) != FaultTooLong {
		t.Errorf("sent %d, error %v; want that of the one too long", n, err)
	}
	if n, err := s.WriteMany(ps[3:]); n != 1 || err != nil {
		t.Errorf("sent %d, error %v", n, err)
	}
	b := make([]byte, 9)
	for _, want := range []string{"one", "two", "three"} {
		if n, _, err := c.ReadFrom(b); string(b[:n]) != want || err != nil {
			t.Errorf("received %q, error %v, want %q", b[:n], err, want)
		}
	}
}
