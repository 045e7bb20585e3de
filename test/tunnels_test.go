package test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow/netflowtest"
)

// inTunnel is a conversation in a tunnel, in one direction, and what is around it.
type inTunnel struct {
	Src      string `json:"src_addr"`
	Dst      string `json:"dst_addr"`
	Tunnel   uint64 `json:"tunnel_id"`
	OuterSrc string `json:"tunnel_src_addr"`
	OuterDst string `json:"tunnel_dst_addr"`
	Proto    uint64 `json:"tunnel_proto"`
	Type     uint64 `json:"tunnel_type"`
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
		{"zeek-tunnels-vxlan.pcap", "vxlan", "vxlan.vni"},
		{"zeek-geneve.pcap", "geneve", "geneve.vni"},
		{"zeek-geneve-vxlan-dns-truncated.pcap", "geneve,vxlan", "vxlan.vni"},
		{"zeek-gre-sample.pcap", "gre", ""},
		{"suri-bug-6402-01-input.pcap", "geneve,gre", "geneve.vni"},
		{"zeek-4in4.pcap", "ipip", ""},
		{"zeek-6in4.pcap", "6in4", ""},
		{"tcpdump-mpls-over-udp.pcap", "mpls", ""},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, c.file)
			columns := []string{"frame.protocols", "ip.src", "ip.dst", "ip.proto", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.plen"}
			fields := "default,tunnel_src_addr,tunnel_dst_addr,tunnel_proto,tunnel_type"
			if c.number != "" {
				columns, fields = append(columns, c.number), fields+",tunnel_id"
			}
			args := []string{"-r", file, "-o", "ip.defragment:FALSE", "-T", "fields", "-E", "separator=|"}
			for _, column := range columns {
				args = append(args, "-e", column)
			}
			out, err := exec.Command(program, args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			want := map[inTunnel]volume{}
			for line := range strings.Lines(string(out)) {
				key, bytes := readTunnel(t, strings.Split(strings.TrimSuffix(line, "\n"), "|"))
				sum := want[key]
				want[key] = volume{sum.Packets + 1, sum.Bytes + bytes}
			}

			store := t.TempDir()
			sink, address := collector(t, store)
			run(t, "probe", "-r", file, "-e", address, "--decap", c.decap, "--fields", fields)
			sink.stop()
			by := "src_addr,dst_addr,tunnel_id,tunnel_src_addr,tunnel_dst_addr,tunnel_proto,tunnel_type"
			got := map[inTunnel]volume{}
			for line := range strings.Lines(run(t, "flowstat", "--by", by, "-n", "0", "-o", "ndjson", store)) {
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

			// What flowprint lists and what the filter chooses, of the same.
			lines := strings.Split(run(t, "flowprint", "-o", "csv", store), "\n")
			titles := strings.Split(lines[0], ",")
			for key := range want {
				var listed uint64
				for _, line := range lines[1:] {
					row := strings.Split(line, ",")
					value := func(name string) string { return row[slices.Index(titles, name)] }
					if len(row) == len(titles) && value("src_addr") == key.Src && value("dst_addr") == key.Dst && value("tunnel_src_addr") == key.OuterSrc &&
						value("tunnel_dst_addr") == key.OuterDst && value("tunnel_proto") == strconv.FormatUint(key.Proto, 10) {
						n, _ := strconv.ParseUint(value("packets"), 10, 64)
						listed += n
					}
				}
				filter := "src ip " + key.Src + " and dst ip " + key.Dst + " and tun proto 0"
				if key.Proto != 0 {
					filter = "src ip " + key.Src + " and dst ip " + key.Dst + " and src tun ip " + key.OuterSrc + " and dst tun ip " + key.OuterDst +
						" and tun proto " + strconv.FormatUint(key.Proto, 10)
				}
				var packets uint64
				for k, v := range want {
					if k.Tunnel, k.Type = key.Tunnel, key.Type; k == key {
						packets += v.Packets
					}
				}
				if chosen := stat(t, "-f", filter, store); chosen.Packets != packets || listed != packets {
					t.Errorf("%+v: %d packets, flowprint lists %d, %q chooses %d", key, packets, listed, filter, chosen.Packets)
				}
			}
		})
	}
}

// readTunnel reads what tshark says of a packet: the innermost IP header, what is around it, and the length that it tells. Of
// a message of ICMP the packet complained of is none of them.
func readTunnel(t *testing.T, columns []string) (key inTunnel, bytes uint64) {
	t.Helper()
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	next := func(column int) (value string) {
		value, columns[column], _ = strings.Cut(columns[column], ",")
		return value
	}
	var headers []inTunnel // each with its protocol, and the kind of tunnel that follows
protocols:
	for name := range strings.SplitSeq(columns[0], ":") {
		first, more := 1, uint64(0)
		switch name {
		case "icmp", "icmpv6":
			break protocols
		case "vxlan", "gre", "geneve":
			headers[len(headers)-1].Type = map[string]uint64{"vxlan": 1, "gre": 2, "geneve": 7}[name]
			continue
		case "ip":
		case "ipv6":
			first, more = 5, 40
		default:
			continue
		}
		headers = append(headers, inTunnel{Src: next(first), Dst: next(first + 1), Proto: number(next(first + 2))})
		bytes = number(next(first+3)) + more
	}
	n := len(headers)
	key = inTunnel{Src: headers[n-1].Src, Dst: headers[n-1].Dst}
	if n > 1 {
		around := headers[n-2]
		key.OuterSrc, key.OuterDst, key.Proto, key.Type = around.Src, around.Dst, around.Proto, around.Type
		if len(columns) > 9 && columns[9] != "" {
			key.Tunnel = number(columns[9])
		}
	}
	return key, bytes
}
