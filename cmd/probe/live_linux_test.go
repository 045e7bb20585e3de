package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe"
)

// alone reports whether the test is in a process of its own in a network namespace of its own; if not it runs itself so,
// and the caller returns.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("PROBE_TEST_ALONE") == t.Name() {
		ip(t, "link", "set", "lo", "up")
		return true
	}
	if unix.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and packet sockets")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "PROBE_TEST_ALONE="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("no network namespaces: %v", err)
	}
	if err != nil {
		t.Errorf("in its own process: %v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Skipf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// veth makes a pair of interfaces without any traffic of their own.
func veth(t *testing.T, near, far string) {
	t.Helper()
	ip(t, "link", "add", near, "type", "veth", "peer", "name", far)
	for _, name := range []string{near, far} {
		ip(t, "link", "set", name, "addrgenmode", "none", "up")
	}
	for _, name := range []string{near, far} {
		eventually(t, name+" is up", func() bool {
			i, err := net.InterfaceByName(name)
			return err == nil && i.Flags&net.FlagRunning != 0
		})
	}
	time.Sleep(20 * time.Millisecond) // the queues start a moment later
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// transmit sends UDP packets on an interface.
func transmit(t *testing.T, name string, packets int) {
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
	frame := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 86, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 66, 0, 0}
	frame = append(frame, make([]byte, 100-len(frame))...)
	for n := range packets {
		binary.BigEndian.PutUint16(frame[34:], uint16(n%200)) // so many flows
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
			t.Fatal(err)
		}
		if n%50 == 49 {
			time.Sleep(time.Millisecond)
		}
	}
}

// process is the program, with everything that main does.
type process struct {
	*exec.Cmd
	mu     sync.Mutex
	log    bytes.Buffer
	stdout bytes.Buffer
}

// Write takes what it logs.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	name := filepath.Join(t.TempDir(), "probe")
	if err := os.Symlink(os.Args[0], name); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(name, args...)}
	p.Stdout, p.Stderr = &p.stdout, p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// wait waits for a word in the log.
func (p *process) wait(t *testing.T, word string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("log:\n%s", p.logged())
		}
	}()
	eventually(t, "log: "+word, func() bool { return strings.Contains(p.logged(), word) })
}

// end ends the program in order, and returns its summary, which adds up.
func (p *process) end(t *testing.T) probe.Summary {
	t.Helper()
	_ = p.Process.Signal(syscall.SIGTERM)
	err := p.Wait()
	var s probe.Summary
	if err == nil {
		err = json.Unmarshal(p.stdout.Bytes(), &s)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, p.logged())
	}
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	return s
}

// TestShutIn: interfaces that come when the process has given up its privileges are metered and sent on.
func TestShutIn(t *testing.T) {
	if !alone(t) {
		return
	}
	veth(t, "out0", "receiver")
	p := launch(t, "-i", "ppp*", "--tap", "out0", "--summary", "json")
	p.wait(t, "no interface matches yet")
	p.wait(t, "shut in")
	for range 2 {
		veth(t, "ppp0", "far0")
		p.wait(t, "msg=metering interface=ppp0")
		transmit(t, "far0", 100)
		time.Sleep(200 * time.Millisecond)
		ip(t, "link", "del", "ppp0")
		p.wait(t, "is gone")
		p.mu.Lock()
		p.log.Reset()
		p.mu.Unlock()
	}
	s := p.end(t)
	if len(s.Sources) != 1 || s.Sources[0].Packets != 200 || s.Sources[0].Returns != 1 || s.Tap.Sent != 200 || s.Packets.Metered != 200 {
		t.Errorf("%+v %+v %+v\n%s", s.Sources, s.Packets, s.Tap, p.logged())
	}
}
