//go:build unix

package test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/test/trace"
)

// TestFloods has a probe meter what attackers send: memory stays at its bound, flows that had to go early are counted, no
// packet is lost, and the table takes the tuples that collide elsewhere as it takes others.
func TestFloods(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const packets, most = 200_000, 20_000
	found := regexp.MustCompile(`of up to (\d+) bytes each`).FindStringSubmatch(run(t, "probe", "--help"))
	if found == nil {
		t.Fatal("probe --help does not say how many bytes a flow takes")
	}
	perFlow, _ := strconv.Atoi(found[1])
	c := trace.Config{Packets: packets, Start: time.Unix(1_700_000_000, 0), Span: 2 * time.Second, Snaplen: 80, Seed: 11}
	small, _ := metered(t, trace.Floods[0].Name, c, "--max-flows", "1")
	for _, flood := range trace.Floods {
		for _, rings := range []string{"1", "2"} { // the tuples must not all go to one of them either
			t.Run(flood.Name+"/rings "+rings, func(t *testing.T) {
				got, totals := metered(t, flood.Name, c, "--max-flows", strconv.Itoa(most), "--rings", rings)
				s, p := got.summary, got.summary.Packets
				if p.Read != packets || p.Metered != packets || p.IPBytes != totals.Bytes || p.Malformed+p.NonIP != 0 {
					t.Errorf("metered %+v of %+v", p, totals)
				}
				f := s.Flows
				if f.Ended.Packets != packets || f.Ended.Bytes != totals.Bytes || f.Held != (tally{}) || f.Ended.Flows < totals.Flows {
					t.Errorf("flows %+v of %+v", f, totals)
				}
				if f.Peak > most || f.Peak < min(most, totals.Flows) {
					t.Errorf("%d flows held at most, want %d", f.Peak, most)
				}
				// Nothing here lasts until it ends of itself: all but what is held in the end is evicted.
				if f.Resources != f.Ended.Flows-f.Forced || f.Forced != most {
					t.Errorf("evicted %d, ended with the probe %d, of %d", f.Resources, f.Forced, f.Ended.Flows)
				}
				// The kernel may round up to huge pages, and the runtime does not give back at once what it has freed.
				const slack = 8 << 20
				if grown := got.resident - small.resident; grown > most*perFlow+slack {
					t.Errorf("%d KiB more than with a table for one flow, want at most %d KiB", grown>>10, (most*perFlow+slack)>>10)
				}
			})
		}
	}
}

type floodResult struct {
	summary  floodSummary
	resident int // bytes, at most
}

type floodSummary struct {
	Packets struct {
		Read, Metered, Malformed uint64
		NonIP                    uint64 `json:"non_ip"`
		IPBytes                  uint64 `json:"ip_bytes"`
	}
	Flows struct {
		Ended, Held             tally
		Resources, Forced, Peak uint64
	}
}

// metered runs a probe over a flood. It fails when its summary does not add up.
func metered(t *testing.T, flood string, c trace.Config, args ...string) (r floodResult, totals trace.Totals) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flood.pcap")
	create(t, path, func(w io.Writer) (err error) {
		totals, err = trace.WriteFlood(w, c, flood)
		return err
	})
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, "probe"), append([]string{"-r", path, "--summary", "json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), &r.summary); err != nil {
		t.Fatal(err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	r.resident = int(usage.Maxrss)
	if runtime.GOOS != "darwin" {
		r.resident <<= 10
	}
	return r, totals
}
