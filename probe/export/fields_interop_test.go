package export_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/export"
)

// fieldLists are lists of fields for other programs to read: an address family with every field that there is, times in
// each encoding, and hardly anything at all in an order of its own.
var fieldLists = []struct{ protocol, fields string }{
	{"ipfix", "all"},
	{"ipfix", "all,reverse_bytes,reverse_packets,reverse_tcp_flags,tcp_rtt,tcp_retransmits,reverse_tcp_retransmits,dot1qVlanId,tunnel_id,gtpuTEid,icmpTypeCodeIPv4,ipPrecedence,ipDiffServCodePoint,tunnel_src_addr,tunnel_dst_addr,tunnel_proto,tunnel_type"},
	{"ipfix", "packets,bytes,dst_port,src_port,proto,dst_addr,src_addr,flowEndSeconds,flowStartSeconds"},
	{"ipfix", "tunnelSourceIPv4Address,tunnelDestinationIPv4Address,tunnelProtocolIdentifier,minimumTTL,src_addr,bytes,packets,flowStartMicroseconds,flowEndMicroseconds,proto"},
	{"ipfix", "bytes,flowStartNanoseconds,flowEndNanoseconds,flowDurationMilliseconds,packets,min_length,max_length,src_addr"},
	{"v9", "all"},
	{"v9", "all,tcp_retransmits,dot1qVlanId,tunnel_id,gtpuTEid,icmpTypeCodeIPv4,ipPrecedence,ipDiffServCodePoint,start,end"},
	{"v9", "end,packets,bytes,dst_port,src_port,proto,dst_addr,src_addr,start"},
	{"v9", "flowEndMilliseconds,packets,bytes,src_addr,flowStartMilliseconds"},
}

// detailed gives the flows values in all fields.
func detailed(flows []netflow.Record) {
	for i := range flows {
		r := &flows[i]
		r.VLAN, r.CustomerVLAN, r.MPLSLabel, r.SrcMAC, r.DstMAC = 100, 200, uint32(16+i), netflow.MAC{2, 0, 0, 0, 0, 1}, netflow.MAC{2, 0, 0, 0, 0, 2}
		r.MinTTL, r.MaxTTL, r.MinLength, r.MaxLength, r.FragmentFlags = 63, 64, 40, 70000, 0x60
		r.TunnelSrcAddr, r.TunnelDstAddr = netflow.AddrFrom4([4]byte{192, 0, 2, 1}), netflow.AddrFrom4([4]byte{192, 0, 2, 2})
		r.TunnelProto, r.TunnelType = 17, netflow.TunnelVXLAN
		r.TunnelID, r.TCPRTT, r.TCPRetransmits = 0xabcdef, 1500, 3
	}
}

func TestNfcapdTakesChosenFields(t *testing.T) {
	nfdump := program(t, "nfdump")
	for _, list := range fieldLists {
		t.Run(list.protocol+" "+list.fields[:min(len(list.fields), 30)], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			addr, stop := peer(t, syscall.SIGTERM, "nfcapd", func(port string) []string {
				return []string{"-w", dir, "-p", port, "-b", "127.0.0.1", "-B", "4000000"}
			})
			flows, nows := traffic(1000, time.Now().Add(-5*time.Minute))
			detailed(flows)
			replay(t, export.Config{Destinations: []string{addr}, Protocol: list.protocol, Fields: strings.Split(list.fields, ","), MaxRate: 2000}, flows, nows)
			drained(t, addr)
			said := stop()
			want, total := expected(list.protocol, flows)
			line := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: 0, Bad Packets: 0", total.Flows, total.Packets, total.Bytes)
			if !strings.Contains(said, line) {
				t.Errorf("nfcapd does not say %q:\n%s", line, said)
			}
			if !strings.HasPrefix(list.fields, "all") || strings.Contains(list.fields, "reverse_tcp_flags") {
				return // nfdump 1.7.1 puts the flags of the other direction in the place of the flow's
			}
			cmd := exec.Command(nfdump, "-R", dir, "-o", "json")
			cmd.Env = append(cmd.Environ(), "TZ=UTC")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			compareNfdump(t, out, list.protocol, want)
		})
	}
}

func TestNfacctdTakesChosenFields(t *testing.T) {
	program(t, "nfacctd")
	for i, list := range fieldLists {
		if i%2 == 0 {
			continue // these take their time, and there is one of each kind among the others
		}
		t.Run(list.protocol+" "+list.fields[:min(len(list.fields), 30)], func(t *testing.T) {
			t.Parallel()
			addr, file, stop := nfacctd(t, "src_host,src_port")
			time.Sleep(2 * time.Second) // its plugin starts after its socket
			flows, nows := traffic(1000, time.Now().Add(-5*time.Minute))
			detailed(flows)
			replay(t, export.Config{Destinations: []string{addr}, Protocol: list.protocol, Fields: strings.Split(list.fields, ","), MaxRate: 1000}, flows, nows)
			drained(t, addr)
			said := stop()
			out, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; nfacctd said\n%s", err, said)
			}
			rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
			if err != nil || len(rows) == 0 {
				t.Fatalf("%v in %.300s", err, out)
			}
			var got export.Tally
			for _, row := range rows[1:] {
				for i, name := range rows[0] {
					n, _ := strconv.ParseUint(row[i], 10, 64)
					switch name {
					case "PACKETS":
						got.Packets += n
					case "BYTES":
						got.Bytes += n
					}
				}
			}
			_, total := expected(list.protocol, flows)
			if total.Flows = 0; got != total {
				t.Errorf("nfacctd counts %+v, want %+v; it said\n%s", got, total, said)
			}
		})
	}
}

func TestTsharkReadsChosenFields(t *testing.T) {
	program(t, "tshark")
	for _, list := range fieldLists {
		t.Run(list.protocol+" "+list.fields[:min(len(list.fields), 30)], func(t *testing.T) {
			t.Parallel()
			c := listen(t)
			flows, nows := traffic(300, time.Date(2014, 3, 4, 5, 6, 7, 891e6, time.UTC))
			detailed(flows)
			cfg := export.Config{Destinations: []string{c.addr}, Protocol: list.protocol, Fields: strings.Split(list.fields, ","), TemplatePackets: 5, Domain: 7}
			s := replay(t, cfg, flows, nows)
			file := capture(t, c, int(s.Destinations[0].Datagrams))
			if said := tshark(t, file, "-q", "-z", "expert"); strings.TrimSpace(said) != "" {
				t.Errorf("expert information:\n%s", said)
			}
			text := tshark(t, file, "-V")
			for _, bad := range []string{"Malformed", "[Expert", "No template found"} {
				if i := strings.Index(text, bad); i >= 0 {
					t.Errorf("%q in tshark's output: %.500s", bad, text[max(0, i-500):])
				}
			}
			var records, octets uint64
			for f := range strings.FieldsFuncSeq(tshark(t, file, "-T", "fields", "-e", "cflow.octets"), func(r rune) bool { return r == '\n' || r == ',' }) {
				n, err := strconv.ParseUint(f, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				records++
				octets += n
			}
			_, total := expected(list.protocol, flows)
			if strings.Contains(list.fields, "reverse_bytes") {
				total.Flows *= 2 // octets of the other direction have the same name here
			}
			if records != total.Flows || octets != total.Bytes {
				t.Errorf("tshark sees %d records with %d bytes, want %d, %d", records, octets, total.Flows, total.Bytes)
			}
		})
	}
}
