package test

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow/netflowtest"
)

// capture is what corpora/packets/expected.json says of one file; an independent reader counted it.
type capture struct {
	Malformed bool
	Expected  struct {
		Packets     uint64
		IPv4Packets uint64 `json:"ipv4_packets"`
		IPv6Packets uint64 `json:"ipv6_packets"`
		IPBytes     uint64 `json:"ip_bytes"`
		Flows       struct {
			Unidirectional uint64 `json:"unidirectional_icmp_type_code_as_dport"`
		}
		TopSources []struct {
			Address string
			IPBytes uint64 `json:"ip_bytes"`
			Packets uint64
		} `json:"top_sources_by_ip_bytes"`
	}
}

func captures(t *testing.T) (dir string, files map[string]capture) {
	dir = netflowtest.Corpora(t, "packets")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Files map[string]capture }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return dir, all.Files
}

// asExpected are the options that make one flow of each 5-tuple, as expected.json counts them.
var asExpected = []string{"--key", "src_addr,dst_addr,src_port,dst_port,proto", "--no-tcp-expiry", "--active", "876000h", "--inactive", "876000h",
	"--fragment-ports=false"}

// TestEveryCaptureArrivesWhole sends every capture through probe and collector and compares what flowstat reads with
// what an independent reader counted.
func TestEveryCaptureArrivesWhole(t *testing.T) {
	dir, files := captures(t)
	for _, protocol := range []string{"ipfix", "v9", "v5"} {
		for name, c := range files {
			if c.Malformed || testing.Short() && protocol != "ipfix" {
				continue
			}
			t.Run(protocol+"/"+name, func(t *testing.T) {
				t.Parallel()
				store := t.TempDir()
				sink, address := collector(t, store)
				run(t, "probe", append([]string{"-r", filepath.Join(dir, name), "-e", address, "--protocol", protocol}, asExpected...)...)
				sink.stop()
				got, want := stat(t, store), c.Expected
				if protocol == "v5" {
					if got.Packets != want.IPv4Packets {
						t.Errorf("%d packets, want the %d of IPv4", got.Packets, want.IPv4Packets)
					}
					if want.IPv6Packets > 0 {
						return // bytes and flows are told for both families together
					}
				}
				if got.Packets != want.IPv4Packets+want.IPv6Packets || got.Bytes != want.IPBytes || got.Flows != want.Flows.Unidirectional {
					t.Errorf("packets %d, bytes %d, flows %d; want %d, %d, %d", got.Packets, got.Bytes, got.Flows,
						want.IPv4Packets+want.IPv6Packets, want.IPBytes, want.Flows.Unidirectional)
				}
				compareTopSources(t, c, run(t, "flowstat", "--by", "src_addr", "--sort", "bytes", "-n", "0", "-o", "ndjson", store))
			})
		}
	}
}

func compareTopSources(t *testing.T, c capture, out string) {
	t.Helper()
	type source struct {
		Address        string `json:"src_addr"`
		Packets, Bytes uint64
	}
	var got []source
	for line := range strings.Lines(out) {
		var s source
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, s)
	}
	if !slices.IsSortedFunc(got, func(a, b source) int { return cmp.Compare(b.Bytes, a.Bytes) }) {
		t.Errorf("not in the order of bytes: %v", got)
	}
	// Sources of equal bytes are told in the order of their text.
	slices.SortStableFunc(got, func(a, b source) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Address, b.Address))
	})
	for i, want := range c.Expected.TopSources {
		if i >= len(got) || got[i] != (source{want.Address, want.Packets, want.IPBytes}) {
			t.Errorf("source %d: want %+v, got %+v", i+1, want, got[min(i, len(got)):min(i+1, len(got))])
		}
	}
}

// TestDamagedCaptures wants the probe to survive packets made to break it, and its summary to add up.
func TestDamagedCaptures(t *testing.T) {
	dir, files := captures(t)
	for name, c := range files {
		if !c.Malformed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := t.TempDir()
			sink, address := collector(t, store)
			stdout, stderr, _ := try(t, "", "probe", append([]string{"-r", filepath.Join(dir, name), "-e", address, "--summary", "json"}, asExpected...)...)
			sink.stop()
			checkSummary(t, stdout, stderr, stat(t, store))
		})
	}
}
