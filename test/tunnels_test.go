package test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow/netflowtest"
)

// inTunnel is a conversation in a tunnel, in one direction.
type inTunnel struct {
	Src    string `json:"src_addr"`
	Dst    string `json:"dst_addr"`
	Tunnel uint64 `json:"tunnel_id"`
}

type volume struct{ Packets, Bytes uint64 }

// TestTunnels sends what is in tunnels through probe and collector; tshark says which addresses, bytes and tunnels there are.
func TestTunnels(t *testing.T) {
	program := peer(t, "tshark")
	dir := netflowtest.Corpora(t, "packets")
	for _, c := range []struct{ file, decap, number string }{
		{"zeek-gtp6_gtp_0x32.pcap", "gtpu", "gtp.teid"},
		{"zeek-gtp1_gn_normal_incl_fragmentation.pcap", "gtpu", "gtp.teid"},
		{"suri-vxlan-decoder-03-vxlan.pcap", "vxlan,gre", "vxlan.vni"},
		{"zeek-geneve.pcap", "geneve", "geneve.vni"},
		{"zeek-gre-sample.pcap", "gre", ""},
		{"suri-bug-6402-01-input.pcap", "geneve,gre", "geneve.vni"},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, c.file)
			args := []string{"-r", file, "-o", "ip.defragment:FALSE", "-T", "fields", "-E", "separator=|", "-e", "ip.src", "-e", "ip.dst", "-e", "ip.len", "-e", "icmp.type"}
			fields := "default"
			if c.number != "" {
				args, fields = append(args, "-e", c.number), "default,tunnel_id"
			}
			out, err := exec.Command(program, args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			want := map[inTunnel]volume{}
			for line := range strings.Lines(string(out)) {
				column := strings.Split(strings.TrimSuffix(line, "\n"), "|")
				last := func(i int) string {
					values := strings.Split(column[i], ",")
					if column[3] == "3" { // unreachable: the last header is that of the packet complained of
						values = values[:len(values)-1]
					}
					return values[len(values)-1]
				}
				key := inTunnel{Src: last(0), Dst: last(1)}
				if c.number != "" && column[4] != "" {
					if key.Tunnel, err = strconv.ParseUint(column[4], 0, 32); err != nil {
						t.Fatal(err)
					}
				}
				bytes, err := strconv.ParseUint(last(2), 10, 16)
				if err != nil {
					t.Fatal(err)
				}
				sum := want[key]
				want[key] = volume{sum.Packets + 1, sum.Bytes + bytes}
			}

			store := t.TempDir()
			sink, address := collector(t, store)
			run(t, "probe", "-r", file, "-e", address, "--decap", c.decap, "--fields", fields)
			sink.stop()
			got := map[inTunnel]volume{}
			for line := range strings.Lines(run(t, "flowstat", "--by", "src_addr,dst_addr,tunnel_id", "-n", "0", "-o", "ndjson", store)) {
				var row struct {
					inTunnel
					volume
				}
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				got[row.inTunnel] = row.volume
			}
			if !maps.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}
