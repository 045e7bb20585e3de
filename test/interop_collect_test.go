package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/test/trace"
)

// received is what a collector says at its end.
type received struct {
	Datagrams, Unusable, Flows, Stored, Lost, Options, Malformed uint64
	NoTemplate                                                   uint64
	SequenceLost                                                 uint64
	KernelDrops                                                  uint64
}

// ended stops a collector and reads its last line.
func ended(t *testing.T, p *process) received {
	t.Helper()
	p.stop()
	var r received
	_, line, ok := strings.Cut(p.log(), "msg=stopped ")
	if !ok {
		t.Fatalf("the collector does not say what it did\n%s", p.log())
	}
	into := map[string]*uint64{
		"datagrams": &r.Datagrams, "unusable": &r.Unusable, "flows": &r.Flows, "stored": &r.Stored, "lost": &r.Lost, "options": &r.Options,
		"malformed": &r.Malformed, "sets_without_template": &r.NoTemplate, "sequence_lost": &r.SequenceLost, "kernel_drops": &r.KernelDrops,
	}
	for _, pair := range strings.Fields(line) {
		name, value, _ := strings.Cut(pair, "=")
		if n, ok := into[name]; ok {
			*n = number(t, value)
			delete(into, name)
		}
	}
	if len(into) > 0 {
		t.Fatalf("the collector's last line lacks %v: %s", into, line)
	}
	return r
}

// clean wants that everything that came was understood and kept. Templates and options may come along.
func (r received) clean(t *testing.T, flows uint64) {
	t.Helper()
	want := received{Datagrams: r.Datagrams, Flows: flows, Stored: flows, Options: r.Options}
	if r != want {
		t.Errorf("the collector says %+v, want %+v", r, want)
	}
}

// TestCollectFromSoftflowd: every flow that softflowd has seen is stored, by each protocol that it speaks.
func TestCollectFromSoftflowd(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	peer(t, "softflowd")
	path, all := smallTrace(t)
	for _, c := range []struct {
		name  string
		args  []string
		ipv4  bool // only
		loses tolerance
	}{
		{name: "v1", args: []string{"-a", "-v", "1"}, ipv4: true, loses: tolerance{time: time.Millisecond}}, // 30 flows a datagram
		{name: "v5", args: []string{"-a", "-v", "5"}, ipv4: true, loses: tolerance{time: time.Millisecond}},
		// The header's clock has whole seconds, and softflowd's uptime is not aligned to them.
		{name: "v9", args: []string{"-a", "-v", "9"}, loses: tolerance{time: time.Second}},
		{name: "ipfix", args: []string{"-a", "-v", "10"}, loses: tolerance{time: time.Millisecond}}, // uptimes, and option 160
		{name: "ipfix seconds", args: []string{"-a", "-v", "10", "-A", "sec"}, loses: tolerance{time: time.Second}},
		{name: "ipfix milliseconds", args: []string{"-a", "-v", "10", "-A", "milli"}, loses: tolerance{time: time.Millisecond}},
		{name: "ipfix microseconds", args: []string{"-a", "-v", "10", "-A", "micro"}, loses: tolerance{time: time.Millisecond}},
		{name: "ipfix nanoseconds", args: []string{"-a", "-v", "10", "-A", "nano"}, loses: tolerance{time: time.Millisecond}},
		{name: "ipfix vlan", args: []string{"-a", "-v", "10", "-T", "vlan"}, loses: tolerance{time: time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := all
			if c.ipv4 {
				want = all.ipv4()
			}
			dir := t.TempDir()
			sink, address := collector(t, dir)
			exported, datagrams := softflowd(t, path, address, c.args...)
			if exported != want.total() {
				t.Errorf("softflowd has exported %+v, want %+v", exported, want.total())
			}
			r := ended(t, sink)
			if strings.HasPrefix(c.name, "ipfix") {
				r.SequenceLost = 0 // it counts its own message and options as it likes
			}
			if r.clean(t, want.total().Flows); r.Datagrams != datagrams {
				t.Errorf("%d datagrams of %d", r.Datagrams, datagrams)
			}
			want.compare(t, tableOf(t, stored(t, dir)), c.loses)
		})
	}
}

// TestCollectFromSoftflowdWithoutClock: without -a softflowd stamps a file's packets with uptimes before its own start,
// which only signed arithmetic reads.
func TestCollectFromSoftflowdWithoutClock(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	peer(t, "softflowd")
	path, all := generate(t, trace.Config{Packets: 500, Flows: 50, Start: time.Now().Add(-10 * 24 * time.Hour), Span: time.Minute, Snaplen: 100, Seed: 6})
	for _, version := range []string{"1", "5", "9"} {
		t.Run("v"+version, func(t *testing.T) {
			t.Parallel()
			want := all.ipv4()
			if version == "9" {
				want = all
			}
			dir := t.TempDir()
			sink, address := collector(t, dir)
			softflowd(t, path, address, "-v", version)
			ended(t, sink).clean(t, want.total().Flows)
			// The clock of the header stands in v9 at whole seconds, and in all beside that of the uptimes.
			want.compare(t, tableOf(t, stored(t, dir)), tolerance{time: 2 * time.Second})
		})
	}
}

// TestCollectFromSoftflowdBiflows: both directions of a flow in one record (RFC 5103).
func TestCollectFromSoftflowdBiflows(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	peer(t, "softflowd")
	path, _ := smallTrace(t)
	path, want := bothWays(t, path)
	dir := t.TempDir()
	sink, address := collector(t, dir)
	exported, _ := softflowd(t, path, address, "-a", "-v", "10", "-b", "-A", "milli")
	r := ended(t, sink)
	r.SequenceLost = 0
	r.clean(t, exported.Flows)
	rows, both := stored(t, dir), 0
	for i := range rows {
		if rows[i].Packets > 0 && rows[i].ReversePackets > 0 {
			both++
		}
	}
	// A record has one start and one end, for both directions.
	want.compare(t, tableOf(t, rows), tolerance{noTimes: true})
	if both == 0 || len(rows)+both != len(want) {
		t.Errorf("%d records, %d of them with both directions, for %d directions", len(rows), both, len(want))
	}
	s, all := stat(t, dir), want.total()
	if s.Packets+s.ReversePackets != all.Packets || s.Bytes+s.ReverseBytes != all.Bytes || s.ReversePackets == 0 {
		t.Errorf("flowstat has %+v, want %+v in both directions together", s, all)
	}
}

// TestCollectFromSoftflowdSampled: what is stored is not scaled; the interval lies beside it.
func TestCollectFromSoftflowdSampled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	peer(t, "softflowd")
	path, _ := smallTrace(t)
	dir := t.TempDir()
	sink, address := collector(t, dir)
	exported, _ := softflowd(t, path, address, "-a", "-v", "10", "-A", "milli", "-T", "ether", "-s", "10")
	r := ended(t, sink)
	r.SequenceLost = 0
	r.clean(t, exported.Flows)
	if exported.Packets != 300 {
		t.Errorf("softflowd has taken %d packets of 3000, want 300", exported.Packets)
	}
	if s := stat(t, dir); (tally{s.Flows, s.Packets, s.Bytes}) != exported {
		t.Errorf("stored %+v, softflowd has sent %+v", s, exported)
	}
	for _, row := range stored(t, dir) {
		if row.SamplingRate != 10 || row.SrcMAC != "02:00:00:00:00:02" || row.DstMAC != "02:00:00:00:00:01" {
			t.Fatalf("stored %+v, want a sampling rate of 10 and the trace's MAC addresses", row)
		}
	}
}

// TestCollectFromPmacctd: every flow that pmacct's nfprobe has seen is stored.
func TestCollectFromPmacctd(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	peer(t, "pmacctd")
	path, all := smallTrace(t)
	for _, version := range []string{"5", "9", "10"} {
		t.Run("v"+version, func(t *testing.T) {
			t.Parallel()
			want := all
			if version == "5" {
				want = all.ipv4()
			}
			dir := t.TempDir()
			sink, address := collector(t, dir)
			pmacctd(t, path, address, version)
			ended(t, sink).clean(t, want.total().Flows)
			want.compare(t, tableOf(t, stored(t, dir)), tolerance{time: time.Millisecond})
		})
	}
}

// TestCollectFromNfpcapd: nfpcapd speaks a protocol of its own, which is refused quietly.
func TestCollectFromNfpcapd(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	name := peer(t, "nfpcapd")
	path, _ := smallTrace(t)
	dir := t.TempDir()
	sink, address := collector(t, dir)
	complete(t, name, "-r", path, "-H", fmt.Sprintf("127.0.0.1/%d", portOf(t, address)))
	r := ended(t, sink)
	if want := (received{Datagrams: r.Datagrams, Unusable: r.Datagrams, Malformed: r.Malformed}); r.Datagrams == 0 || r != want {
		t.Errorf("the collector says %+v, want %+v", r, want)
	}
	if n := strings.Count(sink.log(), "level=WARN"); n > 1 {
		t.Errorf("%d warnings, want one at most\n%s", n, sink.log())
	}
}
