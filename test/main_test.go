package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is the folder with the programs under test.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "caprock-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./cmd/probe", "./cmd/collector", "./cmd/flowcat", "./cmd/flowprint", "./cmd/flowstat", "./cmd/flowpcap", "./test/flowblast")
		build.Dir = ".."
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// peer skips the test when a program of somebody else's is not installed.
func peer(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: scripts/setup peers installs it", name)
	}
	return path
}

// run runs one of our programs to its end and returns its standard output; it must succeed.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	stdout, stderr, err := try(t, "", program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// try runs one of our programs, stdin as its standard input, for at most two minutes.
func try(t testing.TB, stdin, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	if !watch.Stop() {
		t.Fatalf("%s %s does not end\n%s", program, strings.Join(args, " "), e.String())
	}
	return o.String(), e.String(), err
}

// freePort returns a UDP port of 127.0.0.1 that nobody had a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// process is a program of ours that runs until it is stopped.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	mu     sync.Mutex
	stderr strings.Builder
	done   chan error
}

// start runs program and waits until its standard error holds ready.
func start(t testing.TB, ready, program string, args ...string) *process {
	t.Helper()
	return startCommand(t, ready, exec.Command(filepath.Join(bin, program), args...))
}

func startCommand(t testing.TB, ready string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan error, 1)}
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	isReady := make(chan struct{})
	go func() {
		var once sync.Once
		for r := bufio.NewReader(pipe); ; {
			line, err := r.ReadString('\n')
			p.mu.Lock()
			p.stderr.WriteString(line)
			p.mu.Unlock()
			if strings.Contains(line, ready) {
				once.Do(func() { close(isReady) })
			}
			if err != nil {
				break
			}
		}
		p.done <- cmd.Wait()
	}()
	t.Cleanup(func() { cmd.Process.Kill() })
	select {
	case <-isReady:
	case err := <-p.done:
		t.Fatalf("%s ended at once: %v\n%s", cmd.Args, err, p.log())
	case <-time.After(time.Minute): // machines that test are busy
		t.Fatalf("%s does not say %q\n%s", cmd.Args, ready, p.log())
	}
	return p
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// stop ends the process as an operator does, and wants success.
func (p *process) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Fatalf("%s: %v\n%s", p.cmd.Args, err, p.log())
		}
	case <-time.After(time.Minute):
		p.cmd.Process.Kill()
		p.t.Fatalf("%s does not stop\n%s", p.cmd.Args, p.log())
	}
}

// kill ends the process as a power cut does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// collector starts a collector on a port that the system chooses and returns it with the address to export to.
func collector(t testing.TB, dir string, args ...string) (*process, string) {
	t.Helper()
	p := start(t, "listening", "collector", append([]string{"-w", dir, "-l", "127.0.0.1:0"}, args...)...)
	_, address, _ := strings.Cut(p.log(), "address=")
	address, _, _ = strings.Cut(address, " ")
	return p, address
}

// sums is what flowstat -o ndjson prints without --by.
type sums struct {
	Flows, Packets, Bytes uint64
	ReversePackets        uint64 `json:"reverse_packets"`
	ReverseBytes          uint64 `json:"reverse_bytes"`
	First, Last           *string
}

// stat reads the totals of what is stored.
func stat(t testing.TB, args ...string) sums {
	t.Helper()
	var s sums
	out := run(t, "flowstat", append([]string{"-o", "ndjson"}, args...)...)
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(&s); err != nil {
		t.Fatalf("flowstat prints %q: %v", out, err)
	}
	if err := d.Decode(new(sums)); err != io.EOF {
		t.Fatalf("flowstat prints more than one total: %q", out)
	}
	return s
}
