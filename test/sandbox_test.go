//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/test/trace"
)

// status reads what /proc says of all threads of a process: lines that differ between them are an error.
func status(t *testing.T, pid int, keys ...string) map[string]string {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %v, error %v", threads, err)
	}
	values := map[string]string{}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if value = strings.Join(strings.Fields(value), " "); !slices.Contains(keys, key) {
				continue
			}
			if former, known := values[key]; known && former != value {
				t.Errorf("%s: %s is %q, in another thread %q", name, key, value, former)
			}
			values[key] = value
		}
	}
	return values
}

// noPowers is what the kernel is to say of a probe that meters.
var noPowers = map[string]string{
	"CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
	"NoNewPrivs": "1", "Seccomp": "2",
}

// TestProbeGivesUpItsPrivileges: a probe that was root, or that had CAP_NET_RAW alone, meters, exports, tells how it
// stands and ends in order without any of it; by address and by name.
func TestProbeGivesUpItsPrivileges(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	setpriv := peer(t, "setpriv")
	path, want := generate(t, trace.Config{Packets: 5000, Flows: 300, Start: time.Unix(1_700_000_000, 0), Span: time.Minute, Snaplen: 2048, Seed: 52})
	unprivileged := []string{setpriv, "--reuid=65533", "--regid=65532", "--clear-groups", "--inh-caps=-all,+net_raw", "--ambient-caps=+net_raw", "--bounding-set=-all,+net_raw"}
	for _, test := range []struct {
		name   string
		prefix []string
		args   []string
		uid    string
		log    string
	}{
		{"root", nil, nil, "65534", `msg="shut in"`},
		{"root stays", nil, []string{"--user", "root"}, "0", `sandbox.uid=0`},
		{"by number", nil, []string{"--user", "65531:65530"}, "65531", `sandbox.gid=65530`},
		{"chroot", nil, []string{"--chroot", "/proc"}, "65534", `sandbox.chroot=/proc`},
		{"name of a collector", nil, []string{"-e", "localhost:9"}, "65534", `msg="shut in"`},
		{"CAP_NET_RAW", unprivileged, nil, "65533", `msg="shut in"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			near, far := cable(t)
			dir := t.TempDir()
			sink := far.collector(t, dir)
			program := filepath.Join(bin, "probe")
			if len(test.prefix) > 0 {
				program = public(t, program)
			}
			args := slices.Concat(test.prefix, []string{program, "-i", wire, "-e", collectorAddress, "--summary", "text"}, asExpected, test.args)
			p := startCommand(t, "metering", far.command(args[0], args[1:]...))
			got := status(t, p.cmd.Process.Pid, "Uid", "CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp")
			if got["Uid"] != strings.TrimSpace(strings.Repeat(test.uid+" ", 4)) {
				t.Errorf("users %q, want %s", got["Uid"], test.uid)
			}
			for key, value := range noPowers {
				if got[key] != value {
					t.Errorf("%s is %q, want %q", key, got[key], value)
				}
			}
			sent := near.sender(t).replay(t, path, 20_000)
			tell := fmt.Sprintf("%15d  packets", sent)
			eventually(t, func() bool {
				_ = p.cmd.Process.Signal(syscall.SIGUSR1)
				time.Sleep(100 * time.Millisecond)
				return strings.Contains(p.log(), tell)
			}, func() string { return "SIGUSR1 does not bring " + tell + ": " + p.log() })
			p.stop()
			if log := p.log(); !strings.Contains(log, test.log) || strings.Contains(log, "level=WARN msg=\"shut in\"") {
				t.Errorf("the log does not have %s, or warns: %s", test.log, log)
			}
			r := ended(t, sink)
			flows := stat(t, dir)
			if got := (tally{flows.Flows, flows.Packets, flows.Bytes}); got != want.total() {
				t.Errorf("stored %+v, want %+v", got, want.total())
			}
			r.clean(t, flows.Flows)
		})
	}
}

// public copies a program to where everybody may run it.
func public(t *testing.T, program string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "caprock-public-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, filepath.Base(program))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}
