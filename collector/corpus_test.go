package collector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/collector"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
)

// expectation is what an independent reader found in a capture; see the file for the meaning of its fields.
type expectation struct {
	File         string
	NegativeTest bool `json:"negative_test"`
	Expected     struct {
		Versions  map[string]uint64
		Exporters []struct {
			Address   string
			Domain    any
			Datagrams uint64
			Flows     uint64
		}
		FlowRecords    uint64            `json:"flow_records"`
		ByVersion      map[string]uint64 `json:"flow_records_by_version"`
		OptionsRecords uint64            `json:"options_records"`
		Sums           map[string]uint64
		Without        map[string]uint64 `json:"data_sets_without_template"`
		First          string            `json:"first_flow_time"`
		Last           string            `json:"last_flow_time"`
	}
}

func expectations(t *testing.T) (dir string, files map[string]expectation) {
	t.Helper()
	dir = netflowtest.Corpora(t, "exports")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Skip(err)
	}
	var all struct{ Files map[string]expectation }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return dir, all.Files
}

// readCaptures runs a collector over captures and returns its account and what it stored.
func readCaptures(t *testing.T, paths ...string) (collector.Stats, totals) {
	t.Helper()
	cfg := collector.DefaultConfig()
	cfg.Dir, cfg.Read = t.TempDir(), paths
	c, err := collector.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := c.Stats()
	if s.Datagrams != s.Refused+s.Unusable()+s.Used() || s.Decode.Flows != s.Stored || s.Lost.Total() != 0 || s.Pending != 0 {
		t.Errorf("the account does not add up: %+v", s)
	}
	return s, total(t, cfg.Dir)
}

var versionNumbers = map[string]uint64{"v1": 1, "v5": 5, "v7": 7, "v9": 9, "ipfix": 10}

// severalClocks is a capture whose records tell each time in seconds, in milliseconds and as uptime. The expectation is the
// smallest of all; we keep the most precise.
const severalClocks = "tg-ipfix-ntop-pen35632"

// Of each capture exactly the flows are stored that an independent reader found, with their counters and times, from the
// exporters it found; options records and data sets without template are counted as it counted them.
func TestCaptures(t *testing.T) {
	dir, files := expectations(t)
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, got := readCaptures(t, filepath.Join(dir, f.File))
			want := f.Expected
			check := func(what string, got, want any) {
				if got != want {
					t.Errorf("%s: %v, want %v", what, got, want)
				}
			}
			datagrams := uint64(0)
			for version, n := range want.Versions {
				if !strings.HasPrefix(version, "sflow") {
					datagrams += n
				}
			}
			check("datagrams", s.Datagrams, datagrams)
			check("flows", got.flows, want.FlowRecords)
			for version, n := range want.ByVersion {
				check("flows of "+version, got.byVersion[versionNumbers[version]], n)
			}
			check("options records", s.Decode.Options, want.OptionsRecords)
			check("packets", got.packets, counter(want.Sums, "packet"))
			check("octets", got.octets, counter(want.Sums, "octet"))
			check("reverse packets", got.reversePackets, counter(want.Sums, "reverse:packet"))
			check("reverse octets", got.reverseOctets, counter(want.Sums, "reverse:octet"))

			without := map[string]uint64{}
			flows := map[string]uint64{}
			for _, e := range s.Decode.Exporters {
				for id, n := range e.WithoutTemplate {
					without[fmt.Sprintf("%d:%d:%d", e.Version, e.Domain, id)] += n
				}
				flows[e.Exporter.String()] += e.Flows
			}
			if f.NegativeTest {
				// Which of its broken templates a decoder believes is its own choice.
			} else if fmt.Sprint(without) != fmt.Sprint(want.Without) && len(without)+len(want.Without) > 0 {
				t.Errorf("data sets without template: %v, want %v", without, want.Without)
			}
			wantFlows := map[string]uint64{}
			for _, e := range want.Exporters {
				wantFlows[e.Address] += e.Flows
			}
			for address, n := range wantFlows {
				check("flows of "+address, flows[address], n)
			}
			if want.First != "" && name != severalClocks {
				checkTime(t, "first time", got.first, want.First)
				checkTime(t, "last time", got.last, want.Last)
			}
		})
	}
}

// counter picks a sum: delta counters, else totals.
func counter(sums map[string]uint64, prefix string) uint64 {
	if n, ok := sums[prefix+"DeltaCount"]; ok {
		return n
	}
	return sums[prefix+"TotalCount"]
}

// checkTime compares to the millisecond that the expectation is given in.
func checkTime(t *testing.T, what string, got netflow.Timestamp, want string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, want)
	if err != nil {
		t.Fatal(err)
	}
	if d := got.Time().Sub(at).Abs(); d > time.Millisecond {
		t.Errorf("%s %v, want %v", what, got.Time(), at)
	}
}

// All captures into one folder: every datagram is taken, and every flow of it stored once.
func TestAllCapturesTogether(t *testing.T) {
	dir, files := expectations(t)
	var paths []string
	want := uint64(0)
	for _, f := range files {
		paths = append(paths, filepath.Join(dir, f.File))
		for version, n := range f.Expected.Versions {
			if !strings.HasPrefix(version, "sflow") {
				want += n
			}
		}
	}
	s, got := readCaptures(t, paths...)
	if s.Datagrams != want || got.flows != s.Decode.Flows {
		t.Errorf("%d datagrams, want %d; %d flows stored of %d", s.Datagrams, want, got.flows, s.Decode.Flows)
	}
}
