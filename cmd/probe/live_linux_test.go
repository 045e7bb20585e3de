package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/capture/capturetest"
)

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// transmit sends UDP packets of 100 bytes, of 200 flows of so many hosts, on an interface.
func transmit(t *testing.T, name string, packets int) {
	t.Helper()
	head := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 86, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 66, 0, 0}
	frames := make([][]byte, packets)
	for n := range frames {
		frames[n] = append(head, make([]byte, 100-len(head))...)
		binary.BigEndian.PutUint16(frames[n][34:], uint16(n%200))
		frames[n][29] = byte(n % 200)
	}
	for burst := range slices.Chunk(frames, 50) {
		capturetest.Send(t, name, burst...)
		time.Sleep(time.Millisecond)
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

// TestShutIn: interfaces that come, or come back, when the process has given up its privileges are metered, by one ring or
// several, and sent on.
func TestShutIn(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "out0", "receiver")
	for _, args := range [][]string{
		{"-i", "ppp*"}, {"-i", "ppp*", "--rings", "3"}, {"-i", "ppp0", "--persist"}, {"-i", "ppp0", "-i", "tun*", "--persist", "--rings", "3"},
	} {
		named := slices.Contains(args, "--persist")
		if named {
			capturetest.Veth(t, "ppp0", "far0")
		}
		p := launch(t, append(args, "--tap", "out0", "--summary", "json")...)
		if !named {
			p.wait(t, "no interface matches yet")
		}
		p.wait(t, "shut in")
		const lives = 3
		for life := range lives {
			if !named || life > 0 {
				capturetest.Veth(t, "ppp0", "far0")
			}
			p.wait(t, "msg=metering interface=ppp0")
			arrivals := capturetest.Count(t, "ppp0")
			transmit(t, "far0", 100)
			eventually(t, "all that was sent has arrived", func() bool { return arrivals.Total(t) == 100 })
			capturetest.IP(t, "link", "del", "ppp0")
			p.wait(t, "is gone")
			p.mu.Lock()
			p.log.Reset()
			p.mu.Unlock()
		}
		s := p.end(t)
		if len(s.Sources) != 1 || s.Sources[0].Packets != lives*100 || s.Sources[0].Returns != lives-1 || s.Tap.Sent != lives*100 ||
			s.Packets.Metered != lives*100 || s.Flows.Ended.Flows != lives*100 {
			t.Errorf("%v: %+v %+v %+v %+v\n%s", args, s.Sources, s.Packets, s.Flows, s.Tap, p.logged())
		}
	}
}

// TestSIGHUP: a process that is shut in, as another user, takes over what has changed in its settings, and says what needs
// a restart, and what is wrong.
func TestSIGHUP(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "sender")
	collectors := [2]*net.UDPConn{}
	for i := range collectors {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		collectors[i] = conn
	}
	one, two := collectors[0].LocalAddr().String(), collectors[1].LocalAddr().String()
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for nobody
		t.Fatal(err)
	}
	file := filepath.Join(dir, "probe.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil { // as editors do
			t.Fatal(err)
		}
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	told := func() string {
		t.Helper()
		b := make([]byte, 1000)
		notify.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := notify.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}

	base := "interface: [in0]\nring-size: 8MiB\n"
	write(base + "export: ['" + one + "']\n")
	p := launch(t, "--config", file, "--summary", "json", "--inactive", "100ms")
	if s := told(); !strings.HasPrefix(s, "READY=1\nSTATUS=metering in0") {
		t.Errorf("told %q", s)
	}
	p.wait(t, "msg=metering")
	if strings.Contains(p.logged(), "cannot be read again") || !strings.Contains(p.logged(), "seccomp") {
		t.Errorf("log:\n%s", p.logged())
	}
	reload := func(text, want string) {
		t.Helper()
		write(text)
		p.mu.Lock()
		p.log.Reset()
		p.mu.Unlock()
		_ = p.Process.Signal(syscall.SIGHUP)
		if s := told(); !strings.HasPrefix(s, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("told %q", s)
		}
		if s := told(); !strings.HasPrefix(s, "READY=1\n") {
			t.Errorf("told %q", s)
		}
		for until := time.Now().Add(5 * time.Second); !strings.Contains(p.logged(), want); time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("reload: want %q in the log:\n%s", want, p.logged())
			}
		}
	}
	const each = 1000
	transmit(t, "sender", each)
	sent := uint64(each)
	for round := range 20 {
		done := make(chan bool)
		go func() { transmit(t, "sender", each); close(done) }()
		sent += each
		text := base + "active: " + []string{"1s", "200ms", "50ms"}[round%3] + "\n"
		if round%2 == 0 {
			text += "export: ['" + one + "', '" + two + "']\nmax-rate: 20000\n"
			reload(text, "changed=\"export, active, max-rate\"")
		} else {
			reload(text+"export: ['"+one+"']\n", "changed=\"export, active, max-rate\"")
		}
		<-done
	}
	good := base + "export: ['" + one + "']\nactive: 50ms\n"
	reload(good, "changed=active")
	reload(good, "nothing has changed")
	reload(good+"inactive: 1h\n", "nothing has changed") // the command line wins
	reload(good+"key: [src_addr]\nring-size: 4MiB\ntemplate-packets: 5\n", "level=ERROR")
	reload("interface: [in0, lo]\nring-size: 4MiB\nexport: ['"+one+"']\nactive: 50ms\ntemplate-packets: 5\n", "changed=template-packets")
	p.wait(t, `needs a restart: interface, ring-size`)
	reload(good+"activ: 3s\n", `unknown key \"activ\"`)
	reload(good+"export: [", "level=ERROR")
	reload(base+"export: ['"+one+"', 'tcp://"+two+"']\nactive: 50ms\n", "needs a restart: export")
	reload(good+"verbose: true\n", "changed=verbose")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.log.Reset()
	p.mu.Unlock()
	_ = p.Process.Signal(syscall.SIGHUP)
	p.wait(t, "no such file")

	s := p.end(t)
	in := s.Sources[0]
	if in.Interface == nil || in.Packets != in.Interface.RxPackets || in.Packets > sent || in.Packets < sent/2 || in.Dropped != 0 ||
		s.Packets.Metered != in.Packets || s.Flows.Ended.Packets != in.Packets {
		t.Errorf("%d packets sent; %+v %+v %+v", sent, in, in.Interface, s.Packets)
	}
	c := s.Export.Collectors
	if len(c) != 2 || c[0].Exported.Packets != in.Packets || c[1].Exported.Packets == 0 || c[1].Exported.Packets+c[1].Missed.Packets != in.Packets {
		t.Errorf("%+v", c)
	}
}

// TestSIGHUPWithoutFile: a daemon does not die of it.
func TestSIGHUPWithoutFile(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "sender")
	p := launch(t, "-i", "in0", "--summary", "json", "--ring-size", "2MiB")
	p.wait(t, "msg=metering")
	for range 3 {
		_ = p.Process.Signal(syscall.SIGHUP)
	}
	p.wait(t, "there is nothing to reload")
	transmit(t, "sender", 10)
	time.Sleep(100 * time.Millisecond)
	if s := p.end(t); s.Packets.Read != 10 {
		t.Errorf("%+v", s.Packets)
	}
}

// TestLateRoute: a process that is shut in finds the way to a collector to which there was no route at the start. What was
// lost until then is counted.
func TestLateRoute(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "sender")
	const host = "198.51.100.1"
	p := launch(t, "-i", "in0", "-e", host+":2055", "--inactive", "100ms", "--summary", "json")
	p.wait(t, "there is no route yet")
	p.wait(t, "shut in")
	transmit(t, "sender", 200)
	p.wait(t, "sending failed")
	capturetest.IP(t, "address", "add", host+"/32", "dev", "lo")
	collector, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host), Port: 2055})
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	b := make([]byte, 2000)
	eventually(t, "flows arrive", func() bool {
		transmit(t, "sender", 50)
		collector.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := collector.Read(b)
		return err == nil
	})
	if version, set := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[16:]); version != 10 || set != 2 {
		t.Errorf("version %d, first set %d: want templates of IPFIX", version, set)
	}
	c := p.end(t).Export.Collectors[0]
	if c.Lost["unreachable"].Flows == 0 || c.Errors["unreachable"] == 0 || c.Exported.Flows == 0 || len(c.Lost) != 1 {
		t.Errorf("%+v\n%s", c, p.logged())
	}
}
