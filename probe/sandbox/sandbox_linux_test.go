package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/sandbox"
)

// TestMain is also what the tests start anew, to be shut in: there is no way back for a process.
func TestMain(m *testing.M) {
	if text := os.Getenv("SANDBOX_CHILD"); text != "" {
		var c child
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(c.run()); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is what a process that is shut in shall try.
type child struct {
	Config sandbox.Config
	Files  []string // to be read
	New    []string // to be made, renamed and removed
	Echo   string   // where a socket that was open before sends, and is answered
}

// result is what came of it, in the words of errno; "" is success.
type result struct {
	Report  *sandbox.Report
	Error   string
	Status  map[string]string // of /proc, taken at the end
	Threads []string          // "Uid CapEff NoNewPrivs Seccomp" of all threads, each different one once
	Tried   map[string]string
}

func (c child) run() *result {
	r := &result{Tried: map[string]string{}}
	before, err := net.Dial("udp", c.Echo)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Error = err.Error()
		return r
	}
	client, err := net.Dial("tcp", listener.Addr().String()) // waits to be accepted
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer client.Close()
	bound, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(bound, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		r.Error = err.Error()
		return r
	}
	status, err := os.Open("/proc/self/task")
	if err != nil {
		r.Error = err.Error()
		return r
	}
	// Threads that exist before are shut in too.
	var parked sync.WaitGroup
	release := make(chan struct{})
	for range 4 {
		parked.Add(1)
		go func() { runtime.LockOSThread(); parked.Done(); <-release }()
	}
	parked.Wait()
	c.Config.Readable = append(c.Config.Readable, "/proc")
	if r.Report, err = sandbox.Enter(c.Config); err != nil {
		r.Error = err.Error()
		return r
	}
	try := func(what string, f func() error) {
		r.Tried[what] = word(f())
	}
	// In other threads than the one that called Enter, old and new.
	var tries sync.WaitGroup
	tries.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		try("shadow", func() error { return open("/etc/shadow", os.O_RDONLY) })
		try("tmp", func() error { return open("/tmp", os.O_RDONLY) })
		try("write", func() error { return open("/tmp/.sandbox-test", os.O_WRONLY|os.O_CREATE) })
		try("exec", func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) })
		try("fork", func() error { _, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{}); return err })
		for name, s := range map[string][3]int{
			"udp": {unix.AF_INET, unix.SOCK_DGRAM, 0}, "tcp": {unix.AF_INET, unix.SOCK_STREAM, 0}, "unix": {unix.AF_UNIX, unix.SOCK_STREAM, 0},
			"packet": {unix.AF_PACKET, unix.SOCK_RAW, 0}, "raw": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
			"route": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, "netfilter": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER},
		} {
			try(name, func() error {
				fd, err := unix.Socket(s[0], s[1]|unix.SOCK_CLOEXEC, s[2])
				if err == nil {
					unix.Close(fd)
				}
				return err
			})
		}
		try("ptrace", func() error { return unix.PtraceAttach(os.Getppid()) })
		try("mount", func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") })
		try("root", func() error { return unix.Setresuid(0, 0, 0) })
		try("kill", func() error { return unix.Kill(os.Getppid(), 0) })
		try("signal", func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), 0) })
		try("program", func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		})
		try("listen", func() error { return unix.Listen(bound, 1) })
		try("chroot", func() error { return unix.Chroot("/") })
		try("unshare", func() error { return unix.Unshare(unix.CLONE_NEWUSER) })
	})
	tries.Wait()
	for _, name := range c.Files {
		try("read "+name, func() error { return open(name, os.O_RDONLY) })
	}
	for _, name := range c.New {
		try("make "+name, func() error {
			if err := os.WriteFile(name+".tmp", []byte("x"), 0o600); err != nil {
				return err
			}
			return os.Rename(name+".tmp", name)
		})
		try("remove "+name, func() error { return os.Remove(name) })
	}
	try("echo", func() error { return echo(before) })
	try("listener", func() error {
		conn, err := listener.Accept()
		if err == nil {
			_, err = io.WriteString(conn, "hello")
		}
		return err
	})
	// The runtime goes on: threads, garbage, timers, preemption.
	var busy sync.WaitGroup
	for range 8 {
		busy.Go(func() {
			for range 20 {
				_ = bytes.Repeat([]byte{1}, 1<<20)
				time.Sleep(time.Millisecond)
			}
		})
	}
	busy.Wait()
	runtime.GC()
	names, err := status.Readdirnames(-1)
	try("lookup", func() error {
		_, err := (&net.Resolver{PreferGo: true}).LookupNetIP(context.Background(), "ip", "localhost")
		return err
	})
	try("threads", func() error { return err })
	for _, n := range names {
		text, err := os.ReadFile("/proc/self/task/" + n + "/status")
		if err != nil {
			continue // it has ended
		}
		r.Status = map[string]string{}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			r.Status[key] = strings.Join(strings.Fields(value), " ")
		}
		s := strings.Join([]string{r.Status["Uid"], r.Status["Gid"], r.Status["Groups"], r.Status["CapPrm"], r.Status["CapEff"], r.Status["CapBnd"], r.Status["NoNewPrivs"], r.Status["Seccomp"]}, "|")
		if !slices.Contains(r.Threads, s) {
			r.Threads = append(r.Threads, s)
		}
	}
	close(release)
	return r
}

func open(name string, flags int) error {
	f, err := os.OpenFile(name, flags, 0o600)
	if err == nil {
		f.Close()
	}
	return err
}

func echo(conn net.Conn) error {
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 9))
	return err
}

func word(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// start runs the child in a process of its own.
func start(t *testing.T, c child, prefix ...string) *result {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		for buf := make([]byte, 99); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			conn.WriteTo(buf[:n], from)
		}
	}()
	c.Echo = conn.LocalAddr().String()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	args := append(prefix, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SANDBOX_CHILD="+string(text))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	r := &result{}
	if err := json.Unmarshal(out, r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// want compares what was tried.
func (r *result) want(t *testing.T, want map[string]string) {
	t.Helper()
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	for what, errno := range want {
		if got, tried := r.Tried[what]; !tried || got != errno {
			t.Errorf("%s: got %q (tried: %v), want %q", what, got, tried, errno)
		}
	}
}

func (r *result) has(mechanism string) bool { return slices.Contains(r.Report.Done, mechanism) }

// everywhere is what holds for whoever is shut in.
var everywhere = map[string]string{
	"shadow": "EACCES", "tmp": "EACCES", "write": "EPERM", "exec": "EPERM", "fork": "EPERM",
	"udp": "EPERM", "tcp": "EPERM", "unix": "EPERM", "packet": "EPERM", "raw": "EPERM", "netfilter": "EPERM", "route": "",
	"ptrace": "EPERM", "mount": "EPERM", "root": "EPERM", "kill": "EPERM", "signal": "EPERM", "program": "EPERM",
	"chroot": "EPERM", "unshare": "EPERM", "listen": "EPERM", "echo": "", "listener": "", "threads": "",
}

func expect(r *result, more map[string]string) map[string]string {
	want := map[string]string{}
	for k, v := range everywhere {
		if !r.has("landlock") && k == "tmp" {
			continue // the system, or a build for the race detector, has none
		}
		want[k] = v
	}
	for k, v := range more {
		want[k] = v
	}
	return want
}

// TestRootBecomesNobody: by default, in every thread.
func TestRootBecomesNobody(t *testing.T) {
	needRoot(t)
	r := start(t, child{})
	r.want(t, expect(r, nil))
	if !r.has("seccomp") || !r.has("no_new_privs") {
		t.Errorf("done: %v, missing: %v", r.Report.Done, r.Report.Missing)
	}
	if len(r.Threads) != 1 {
		t.Errorf("threads differ: %q", r.Threads)
	}
	const none = "0000000000000000"
	for key, want := range map[string]string{
		"Uid": "65534 65534 65534 65534", "CapEff": none, "CapPrm": none, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2",
	} {
		if r.Status[key] != want {
			t.Errorf("%s: %q, want %q", key, r.Status[key], want)
		}
	}
	if r.has("bounding set") && r.Status["CapBnd"] != none {
		t.Errorf("bounding set: %s", r.Status["CapBnd"])
	}
	if g := r.Status["Gid"]; g != strings.Repeat(fmt.Sprint(r.Report.GID)+" ", 3)+fmt.Sprint(r.Report.GID) || r.Status["Groups"] != fmt.Sprint(r.Report.GID) {
		t.Errorf("group %q, groups %q, want %d", g, r.Status["Groups"], r.Report.GID)
	}
}

// TestRootStaysWithoutPowers: --user root.
func TestRootStaysWithoutPowers(t *testing.T) {
	needRoot(t)
	r := start(t, child{Config: sandbox.Config{User: "root"}})
	if !r.has("landlock") {
		t.Skipf("missing: %v", r.Report.Missing)
	}
	r.want(t, expect(r, nil))
	if r.Status["Uid"] != "0 0 0 0" || r.Status["CapEff"] != "0000000000000000" || len(r.Threads) != 1 {
		t.Errorf("user %q, capabilities %s, threads %q", r.Status["Uid"], r.Status["CapEff"], r.Threads)
	}
}

// TestPaths: what is named can be read and written, and nothing beside it.
func TestPaths(t *testing.T) {
	needRoot(t)
	dir, err := os.MkdirTemp("/tmp", "sandbox-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"in", "out", "beside"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
		os.Chmod(filepath.Join(dir, sub), 0o777)
	}
	os.Chmod(dir, 0o755)
	in, beside := filepath.Join(dir, "in", "a"), filepath.Join(dir, "beside", "a")
	for _, name := range []string{in, beside} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	made, not := filepath.Join(dir, "out", "b"), filepath.Join(dir, "beside", "b")
	r := start(t, child{
		Config: sandbox.Config{Readable: []string{in, "/nowhere"}, Writable: []string{filepath.Join(dir, "out")}},
		Files:  []string{in, beside}, New: []string{made, not},
	})
	want := map[string]string{"write": "EACCES", "read " + in: "", "make " + made: "", "remove " + made: "", "read " + beside: "EACCES", "make " + not: "EACCES"}
	if !r.has("landlock") {
		want = map[string]string{"write": "", "read " + in: "", "make " + made: ""}
		defer os.Remove("/tmp/.sandbox-test")
	}
	r.want(t, expect(r, want))

	os.Chmod(filepath.Join(dir, "out"), 0o755)
	r = start(t, child{Config: sandbox.Config{Writable: []string{filepath.Join(dir, "out")}}, New: []string{made}})
	if r.Error != "" || r.Status["Uid"] != "0 0 0 0" || r.Tried["make "+made] != "" || len(r.Report.Missing) == 0 {
		t.Errorf("a folder of root's: %q, user %q, %v; want root to stay and say so", r.Error, r.Status["Uid"], r.Report)
	}
	r = start(t, child{Config: sandbox.Config{User: "nobody", Writable: []string{filepath.Join(dir, "out")}}})
	if !strings.Contains(r.Error, "may not write there") {
		t.Errorf("a folder of root's: %q", r.Error)
	}
	r = start(t, child{Config: sandbox.Config{ReadAll: true, Readable: []string{in}}, Files: []string{in}})
	if r.Status["Uid"] != "0 0 0 0" || r.has("capabilities") && r.Status["CapEff"] != "0000000000000004" {
		t.Errorf("reading files: user %q, capabilities %s, want those of root: CAP_DAC_READ_SEARCH", r.Status["Uid"], r.Status["CapEff"])
	}
	r.want(t, map[string]string{"read " + in: "", "udp": "EPERM"})
}

// TestReread: a file that is read again is found in its folder; root, who could read all of it, has the file alone. UDP is
// all that Datagrams gives.
func TestReread(t *testing.T) {
	needRoot(t)
	dir, err := os.MkdirTemp("/tmp", "sandbox-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	file, beside := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, name := range []string{file, beside} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, child{Config: sandbox.Config{Reread: []string{file}, Datagrams: true}, Files: []string{file, beside}})
	r.want(t, expect(r, map[string]string{"udp": "", "read " + file: "", "read " + beside: ""}))
	if !r.has("landlock") {
		return
	}
	r = start(t, child{Config: sandbox.Config{User: "root", Reread: []string{file}}, Files: []string{file, beside}})
	r.want(t, map[string]string{"udp": "EPERM", "read " + file: "", "read " + beside: "EACCES"})
}

// TestNames: when names are looked up again there are sockets of the internet's families, and no others.
func TestNames(t *testing.T) {
	needRoot(t)
	files := []string{"/etc/resolv.conf", "/etc/hosts"}
	r := start(t, child{Config: sandbox.Config{Resolve: true}, Files: files})
	want := map[string]string{"udp": "", "tcp": "", "lookup": ""}
	for _, name := range files {
		if _, err := os.Stat(name); err == nil {
			want["read "+name] = ""
		}
	}
	r.want(t, expect(r, want))
}

func TestChroot(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	r := start(t, child{Config: sandbox.Config{Chroot: dir}})
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	if r.Tried["shadow"] != "ENOENT" || r.Tried["echo"] != "" {
		t.Errorf("in an empty root: %v", r.Tried)
	}
	if r.Report.Chroot != dir {
		t.Errorf("report: %+v", r.Report)
	}
	if r := start(t, child{Config: sandbox.Config{Chroot: dir + "/nowhere"}}); r.Error == "" {
		t.Error("a root that is not there: no error")
	}
}

// TestNotRoot: an ordinary user can shut himself in.
func TestNotRoot(t *testing.T) {
	needRoot(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("no setpriv")
	}
	args := []string{setpriv, "--reuid=65533", "--regid=65533", "--clear-groups", "--inh-caps=+net_raw,+dac_read_search", "--ambient-caps=+net_raw,+dac_read_search"}
	r := start(t, child{}, args...)
	if !r.has("capabilities") {
		t.Skipf("missing: %v", r.Report.Missing)
	}
	r.want(t, expect(r, nil))
	if r.Status["Uid"] != "65533 65533 65533 65533" || r.Status["CapEff"] != "0000000000000000" {
		t.Errorf("user %q, capabilities %s", r.Status["Uid"], r.Status["CapEff"])
	}
	if r := start(t, child{Config: sandbox.Config{User: "nobody"}}, args...); !strings.Contains(r.Error, "only root") {
		t.Errorf("becoming somebody else: %q", r.Error)
	}
}
