package test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a peer's program that runs until it is stopped.
type program struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  output
	done chan error
}

// output keeps what a program prints, on both of its outputs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// launch starts a program and waits until it is ready. Times that it prints are in UTC.
func launch(t testing.TB, ready func(*program) bool, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(name, args...), done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "TZ=UTC")
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	eventually(t, func() bool {
		select {
		case err := <-p.done:
			t.Fatalf("%s ended at once: %v\n%s", p.cmd.Args, err, p.out.String())
		default:
		}
		return ready(p)
	}, func() string { return fmt.Sprintf("%s is not ready\n%s", p.cmd.Args, p.out.String()) })
	return p
}

// stop asks the program to end and returns what it has printed. Peers' exit statuses after a signal differ.
func (p *program) stop(signal syscall.Signal) string {
	p.t.Helper()
	p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.cmd.Process.Kill()
		p.t.Fatalf("%s does not stop\n%s", p.cmd.Args, p.out.String())
	}
	return p.out.String()
}

// complete runs a peer's program to its end and returns what it has printed.
func complete(t testing.TB, name string, args ...string) string {
	t.Helper()
	var out output
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer watch.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Args, err, out.String())
	}
	return out.String()
}

// eventually waits for what another program does. The machine may be busy: the time is generous, and no test result.
func eventually(t testing.TB, done func() bool, complaint func() string) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(complaint())
		}
	}
}

// udpSocket finds the socket bound to a UDP port, as the process sees it in its network namespace.
func udpSocket(pid, port int) (receiveQueue uint64, bound bool) {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/udp", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			continue
		}
		_, queue, _ := strings.Cut(f[4], ":")
		receiveQueue, err = strconv.ParseUint(queue, 16, 64)
		return receiveQueue, err == nil
	}
	return 0, false
}

// listens is ready for launch: a UDP port is bound.
func listens(port int) func(*program) bool {
	return func(p *program) bool { _, bound := udpSocket(p.cmd.Process.Pid, port); return bound }
}

// drained waits until the program has read all that was sent to its port. What it read last it may still be working on.
func (p *program) drained(port int) {
	p.t.Helper()
	eventually(p.t, func() bool { n, _ := udpSocket(p.cmd.Process.Pid, port); return n == 0 },
		func() string { return fmt.Sprintf("%s does not read\n%s", p.cmd.Args, p.out.String()) })
	time.Sleep(300 * time.Millisecond)
}

// needsProc skips where the kernel does not say which ports are bound.
func needsProc(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/proc/net/udp"); err != nil {
		t.Skipf("the peers are watched by /proc: %v", err)
	}
}

// softflowd reads a capture and exports it to address; it returns what softflowd says that it has sent. It keeps no flow
// back and ends none early.
func softflowd(t testing.TB, file, address string, args ...string) (exported tally, datagrams uint64) {
	t.Helper()
	// Without -c none it waits for ever on its control socket.
	out := complete(t, "softflowd", append([]string{"-d", "-r", file, "-n", address, "-p", "none", "-c", "none", "-m", "100000"}, args...)...)
	_, line, _ := strings.Cut(out, "Flows exported: ")
	var records, failures uint64
	if _, err := fmt.Sscanf(line, "%d (%d records) in %d packets (%d failures)", &exported.Flows, &records, &datagrams, &failures); err != nil || failures > 0 {
		t.Fatalf("softflowd: %v\n%s", err, out)
	}
	_, line, _ = strings.Cut(out, "Packets processed: ")
	if _, err := fmt.Sscanf(line, "%d", &exported.Packets); err != nil {
		t.Fatalf("softflowd: %v\n%s", err, out)
	}
	// The bytes are told by protocol: "  tcp (6):   668514   1864 ...".
	_, table, _ := strings.Cut(out, "Per-protocol statistics:")
	for line := range strings.Lines(table) {
		_, figures, ok := strings.Cut(line, "):")
		if f := strings.Fields(figures); ok && len(f) > 0 {
			n, err := strconv.ParseUint(f[0], 10, 64)
			if err != nil {
				t.Fatalf("softflowd: %v\n%s", err, out)
			}
			exported.Bytes += n
		}
	}
	return exported, datagrams
}

// pmacctd reads a capture and exports it to address; no timeout of it ends a flow of a few minutes.
func pmacctd(t testing.TB, file, address, version string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "pmacctd.conf")
	text := "daemonize: false\nplugins: nfprobe\naggregate: src_host,dst_host,src_port,dst_port,proto,tos,tcpflags\n" +
		"nfprobe_receiver: " + address + "\nnfprobe_version: " + version + "\n" +
		"nfprobe_timeouts: tcp=3600:maxlife=3600:udp=3600:icmp=3600:general=3600:expint=1\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	complete(t, "pmacctd", "-f", config, "-I", file)
}

func portOf(t testing.TB, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
