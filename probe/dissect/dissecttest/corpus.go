// Package dissecttest gives tests the captures of the corpora beside the repository, with the figures that independent
// tools counted in them.
package dissecttest

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// Capture is one capture file and what it holds.
type Capture struct {
	Name      string // path below the folder of the corpus
	Path      string
	Malformed bool // crafted or damaged: Expected is information, not law

	Expected struct {
		Packets   int            `json:"packets"`
		IPv4      int            `json:"ipv4_packets"`
		IPv6      int            `json:"ipv6_packets"`
		NonIP     int            `json:"non_ip_packets"`
		Bad       int            `json:"bad_ip_header_packets"`
		IPBytes   uint64         `json:"ip_bytes"`
		Fragments int            `json:"fragments"`
		Protocols map[string]int `json:"protocols"`
		Flows     struct {
			Plain    int `json:"unidirectional"`                         // ports 0 for ICMP
			ICMP     int `json:"unidirectional_icmp_type_code_as_dport"` // ICMP type and code as destination port
			WithVLAN int `json:"unidirectional_with_outer_vlan"`         // ports 0 for ICMP
			Inner    int `json:"unidirectional_innermost_ip"`            // all tunnels entered; ports 0 for ICMP
			Joined   int `json:"unidirectional_fragments_joined"`        // later fragments have the first one's ports
		} `json:"flows"`
		TopSources []Source `json:"top_sources_by_ip_bytes"`
	} `json:"expected"`
}

// Source is an address that packets came from.
type Source struct {
	Address string `json:"address"`
	IPBytes uint64 `json:"ip_bytes"`
	Packets uint64 `json:"packets"`
}

// Captures lists the packet captures of the corpora by name. It skips the test where there are none.
func Captures(tb testing.TB) []Capture {
	tb.Helper()
	dir := netflowtest.Corpora(tb, "packets")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var all struct {
		Files map[string]*Capture `json:"files"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		tb.Fatalf("expected.json: %v", err)
	}
	var list []Capture
	for name, c := range all.Files {
		c.Name, c.Path = name, filepath.Join(dir, name)
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Capture) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Each calls visit for every frame of the capture; the frame's data is valid during the call. A malformed capture may
// end early.
func (c *Capture) Each(tb testing.TB, visit func(f pcapfile.Frame)) {
	tb.Helper()
	r, err := pcapfile.Open(c.Path)
	if err != nil {
		if !c.Malformed {
			tb.Fatal(err)
		}
		return
	}
	defer r.Close()
	for {
		f, err := r.Next()
		if err != nil {
			if err != io.EOF && !c.Malformed {
				tb.Fatal(err)
			}
			return
		}
		visit(f)
	}
}
