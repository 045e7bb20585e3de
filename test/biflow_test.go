package test

import (
	"encoding/json"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/caprock-net/caprock/test/trace"
)

// conversations writes a capture of which most flows have two directions, and says how many conversations it has.
func conversations(t *testing.T) (path string, flows flowTable, totals trace.Totals) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "conversations.pcap")
	create(t, path, func(w io.Writer) (err error) {
		totals, err = trace.Write(w, trace.Config{Packets: 3000, Flows: 300, Replies: true,
			Start: time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC), Span: time.Minute, Snaplen: 2048, Seed: 6})
		return err
	})
	return path, meter(t, path), totals
}

// TestBiflows: with --biflow a conversation is one flow, IPFIX brings it whole, the older protocols as two flows, and
// nothing is lost or counted twice on the way.
func TestBiflows(t *testing.T) {
	path, all, totals := conversations(t)
	if uint64(len(all)) != totals.Flows || totals.Conversations == totals.Flows {
		t.Fatalf("%d flows: %+v", len(all), totals)
	}
	for _, protocol := range []string{"ipfix", "v9", "v5"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			want := all
			if protocol == "v5" {
				want = all.ipv4()
			}
			dir := t.TempDir()
			sink, address := collector(t, dir)
			out := run(t, "probe", append([]string{"-r", path, "-e", address, "--protocol", protocol, "--biflow", "--summary", "json"}, asExpected...)...)
			sink.stop()
			var s struct {
				Packets struct{ Metered uint64 }
				Flows   struct{ Ended tally }
			}
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				t.Fatal(err)
			}
			if s.Packets.Metered != totals.Packets || s.Flows.Ended != (tally{totals.Conversations, totals.Packets, totals.Bytes}) {
				t.Errorf("metered %+v, want %+v", s, totals)
			}
			rows := stored(t, dir)
			want.compare(t, tableOf(t, rows), tolerance{noTimes: true}) // a record has one start and one end, for both directions
			both := 0
			for i := range rows {
				if rows[i].ReversePackets > 0 {
					both++
				}
			}
			sum, total := stat(t, dir), want.total()
			if sum.Packets+sum.ReversePackets != total.Packets || sum.Bytes+sum.ReverseBytes != total.Bytes {
				t.Errorf("flowstat has %+v, want %+v in both directions together", sum, total)
			}
			if protocol == "ipfix" && (uint64(len(rows)) != totals.Conversations || uint64(both) != totals.Flows-totals.Conversations) ||
				protocol != "ipfix" && (len(rows) != len(want) || both > 0) {
				t.Errorf("%d records, %d of them with both directions: %+v", len(rows), both, totals)
			}
		})
	}
}

// TestPeersReadBiflows: nfcapd has both flows of what the probe sends as two.
func TestPeersReadBiflows(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	needsProc(t)
	path, want, _ := conversations(t)
	judge := newNfcapd(t)
	out := run(t, "probe", append([]string{"-r", path, "-e", judge.address(), "--protocol", "v9", "--biflow", "--summary", "json"}, asExpected...)...)
	sum, flows := judge.judgement(t, 0)
	if sum != want.total() {
		t.Errorf("nfcapd has %+v, want %+v\n%s", sum, want.total(), out)
	}
	want.compare(t, flows, tolerance{noTimes: true})
}

// TestSampling: what is sampled is counted as it is, the rate lies beside it, and all adds up (else the probe fails).
func TestSampling(t *testing.T) {
	path, all, totals := conversations(t)
	for _, c := range []struct {
		name, protocol, sample string
		packets                uint64 // 0: it depends
	}{
		{"deterministic, ipfix", "ipfix", "10", 300}, {"deterministic, v9", "v9", "10", 300}, {"random, ipfix", "ipfix", "random:10", 300},
		{"random, v9", "v9", "random:10", 300}, {"hash, ipfix", "ipfix", "hash:3", 0}, {"hash, v9", "v9", "hash:3", 0},
		{"deterministic, v5", "v5", "10", 0}, {"random, v5", "v5", "random:10", 0}, {"all", "ipfix", "1", 3000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			sink, address := collector(t, dir)
			out := run(t, "probe", append([]string{"-r", path, "-e", address, "--protocol", c.protocol, "--sample", c.sample, "--summary", "json"}, asExpected...)...)
			sink.stop()
			var s struct {
				Packets struct {
					Read, Metered uint64
					NotSampled    uint64 `json:"not_sampled"`
				}
			}
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Packets; p.Metered+p.NotSampled != p.Read || p.Read != totals.Packets || c.packets != 0 && p.Metered != c.packets {
				t.Errorf("%+v", p)
			}
			var want uint32
			switch c.sample {
			case "10", "random:10":
				want = 10
			case "hash:3":
				want = 3
			}
			rows := stored(t, dir)
			got := tableOf(t, rows)
			for k, sum := range got {
				back, answered := got[k.reverse()]
				_, answers := all[k.reverse()]
				if want == 3 && (sum.packets != all[k].packets || answers != answered) {
					t.Fatalf("%+v: %+v and %+v back of %+v", k, sum, back, all[k])
				}
			}
			if want == 3 && (len(got) == 0 || len(got) > len(all)/2) {
				t.Errorf("%d of %d flows", len(got), len(all))
			}
			if sum := stat(t, dir); c.protocol != "v5" && sum.Packets != s.Packets.Metered {
				t.Errorf("stored %d packets of %d", sum.Packets, s.Packets.Metered)
			}
			for _, r := range rows {
				if r.SamplingRate != want {
					t.Fatalf("sampling rate %d, want %d", r.SamplingRate, want)
				}
			}
		})
	}
}
