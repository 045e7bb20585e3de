package export_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe/export"
)

// appendPacket appends a pcap record (https://www.tcpdump.org/manpages/pcap-savefile.5.html) of a datagram to port 4739,
// from the IP header on (LINKTYPE_RAW, 101).
func appendPacket(dst []byte, seconds int, payload []byte) []byte {
	n := 28 + len(payload)
	for _, v := range []int{seconds, 0, n, n} {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
	}
	dst = append(dst, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	dst = append(dst, 0xc0, 0, 4739>>8, 4739&0xff, byte((n-20)>>8), byte(n-20), 0, 0)
	return append(dst, payload...)
}

// capture writes what arrives for n datagrams as a pcap file.
func capture(t *testing.T, c *collector, n int) string {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0)
	for i, msg := range c.next(t, n) {
		b = appendPacket(b, i, msg)
	}
	name := filepath.Join(t.TempDir(), "export.pcap")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func tshark(t *testing.T, file string, args ...string) string {
	t.Helper()
	args = append([]string{"-r", file, "-n", "-d", "udp.port==4739,cflow", "-o", "ip.check_checksum:FALSE"}, args...)
	out, err := exec.Command(program(t, "tshark"), args...).Output()
	if err != nil {
		t.Fatalf("tshark %v: %v", args, err)
	}
	return string(out)
}

func TestTsharkHasNoComplaint(t *testing.T) {
	program(t, "tshark")
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			c := listen(t)
			flows, nows := traffic(1000, time.Date(2014, 3, 4, 5, 6, 7, 891e6, time.UTC))
			for i := range flows { // all that the formats can say
				if i%13 == 0 {
					flows[i].SrcAS, flows[i].SrcMask, flows[i].ForwardingStatus = 64512, 24, 0x42
				}
				if i%17 == 0 && protocol == "ipfix" {
					flows[i].ReversePackets, flows[i].ReverseBytes = 3, 300
				}
			}
			cfg := export.Config{Destinations: []string{c.addr}, Protocol: protocol, MTU: 700, TemplatePackets: 5, Domain: 7, Sampling: 100}
			s := replay(t, cfg, flows, nows)
			file := capture(t, c, int(s.Destinations[0].Datagrams))

			tsharkIsContent(t, file)
			var records, bytes uint64
			for f := range strings.FieldsFuncSeq(tshark(t, file, "-T", "fields", "-e", "cflow.octets"), func(r rune) bool { return r == '\n' || r == ',' }) {
				n, err := strconv.ParseUint(f, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				records++
				bytes += n
			}
			_, total := expected(protocol, flows)
			if protocol == "ipfix" { // octets of the other direction have the same name here
				for _, r := range flows {
					if r.ReverseBytes > 0 {
						total.Flows++
						total.Bytes += r.ReverseBytes
					}
				}
			}
			if records != total.Flows || bytes != total.Bytes {
				t.Errorf("tshark sees %d records with %d bytes, want %d, %d", records, bytes, total.Flows, total.Bytes)
			}
		})
	}
}

// tsharkIsContent wants tshark to understand everything, and returns all that it says.
func tsharkIsContent(t *testing.T, file string) (text string) {
	t.Helper()
	if said := tshark(t, file, "-q", "-z", "expert"); strings.TrimSpace(said) != "" {
		t.Errorf("expert information:\n%s", said)
	}
	text = tshark(t, file, "-V")
	for _, bad := range []string{"Malformed", "[Expert", "No template found", "Unknown"} {
		if i := strings.Index(text, bad); i >= 0 {
			t.Errorf("%q in tshark's output: %.500s", bad, text[max(0, i-500):])
		}
	}
	return text
}
