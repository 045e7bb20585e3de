package export_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
	v9 "github.com/caprock-net/caprock/netflow/v9"
	"github.com/caprock-net/caprock/probe/export"
)

// talkative tells collectors all that can be told.
func talkative(to, protocol string) export.Config {
	return export.Config{
		Destinations: []string{to}, Protocol: protocol, MTU: 700, TemplatePackets: 5, TemplateEvery: 10 * time.Second, Domain: 7, Sampling: 100,
		Options: export.Options, Boot: present - 86400e6, Ignored: func() uint64 { return 5 },
		Interfaces: func() []netflow.Interface {
			list := []netflow.Interface{{Index: 1, Name: "eth0", Description: "to the ridge"}, {Index: 2, Name: "wg1"}}
			for i := range uint32(20) {
				list = append(list, netflow.Interface{Index: 100 + i, Name: fmt.Sprint("ppp", i), Description: "пользователь"})
			}
			return list
		},
	}
}

// TestOptions has our own decoder keep options data apart, and nothing missing in the sequence.
func TestOptions(t *testing.T) {
	for _, protocol := range []string{"ipfix", "v9"} {
		t.Run(protocol, func(t *testing.T) {
			c := listen(t)
			flows, nows := traffic(1000, time.Date(2014, 3, 4, 5, 6, 7, 891e6, time.UTC)) // 53 seconds
			s := replay(t, talkative(c.addr, protocol), flows, nows)
			version, decode := uint8(netflow.VersionIPFIX), ipfix.Decode
			if protocol == "v9" {
				version, decode = netflow.VersionV9, v9.Decode
			}
			d := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, version)
			b := netflow.NewBatch(len(flows))
			var rep template.Report
			var sequence, announcements uint32
			for i, msg := range c.next(t, int(s.Destinations[0].Datagrams)) {
				if got := sequenceOf(t, protocol, msg); got != sequence {
					t.Fatalf("datagram %d has sequence %d, want %d", i, got, sequence)
				}
				before := rep.Flows + rep.Options
				flowsBefore := rep.Flows
				if err := decode(b, d, msg, &rep); err != nil {
					t.Fatal(err)
				}
				if rep.Flows == flowsBefore {
					announcements++
				}
				if sequence++; protocol == "ipfix" {
					sequence += uint32(rep.Flows+rep.Options-before) - 1
				}
			}
			if rep.Flows != len(flows) || len(rep.Missing) > 0 || rep.Problems != (template.Report{}).Problems {
				t.Errorf("%+v, want %d flows", rep, len(flows))
			}
			// In 53 seconds told every 10: six times, each in several datagrams, for there are 22 interfaces.
			if announcements < 12 || rep.Options < 6*23 || rep.Options > 6*(22+3)+40 {
				t.Errorf("%d datagrams of options, %d records", announcements, rep.Options)
			}
			if d.SamplingRate() != 100 {
				t.Errorf("sampling rate %d", d.SamplingRate())
			}
			if got := s.Destinations[0].Records; got != uint64(len(flows)) {
				t.Errorf("%d records counted, want the flows only", got)
			}
		})
	}
}

func sequenceOf(t *testing.T, protocol string, msg []byte) uint32 {
	t.Helper()
	if protocol == "v9" {
		h, err := v9.ParseHeader(msg)
		if err != nil {
			t.Fatal(err)
		}
		return h.Sequence
	}
	h, err := ipfix.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	return h.Sequence
}

// TestTsharkReadsOptions: tshark finds the names and the numbers, and nothing to complain of.
func TestTsharkReadsOptions(t *testing.T) {
	program(t, "tshark")
	for _, protocol := range []string{"ipfix", "v9"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			c := listen(t)
			flows, nows := traffic(500, time.Date(2014, 3, 4, 5, 6, 7, 891e6, time.UTC))
			s := replay(t, talkative(c.addr, protocol), flows, nows)
			file := capture(t, c, int(s.Destinations[0].Datagrams))
			text := tsharkIsContent(t, file)
			want := []string{"IfName: eth0", "IfDescr: to the ridge", "IfName: ppp19", "Sampling interval: 100"}
			if protocol == "ipfix" {
				want = append(want, "Ignored Packets: 5", "Not Sent Packets: 0", "System Init Time")
			}
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("tshark does not say %q", w)
				}
			}
			// What was exported before grows from one announcement to the next.
			counts := regexp.MustCompile(`FlowsExp: (\d+)`).FindAllStringSubmatch(text, -1)
			last := -1
			for _, m := range counts {
				n, _ := strconv.Atoi(m[1])
				if n <= last {
					t.Errorf("%d flows exported after %d", n, last)
				}
				last = n
			}
			if len(counts) < 3 || last < 300 || last > 500 {
				t.Errorf("flows exported: %v", counts)
			}
		})
	}
}

// TestNfcapdAndOptions: by default, and in v9 whatever is told, nfcapd misses nothing. In IPFIX nfcapd 1.7.1 reports an
// error for each message with options, which is why those that it has no use for are told only to who asks for them.
func TestNfcapdAndOptions(t *testing.T) {
	tests := []struct {
		name, protocol string
		options        []string
		errors         bool
	}{
		{"v9, all", "v9", export.Options, false},
		{"ipfix, default", "ipfix", nil, false},
		{"ipfix, all", "ipfix", export.Options, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			addr, stop := peer(t, syscall.SIGTERM, "nfcapd", func(port string) []string {
				return []string{"-w", dir, "-p", port, "-b", "127.0.0.1", "-B", "4000000"}
			})
			flows, nows := traffic(1000, time.Date(2014, 3, 4, 5, 6, 7, 891e6, time.UTC))
			cfg := talkative(addr, tt.protocol)
			cfg.MaxRate, cfg.Options, cfg.Sampling = 2000, tt.options, 1
			replay(t, cfg, flows, nows)
			drained(t, addr)
			said := stop()
			var packets, bytes uint64
			for i := range flows {
				packets, bytes = packets+flows[i].Packets, bytes+flows[i].Bytes
			}
			line := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: ", len(flows), packets, bytes)
			_, rest, ok := strings.Cut(said, line)
			if !ok || !strings.Contains(rest, "Bad Packets: 0") {
				t.Fatalf("nfcapd does not say %q:\n%s", line, said)
			}
			if got := !strings.HasPrefix(rest, "0,"); got != tt.errors {
				t.Errorf("nfcapd says %s%s", line, rest)
			}
		})
	}
}
