//go:build linux

package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/test/trace"
)

// namespace is a network namespace with an interface, link, whose other end is in another one.
type namespace string

// wire is what the interface of either end is called.
const wire = "wire0"

var namespaces atomic.Uint32

// cable makes two network namespaces with a veth pair between them, on which nobody speaks uninvited.
func cable(t *testing.T) (near, far namespace) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and packet sockets")
	}
	peer(t, "ip")
	for _, end := range []*namespace{&near, &far} {
		*end = namespace(fmt.Sprintf("caprock-test-%d-%d", os.Getpid(), namespaces.Add(1)))
		if out, err := exec.Command("ip", "netns", "add", string(*end)).CombinedOutput(); err != nil {
			t.Skipf("no network namespaces: %v: %s", err, out)
		}
		name := string(*end)
		t.Cleanup(func() { complete(t, "ip", "netns", "delete", name) })
	}
	near.ip(t, "link", "set", "lo", "up")
	far.ip(t, "link", "set", "lo", "up")
	plug(t, near, far)
	return near, far
}

// plug puts the wire between two namespaces.
func plug(t *testing.T, near, far namespace) {
	t.Helper()
	near.ip(t, "link", "add", wire, "type", "veth", "peer", "name", wire, "netns", string(far))
	for _, end := range []namespace{near, far} {
		end.ip(t, "link", "set", wire, "addrgenmode", "none", "up") // no IPv6 address, so no neighbour discovery
	}
	near.waitUp(t)
}

func (n namespace) ip(t *testing.T, args ...string) string {
	t.Helper()
	return complete(t, "ip", append([]string{"-n", string(n)}, args...)...)
}

// waitUp waits until frames go through.
func (n namespace) waitUp(t *testing.T) {
	t.Helper()
	var out string
	eventually(t, func() bool {
		out = n.ip(t, "-o", "link", "show", wire)
		return strings.Contains(out, "state UP")
	}, func() string { return "the interface does not come up: " + out })
}

// command runs a program in the namespace, without a process between: signals reach it.
func (n namespace) command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", string(n), name}, args...)...)
}

// collector starts a collector in the namespace.
func (n namespace) collector(t *testing.T, dir string) *process {
	t.Helper()
	return startCommand(t, "listening", n.command(filepath.Join(bin, "collector"), "-w", dir, "-l", collectorAddress))
}

const collectorAddress = "127.0.0.1:2055" // the namespace is ours alone

// probe starts a probe on the namespace's interface. What it prints on standard output is whole when it has ended.
func (n namespace) probe(t *testing.T, args ...string) (p *process, stdout *bytes.Buffer) {
	t.Helper()
	cmd := n.command(filepath.Join(bin, "probe"), slices.Concat([]string{"-i", wire, "-e", collectorAddress, "--summary", "json"}, asExpected, args)...)
	stdout = new(bytes.Buffer)
	cmd.Stdout = stdout
	return startCommand(t, "metering", cmd), stdout
}

// sender puts frames on a namespace's interface.
type sender struct {
	fd    int
	index int
}

func (n namespace) sender(t *testing.T) *sender {
	t.Helper()
	s := &sender{fd: -1}
	opened := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which is in the namespace, ends with the goroutine
		opened <- s.open(n)
	}()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

func (s *sender) open(n namespace) error {
	ns, err := os.Open("/run/netns/" + string(n))
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	i, err := net.InterfaceByName(wire)
	if err != nil {
		return err
	}
	s.index = i.Index
	s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // of protocol 0: it receives nothing
	return err
}

// replay sends all frames of a capture, less than rate a second. It does not catch up: the kernel's backlog is short.
func (s *sender) replay(t *testing.T, path string, rate int) (sent uint64) {
	t.Helper()
	const burst = 20
	frames(t, path, func(f pcapfile.Frame) {
		for {
			err := unix.Sendto(s.fd, f.Data, 0, &unix.SockaddrLinklayer{Ifindex: s.index})
			if err == nil {
				break
			}
			if err != unix.ENOBUFS && err != unix.EINTR {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if sent++; sent%burst == 0 {
			time.Sleep(burst * time.Second / time.Duration(rate))
		}
	})
	// On a busy machine the kernel hands frames over later than it takes them: what the socket still holds is under way.
	queued := -1
	eventually(t, func() bool {
		var err error
		queued, err = unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
		return err == nil && queued == 0
	}, func() string { return fmt.Sprintf("%d bytes are not handed over", queued) })
	return sent
}

// liveSource is what a probe's summary says of an interface.
type liveSource struct {
	Name             string
	Packets, Dropped uint64
	Downs            uint64
	Error            string
	Interface        struct {
		RxPackets uint64 `json:"rx_packets"`
		RxErrors  uint64 `json:"rx_errors"`
		RxDropped uint64 `json:"rx_dropped"`
	} `json:"interface_counters"`
}

// checkLive is checkSummary, and returns what the summary says of the only interface.
func checkLive(t *testing.T, stdout *bytes.Buffer, p *process, stored sums) liveSource {
	t.Helper()
	s := checkSummary(t, stdout.String(), p.log(), stored)
	var live struct{ Sources []liveSource }
	if err := json.Unmarshal(stdout.Bytes(), &live); err != nil || len(live.Sources) != 1 {
		t.Fatalf("%v: %+v", err, live)
	}
	source := live.Sources[0]
	if source.Name != wire || source.Packets != s.Packets.Read || source.Dropped != s.Packets.Dropped {
		t.Errorf("source %+v of packets %+v", source, s.Packets)
	}
	return source
}

// TestLivePathIsTheFilePath replays a capture over a wire to a probe and wants the flows that the probe makes of the file.
func TestLivePathIsTheFilePath(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	near, far := cable(t)
	path, want := generate(t, trace.Config{Packets: 50_000, Flows: 5000, Start: time.Unix(1_700_000_000, 0), Span: time.Minute, Snaplen: 2048, Seed: 8})

	fromFile := t.TempDir()
	sink, address := collector(t, fromFile)
	run(t, "probe", append([]string{"-r", path, "-e", address}, asExpected...)...)
	sink.stop()

	live := t.TempDir()
	sink = far.collector(t, live)
	p, stdout := far.probe(t)
	sent := near.sender(t).replay(t, path, 20_000)
	p.stop()
	r := ended(t, sink)

	f, l := stat(t, fromFile), stat(t, live)
	if got := (tally{l.Flows, l.Packets, l.Bytes}); got != want.total() || got != (tally{f.Flows, f.Packets, f.Bytes}) {
		t.Errorf("%+v live, %+v from the file, want %+v", l, f, want.total())
	}
	source := checkLive(t, stdout, p, l)
	if source.Packets != sent || source.Dropped != 0 || source.Interface.RxPackets != sent || source.Interface.RxDropped != 0 || source.Error != "" {
		t.Errorf("%d packets sent, the probe says %+v", sent, source)
	}
	r.clean(t, l.Flows)
	want.compare(t, tableOf(t, stored(t, fromFile)), tolerance{time: time.Millisecond})
	want.compare(t, tableOf(t, stored(t, live)), tolerance{noTimes: true})
}

// watched is a wire with a probe at its far end, which exports to a collector there.
type watched struct {
	near, far namespace
	path      string // of a small trace, to be sent
	flows     flowTable
	dir       string // of the collector
	collector *process
	probe     *process
	stdout    *bytes.Buffer // of the probe
}

// watch has a probe watch a wire.
func watch(t *testing.T, args ...string) *watched {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	w := &watched{dir: t.TempDir()}
	w.near, w.far = cable(t)
	w.path, w.flows = smallTrace(t)
	w.collector = w.far.collector(t, w.dir)
	w.probe, w.stdout = w.far.probe(t, args...)
	return w
}

// end stops the collector, when the probe has ended, and wants every packet of the trace so many times in what is stored. It
// returns how many flows these are in, and what the probe says of the interface.
func (w *watched) end(t *testing.T, times uint64) (flows uint64, source liveSource) {
	t.Helper()
	w.collector.stop()
	sum, want := stat(t, w.dir), w.flows.total()
	if sum.Packets != times*want.Packets || sum.Bytes != times*want.Bytes {
		t.Errorf("stored %+v, want every packet of %+v %d times", sum, want, times)
	}
	return sum.Flows, checkLive(t, w.stdout, w.probe, sum)
}

// TestInterfaceDown: an interface that goes down and comes up again does not end a probe; and SIGUSR1 has it say what it
// has seen so far.
func TestInterfaceDown(t *testing.T) {
	w := watch(t)
	s := w.near.sender(t)
	s.replay(t, w.path, 20_000)

	w.probe.cmd.Process.Signal(syscall.SIGUSR1)
	eventually(t, func() bool { return strings.Contains(w.probe.log(), "exported") },
		func() string { return "no summary after SIGUSR1\n" + w.probe.log() })
	for _, line := range []string{"source " + wire, "packets\n", "flows\n", "collector " + collectorAddress} {
		if !strings.Contains(w.probe.log(), line) {
			t.Errorf("the summary lacks %q\n%s", line, w.probe.log())
		}
	}

	w.far.ip(t, "link", "set", wire, "down")
	w.far.ip(t, "link", "set", wire, "up")
	w.near.waitUp(t)
	w.far.waitUp(t)
	s.replay(t, w.path, 20_000)
	w.probe.stop()
	flows, source := w.end(t, 2)
	if want := w.flows.total().Flows; flows != want {
		t.Errorf("%d flows, want %d", flows, want)
	}
	if source.Downs != 1 || source.Dropped != 0 || source.Error != "" {
		t.Errorf("the probe says %+v, want that the interface was down once", source)
	}
}

// TestInterfaceVanishes: an interface that is no more ends a probe with an error that says so. What came before is exported.
func TestInterfaceVanishes(t *testing.T) {
	w := watch(t)
	w.near.sender(t).replay(t, w.path, 20_000)
	w.far.ip(t, "link", "delete", wire)
	select {
	case err := <-w.probe.done:
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 1 || !strings.Contains(w.probe.log(), "interface "+wire) {
			t.Errorf("the probe ended with %v, want exit status 1\n%s", err, w.probe.log())
		}
	case <-time.After(time.Minute):
		t.Fatalf("the probe goes on without its interface\n%s", w.probe.log())
	}
	flows, source := w.end(t, 1)
	if want := w.flows.total().Flows; flows != want {
		t.Errorf("%d flows, want %d", flows, want)
	}
	if source.Error == "" {
		t.Errorf("the probe says %+v, want the error", source)
	}
}

// TestInterfaceComesBack: with --persist a probe that has given up its privileges waits for an interface that was removed,
// and meters the next one of that name, by all of its rings.
func TestInterfaceComesBack(t *testing.T) {
	for _, rings := range []string{"1", "3"} {
		t.Run("rings "+rings, func(t *testing.T) {
			w := watch(t, "--persist", "--rings", rings)
			said := func(times int, what string) {
				t.Helper()
				eventually(t, func() bool { return strings.Count(w.probe.log(), what) == times }, func() string {
					return fmt.Sprintf("the probe does not say %q %d times\n%s", what, times, w.probe.log())
				})
			}
			w.near.sender(t).replay(t, w.path, 20_000)
			w.far.ip(t, "link", "delete", wire)
			said(1, "the interface is gone")
			plug(t, w.near, w.far)
			said(2, "msg=metering")
			w.near.sender(t).replay(t, w.path, 20_000)
			w.probe.stop()
			if flows, source := w.end(t, 2); flows != 2*w.flows.total().Flows || source.Dropped != 0 || source.Error != "" {
				t.Errorf("%d flows of %d twice; the probe says %+v", flows, w.flows.total().Flows, source)
			}
		})
	}
}
