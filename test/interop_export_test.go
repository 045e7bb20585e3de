package test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"
)

// exportCases says what each judge is known to lose of flows that our probe sends.
var exportCases = []struct {
	judge    string
	open     func(*testing.T) judge
	protocol string
	loses    tolerance
}{
	{"nfcapd", newNfcapd, "ipfix", tolerance{time: time.Millisecond}},
	{"nfcapd", newNfcapd, "v9", tolerance{time: time.Millisecond}},
	{"nfcapd", newNfcapd, "v5", tolerance{time: time.Millisecond}},
	{"nfcapd", newNfcapd, "v1", tolerance{time: time.Millisecond}},
	// It takes one byte of tcpControlBits, the upper one of two, and reckons uptimes in whole seconds.
	{"nfacctd", newNfacctd, "ipfix", tolerance{time: time.Millisecond, noFlags: true}},
	{"nfacctd", newNfacctd, "v9", tolerance{time: time.Second}},
	{"nfacctd", newNfacctd, "v5", tolerance{time: time.Second}},
	{"tshark", newTshark, "ipfix", tolerance{}},
	{"tshark", newTshark, "v9", tolerance{}},
	{"tshark", newTshark, "v5", tolerance{}},
	{"tshark", newTshark, "v1", tolerance{}},
}

// sent runs the probe on a capture and returns what it says that it has sent.
func sent(t *testing.T, path, address, protocol string) (exported tally, datagrams uint64) {
	t.Helper()
	out := run(t, "probe", append([]string{"-r", path, "-e", address, "--protocol", protocol, "--summary", "json"}, asExpected...)...)
	var s struct {
		Export struct {
			Collectors []struct {
				Exported  tally
				Datagrams uint64
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Export.Collectors) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	return s.Export.Collectors[0].Exported, s.Export.Collectors[0].Datagrams
}

// TestPeersReadGeneratedTrace: what our probe exports arrives whole at other people's collectors and decoders, every flow
// with its packets, bytes, TCP flags and times.
func TestPeersReadGeneratedTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	needsProc(t)
	path, all := smallTrace(t)
	for _, c := range exportCases {
		t.Run(c.judge+"/"+c.protocol, func(t *testing.T) {
			t.Parallel()
			want := all
			if c.protocol == "v5" || c.protocol == "v1" {
				want = all.ipv4()
			}
			judge := c.open(t)
			exported, datagrams := sent(t, path, judge.address(), c.protocol)
			if exported != want.total() {
				t.Errorf("the probe has exported %+v, want %+v", exported, want.total())
			}
			sum, flows := judge.judgement(t, datagrams)
			if sum != want.total() {
				t.Errorf("%s has %+v, want %+v", c.judge, sum, want.total())
			}
			if flows != nil {
				want.compare(t, flows, c.loses)
			}
		})
	}
}

// TestPeersReadCapture does the same with real packets, VLANs and five years in one capture, and compares the sums.
func TestPeersReadCapture(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	needsProc(t)
	dir, files := captures(t)
	const name = "pcpp-many-protocols.pcap"
	c, ok := files[name]
	if !ok {
		t.Skipf("%s is not among the captures", name)
	}
	for _, x := range exportCases {
		if x.judge == "nfacctd" {
			continue // prints some protocols by names of its own
		}
		t.Run(x.judge+"/"+x.protocol, func(t *testing.T) {
			t.Parallel()
			judge := x.open(t)
			exported, datagrams := sent(t, filepath.Join(dir, name), judge.address(), x.protocol)
			want := tally{c.Expected.Flows.Unidirectional, c.Expected.IPv4Packets + c.Expected.IPv6Packets, c.Expected.IPBytes}
			if x.protocol == "v5" || x.protocol == "v1" {
				want = tally{exported.Flows, c.Expected.IPv4Packets, exported.Bytes} // told for both families together
			}
			if exported != want {
				t.Errorf("the probe has exported %+v, want %+v", exported, want)
			}
			if sum, _ := judge.judgement(t, datagrams); sum != want {
				t.Errorf("%s has %+v, want %+v", x.judge, sum, want)
			}
		})
	}
}
