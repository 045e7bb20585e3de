//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// packetsOf returns the bytes of all packets of a capture, sorted.
func packetsOf(t *testing.T, path string) (packets []string) {
	t.Helper()
	frames(t, path, func(f pcapfile.Frame) { packets = append(packets, string(f.Data)) })
	slices.Sort(packets)
	return packets
}

// archived returns what flowpcap gives, sorted.
func archived(t *testing.T, args ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.pcap")
	if err := os.WriteFile(path, []byte(run(t, "flowpcap", args...)), 0o600); err != nil {
		t.Fatal(err)
	}
	return packetsOf(t, path)
}

// TestArchive replays a capture over a wire to a probe with an archive, kills it, and starts it again: flowpcap gives the
// packets, whole, while the probe runs, when it was killed and when it has ended; and those of each flow that is stored.
func TestArchive(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	near, far := cable(t)
	path, _ := smallTrace(t)
	want := packetsOf(t, path)
	flows, dir := t.TempDir(), t.TempDir()
	sink := far.collector(t, flows)
	s := near.sender(t)

	p, _ := far.probe(t, "--archive", dir)
	s.replay(t, path, 20_000)
	var got []string // within a second, unless the machine is busy
	eventually(t, func() bool {
		got = archived(t, dir)
		return len(got) >= len(want)
	}, func() string { return fmt.Sprintf("%d packets while the probe runs, want %d", len(got), len(want)) })
	if !slices.Equal(got, want) {
		t.Errorf("%d packets while the probe runs, not the %d that were sent", len(got), len(want))
	}
	p.kill()
	if got := archived(t, dir); !slices.Equal(got, want) {
		t.Errorf("%d packets after the kill, want %d", len(got), len(want))
	}

	p, stdout := far.probe(t, "--archive", dir)
	s.replay(t, path, 20_000)
	p.stop()
	sink.stop()
	if !strings.Contains(stdout.String(), fmt.Sprintf(`"archived": %d`, len(want))) {
		t.Errorf("the second probe says %s", stdout)
	}
	twice := slices.Sorted(slices.Values(slices.Concat(want, want)))
	if got := archived(t, dir); !slices.Equal(got, twice) {
		t.Errorf("%d packets of two runs, want %d", len(got), len(twice))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp-*")); len(left) > 0 {
		t.Errorf("left open: %v", left)
	}

	rows := strings.Split(strings.TrimSpace(run(t, "flowstat", "--by", "proto,src_addr,dst_addr,src_port,dst_port", "-n", "20", "--sort", "packets", "-o", "csv", flows)), "\n")
	titles := strings.Split(rows[0], ",")
	for _, row := range rows[1:] {
		values := strings.Split(row, ",")
		field := func(name string) string { return values[slices.Index(titles, name)] }
		filter := fmt.Sprintf("proto %s and src ip %s and dst ip %s and src port %s and dst port %s",
			strings.ToLower(field("proto")), field("src_addr"), field("dst_addr"), field("src_port"), field("dst_port"))
		packets := archived(t, "-f", filter, dir)
		// What the killed probe had metered it has not exported; its packets are in the archive.
		if n := fmt.Sprint(len(packets) / 2); n != field("packets") {
			t.Errorf("%s: %d packets of two runs, flowstat says %s of one", filter, len(packets), field("packets"))
		}
	}
	if len(rows) < 10 {
		t.Errorf("flowstat knows %d flows only", len(rows)-1)
	}
}
