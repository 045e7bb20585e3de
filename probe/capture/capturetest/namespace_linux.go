package capturetest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Alone reports whether the test is in a process of its own in a network namespace of its own; if not it runs itself so,
// and the caller returns.
func Alone(t *testing.T) bool {
	t.Helper()
	const mark = "CAPTURE_TEST_ALONE"
	if os.Getenv(mark) == t.Name() {
		IP(t, "link", "set", "lo", "up")
		return true
	}
	if unix.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and packet sockets")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("no network namespaces: %v", err)
	}
	if err != nil || bytes.Contains(out, []byte("--- SKIP")) {
		t.Logf("%s", out)
	}
	if err != nil {
		t.Errorf("in its own process: %v", err)
	}
	return false
}

// IP runs the command ip, in the namespace of the calling thread.
func IP(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Skipf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Veth makes a pair of interfaces without any traffic of their own, and returns their ifIndexes.
func Veth(t *testing.T, near, far string) (int, int) {
	t.Helper()
	IP(t, "link", "add", near, "type", "veth", "peer", "name", far)
	for _, name := range []string{near, far} {
		IP(t, "link", "set", name, "addrgenmode", "none", "up")
	}
	return Up(t, near, far)
}

// Up waits until frames go from one end of a pair to the other, and returns their ifIndexes.
func Up(t *testing.T, near, far string) (int, int) {
	t.Helper()
	a, b := running(t, near), running(t, far)
	IP(t, "link", "set", near, "up") // no change: but the queues start before the lock is free that changes take
	return a, b
}

// running waits until an interface has noticed that its peer is up: what is sent before is lost.
func running(t *testing.T, name string) int {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		i, err := net.InterfaceByName(name)
		switch {
		case err != nil:
			t.Fatal(err)
		case i.Flags&net.FlagRunning != 0:
			return i.Index
		case time.Now().After(until):
			t.Fatalf("%s does not come up", name)
		}
	}
}

// Send puts frames on an interface.
func Send(t *testing.T, name string, frames ...[]byte) {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, frame := range frames {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
			t.Fatal(err)
		}
	}
}

// Arrivals counts the frames that come by an interface.
type Arrivals struct {
	fd    int
	total int
}

// Count begins to.
func Count(t *testing.T, name string) *Arrivals {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	all := uint16(unix.ETH_P_ALL)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: i.Index}); err != nil {
		t.Fatal(err)
	}
	return &Arrivals{fd: fd}
}

// Total is how many have come by.
func (a *Arrivals) Total(t *testing.T) int {
	t.Helper()
	n, err := unix.GetsockoptTpacketStats(a.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS) // with those that the socket had no room for
	if err != nil {
		t.Fatal(err)
	}
	a.total += int(n.Packets)
	return a.total
}
