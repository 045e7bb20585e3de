package main

import (
	"bytes"
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/caprock-net/caprock/test/trace"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"probe": main}) }

var update = flag.Bool("update", false, "rewrite the expected output of the sessions")

// TestSessions runs the sessions in testdata. Each finds a capture trace.pcap: 3000 packets, half a minute; and in $PORT a
// UDP port at which somebody listens.
func TestSessions(t *testing.T) {
	c := trace.DefaultConfig()
	c.Packets, c.Flows, c.Span = 3000, 60, 30*time.Second
	var capture bytes.Buffer
	if _, err := trace.Write(&capture, c); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return err
			}
			e.Defer(func() { conn.Close() })
			e.Setenv("PORT", strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port))
			e.Setenv("TZ", "UTC")
			return os.WriteFile(filepath.Join(e.WorkDir, "trace.pcap"), capture.Bytes(), 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"cut": cut},
	})
}

// cut drops the last bytes of a file: cut FILE BYTES.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE BYTES")
	}
	name := ts.MkAbs(args[0])
	info, err := os.Stat(name)
	ts.Check(err)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.Truncate(name, info.Size()-int64(n)))
}

// TestMaxRate: auto is a limit for files and none for interfaces; a number is a number.
func TestMaxRate(t *testing.T) {
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"-r", "x"}, 10_000},
		{[]string{"-i", "eth0"}, 0},
		{[]string{"-r", "x", "--max-rate", "0"}, 0},
		{[]string{"-i", "eth0", "--max-rate", "7"}, 7},
		{[]string{"-i", "eth0", "--max-rate", "auto"}, 0},
	} {
		o, err := parse(t, test.args...)
		if err != nil || o.config.Export.MaxRate != test.want {
			t.Errorf("%v: %d, error %v, want %d", test.args, o.config.Export.MaxRate, err, test.want)
		}
	}
	for _, bad := range []string{"-1", "fast", "1.5", ""} {
		if _, err := parse(t, "-r", "x", "--max-rate", bad); err == nil {
			t.Errorf("rate %q: no complaint", bad)
		}
	}
}

// parse reads arguments as the program does, without running it.
func parse(t *testing.T, args ...string) (*options, error) {
	t.Helper()
	o, cmd := newOptions()
	cmd.SetArgs(args)
	if err := cmd.ParseFlags(args); err != nil {
		return o, err
	}
	return o, o.complete(cmd.Flags().Args())
}

func TestFlags(t *testing.T) {
	o, err := parse(t, "-i", "eth0", "-i", "eth1", "-e", "a:1", "-e", "b:2", "--key", "src_addr,vlan", "--no-tcp-expiry", "--no-promisc",
		"--ring-size", "128MiB", "--active", "1m", "--inactive", "5s", "--protocol", "v9", "--domain", "9")
	if err != nil {
		t.Fatal(err)
	}
	c := o.config
	if len(c.Interfaces) != 2 || len(c.Export.Destinations) != 2 || c.Cache.Key.String() != "src_addr,vlan" || c.Cache.TCPExpiry || c.Promiscuous ||
		c.RingSize != 128<<20 || c.Cache.Active != time.Minute || c.Cache.Inactive != 5*time.Second || c.Export.Protocol != "v9" || c.Export.Domain != 9 {
		t.Errorf("%+v", c)
	}
	o, err = parse(t, "-r", "a,b.pcap", "c.pcap")
	if err != nil || len(o.config.Files) != 2 || o.config.Files[0] != "a,b.pcap" {
		t.Errorf("files %q, error %v", o.config.Files, err)
	}
}

// TestStopped: a signal's context ends the program in order.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	name := filepath.Join(t.TempDir(), "trace.pcap")
	var capture, stdout, stderr bytes.Buffer
	c := trace.DefaultConfig()
	c.Packets, c.Flows = 1000, 10
	if _, err := trace.Write(&capture, c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, capture.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := newCommand()
	cmd.SetArgs([]string{"-r", name})
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Error(err)
	}
	if stdout.Len() != 0 || !bytes.Contains(stderr.Bytes(), []byte("packets\n")) {
		t.Errorf("standard output %q, standard error %q; want the summary in the second", &stdout, &stderr)
	}
}
