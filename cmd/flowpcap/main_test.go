package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/test/trace"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"flowpcap": main}) }

// TestSessions runs the sessions in testdata. Each finds an archive of 3000 packets of half a minute in packets.
func TestSessions(t *testing.T) {
	frames := generated(t, 3000, 200, 30*time.Second)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			record(t, archive.Config{Dir: filepath.Join(e.WorkDir, "packets"), Rotate: 10 * time.Second}, frames)
			e.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"packets": countPackets},
	})
}

// countPackets checks how many packets a capture has: packets FILE N.
func countPackets(ts *testscript.TestScript, neg bool, args []string) {
	file, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer file.Close()
	frames, err := readAll(file)
	ts.Check(err)
	if fmt.Sprint(len(frames)) != args[1] {
		ts.Fatalf("%d packets", len(frames))
	}
}

func generated(t testing.TB, packets, snapLen int, span time.Duration) []pcapfile.Frame {
	t.Helper()
	c := trace.DefaultConfig()
	c.Packets, c.Flows, c.Snaplen, c.Span = packets, packets/20+10, snapLen, span
	var file bytes.Buffer
	if _, err := trace.Write(&file, c); err != nil {
		t.Fatal(err)
	}
	frames, err := readAll(&file)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

func readAll(in io.Reader) (frames []pcapfile.Frame, err error) {
	r, err := pcapfile.NewReader(in)
	if err != nil {
		return nil, err
	}
	for {
		f, err := r.Next()
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		f.Time -= f.Time % 1000 // the archive's times are microseconds
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
	}
}

// record makes an archive by as many recorders as there are traces, in turns.
func record(t testing.TB, cfg archive.Config, traces ...[]pcapfile.Frame) {
	t.Helper()
	a, err := archive.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(); err != nil {
			t.Error(err)
		}
	})
	recorders := make([]*archive.Recorder, len(traces))
	for i := range traces {
		recorders[i] = a.NewRecorder(true)
	}
	for i := 0; i < len(traces[0]); i++ {
		for j, r := range recorders {
			f := &traces[j][i]
			if r.Add(dissect.LinkType(f.LinkType), netflow.Timestamp(f.Time/1000), f.WireLen, f.Data) || i%32 == 31 {
				r.Commit(netflow.Timestamp(f.Time / 1000))
			}
		}
	}
	for _, r := range recorders {
		r.Flush()
	}
	a.Stop()
	running.Wait()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// capture runs the command and returns its packets and what it said.
func capture(t testing.TB, args ...string) ([]pcapfile.Frame, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	if err := cmd.ExecuteContext(context.Background()); err != nil {
		t.Fatalf("flowpcap %q: %v", args, err)
	}
	frames, err := readAll(&stdout)
	if err != nil {
		t.Fatal(err)
	}
	return frames, stderr.String()
}

// same compares packets, those of one time in any order.
func same(t testing.TB, what string, got, want []pcapfile.Frame) {
	t.Helper()
	order := func(a, b pcapfile.Frame) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.Data, b.Data))
	}
	if !slices.IsSortedFunc(got, func(a, b pcapfile.Frame) int { return cmp.Compare(a.Time, b.Time) }) {
		t.Errorf("%s: not in time order", what)
	}
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.EqualFunc(got, want, func(a, b pcapfile.Frame) bool {
		return a.Time == b.Time && a.WireLen == b.WireLen && bytes.Equal(a.Data, b.Data)
	}) {
		t.Errorf("%s: %d packets, want %d", what, len(got), len(want))
	}
}

func keyOf(f *pcapfile.Frame) archive.Key {
	return archive.KeyOf(dissect.LinkType(f.LinkType), f.Data, f.WireLen)
}

// TestFlows: for 1,000 random flows the packets are those of a scan of everything that was captured, and few blocks are
// read for the flows that are not in all of them. Two interfaces are captured from at a time.
func TestFlows(t *testing.T) {
	frames := generated(t, 15_000, 700, time.Minute)
	other := make([]pcapfile.Frame, len(frames))
	for i, f := range frames { // a little later on the other interface, behind a router
		f.Time += 700_000
		f.Data = bytes.Clone(f.Data)
		copy(f.Data, "\x02another-mac")
		other[i] = f
	}
	dir := t.TempDir()
	record(t, archive.Config{Dir: dir, Size: 4 << 20, Rotate: 20 * time.Second}, frames, other)
	all := slices.Concat(frames, other)
	byKey := map[archive.Key][]pcapfile.Frame{}
	for _, f := range all {
		k := keyOf(&f)
		byKey[k] = append(byKey[k], f)
	}
	got, _ := capture(t, dir)
	same(t, "everything", got, slices.Clone(all))

	keys := make([]archive.Key, 0, len(byKey))
	for k := range byKey {
		keys = append(keys, k)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	slices.SortFunc(keys, func(a, b archive.Key) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	n := min(1000, len(keys))
	if testing.Short() {
		n = 50
	}
	read, size := 0, 0
	for _, k := range keys[:n] {
		text := fmt.Sprintf("proto %d and src ip %v and dst ip %v and src port %d and dst port %d", k.Proto, k.Src, k.Dst, k.SrcPort, k.DstPort)
		got, stats := capture(t, "--stats", "-f", text, dir)
		same(t, text, got, byKey[k])
		var packets, blocks, bytesRead, bytes int
		if _, err := fmt.Sscanf(stats, "flowpcap: %d packets; read: %d blocks, %d of %d bytes", &packets, &blocks, &bytesRead, &bytes); err != nil {
			t.Fatalf("%q: %v", stats, err)
		}
		if packets != len(got) || blocks > len(got) || bytesRead > blocks*archive.BlockSize {
			t.Errorf("%s: %s", text, stats)
		}
		read += bytesRead
		size += bytes
	}
	t.Logf("%d flows of %d: %.1f %% of the archive read", n, len(keys), 100*float64(read)/float64(size))
	if read > size/2 {
		t.Errorf("%d flows: %d bytes of %d read", n, read, size)
	}
}

// TestFilters compares other filters, and windows of time, with predicates in Go.
func TestFilters(t *testing.T) {
	frames := generated(t, 10_000, 200, time.Minute)
	for i := range 50 { // what is no IP packet
		f := frames[i*100]
		f.Data = slices.Concat(bytes.Repeat([]byte{0xff}, 6), make([]byte, 6), []byte{8, 6}, make([]byte, 28))
		frames = append(frames, f)
	}
	slices.SortStableFunc(frames, func(a, b pcapfile.Frame) int { return cmp.Compare(a.Time, b.Time) })
	dir := t.TempDir()
	record(t, archive.Config{Dir: dir, Rotate: 10 * time.Second}, frames)
	from, to := frames[2000].Time, frames[4000].Time
	for _, test := range []struct {
		filter string
		window bool
		match  func(k archive.Key) bool
	}{
		{"any", false, func(k archive.Key) bool { return true }},
		{"any", true, func(k archive.Key) bool { return true }},
		{"ipv6", false, func(k archive.Key) bool { return k.IPVersion == 6 }},
		{"tcp and dst port < 1024", true, func(k archive.Key) bool { return k.Proto == 6 && k.DstPort < 1024 }},
		{"not tcp", false, func(k archive.Key) bool { return k.Proto != 6 }},
		{"icmp type 8", false, func(k archive.Key) bool { return k.Proto == 1 && k.DstPort>>8 == 8 }},
		{"net 10.0.0.0/9", false, func(k archive.Key) bool {
			in := func(a netflow.Addr) bool { return k.IPVersion == 4 && a[12] == 10 && a[13] < 128 }
			return in(k.Src) || in(k.Dst)
		}},
	} {
		args := []string{"-f", test.filter, dir}
		if test.window {
			args = append(args, "--utc", "--from", time.Unix(0, from).UTC().Format(time.RFC3339Nano), "--to", time.Unix(0, to).UTC().Format(time.RFC3339Nano))
		}
		got, _ := capture(t, args...)
		var want []pcapfile.Frame
		for _, f := range frames {
			if test.match(keyOf(&f)) && (!test.window || f.Time >= from && f.Time < to) {
				want = append(want, f)
			}
		}
		same(t, fmt.Sprint(args), got, want)
		t.Logf("%s: %d packets", test.filter, len(want))
	}
}
