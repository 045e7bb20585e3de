package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/export"
)

// Independent collectors and a decoder judge what we send: nfcapd with nfdump, nfacctd, tshark. Each test skips when its
// program is not installed.

// peer starts a collector on a port of the loopback and waits until it listens. stop ends it by the signal and returns
// what it has printed. A collector that ends at once has lost its port to somebody else, and is started on another.
func peer(t *testing.T, end syscall.Signal, name string, args func(port string) []string) (addr string, stop func() string) {
	t.Helper()
	path := program(t, name)
	said := ""
	for range 5 {
		at := freePort(t)
		out := &bytes.Buffer{}
		cmd := exec.Command(path, args(strconv.Itoa(at.Port))...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		stop := sync.OnceValue(func() string {
			cmd.Process.Signal(end)
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				cmd.Process.Kill()
				<-done
				t.Errorf("%s did not end by itself: %s", name, out)
			}
			return out.String()
		})
		if listens(at, done) {
			t.Cleanup(func() { stop() })
			return at.String(), stop
		}
		said = stop()
	}
	t.Fatalf("%s does not listen: %s", name, said)
	return "", nil
}

// freePort chooses a port below those that systems give to sockets without one, so that no socket of the tests beside
// this one takes it before the collector does.
func freePort(t *testing.T) *net.UDPAddr {
	t.Helper()
	for range 100 {
		at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000 + rand.IntN(12000)}
		if conn, err := net.ListenUDP("udp", at); err == nil {
			conn.Close()
			return at
		}
	}
	t.Fatal("no port is free")
	return nil
}

// listens waits until the port is taken, by a program that does not end soon after.
func listens(at *net.UDPAddr, ended <-chan struct{}) bool {
	for range 200 {
		conn, err := net.ListenUDP("udp", at)
		if err == nil {
			conn.Close()
		}
		select {
		case <-ended:
			return false
		case <-time.After(25 * time.Millisecond):
		}
		if err != nil {
			select {
			case <-ended:
				return false
			case <-time.After(250 * time.Millisecond):
				return true
			}
		}
	}
	return false
}

// drained waits until the socket at an IPv4 address has been read empty, and a little longer for what was read last.
func drained(t *testing.T, addr string) {
	t.Helper()
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprintf(":%04X 00000000:0000 ", at.Port())
	for range 400 {
		time.Sleep(50 * time.Millisecond)
		table, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			break // not Linux
		}
		if _, line, ok := strings.Cut(string(table), port); ok && strings.Contains(line[:24], ":00000000 ") {
			break // state tx_queue:rx_queue
		}
	}
	time.Sleep(500 * time.Millisecond)
}

func program(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no other programs are started")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if p := filepath.Join(dir, name); exec.Command("test", "-x", p).Run() == nil {
				return p
			}
		}
		t.Skip(name, " is not installed")
	}
	return path
}

// traffic is some minutes of flows in the order in which a cache lets them go, with the time at which it does.
func traffic(n int, from time.Time) (flows []netflow.Record, nows []netflow.Timestamp) {
	at := netflow.TimestampOf(from)
	for i := range n {
		r := flow(i)
		r.End = at + netflow.Timestamp(i)*53_000
		r.Start = r.End - netflow.Timestamp(i%90)*1_234_567
		flows = append(flows, r)
		nows = append(nows, r.End+netflow.Timestamp(i%3)*500_000)
	}
	return flows, nows
}

// replay exports flows as the probe does, with a Flush each second of packet time.
func replay(t *testing.T, cfg export.Config, flows []netflow.Record, nows []netflow.Timestamp) export.Stats {
	t.Helper()
	e := newExporter(t, cfg)
	flushed := nows[0]
	for i := range flows {
		if err := e.Export(nows[i], &flows[i]); err != nil {
			t.Fatal(err)
		}
		if nows[i]-flushed > 1e6 {
			e.Flush(nows[i])
			flushed = nows[i]
		}
	}
	e.Flush(nows[len(nows)-1])
	s := e.Stats()
	for _, d := range s.Destinations {
		if sum(t, s, d); d.TotalLost().Datagrams != 0 {
			t.Errorf("lost on the loopback: %+v", d)
		}
	}
	return s
}

// expected lists the flows that the protocol carries, by source address and port, which make the test's flows unique.
func expected(protocol string, flows []netflow.Record) (want map[string]netflow.Record, total export.Tally) {
	want = map[string]netflow.Record{}
	for _, r := range flows {
		if r.IPVersion == 6 && (protocol == "v5" || protocol == "v1") {
			continue
		}
		want[key(r.SrcAddr.String(), r.SrcPort)] = r
		total.Flows++
		total.Packets += r.Packets
		total.Bytes += r.Bytes
	}
	return want, total
}

func key(addr string, port uint16) string { return fmt.Sprintf("%s %d", addr, port) }

var ages = []struct {
	name string
	from time.Time
}{
	{"now", time.Now().Add(-5 * time.Minute)},
	{"a capture of 2014", time.Date(2014, 3, 4, 5, 6, 7, 891e6, time.UTC)},
}

func TestNfcapdUnderstandsUs(t *testing.T) {
	nfdump := program(t, "nfdump")
	for _, protocol := range protocols {
		for _, age := range ages {
			t.Run(protocol+" "+age.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				addr, stop := peer(t, syscall.SIGTERM, "nfcapd", func(port string) []string {
					return []string{"-w", dir, "-p", port, "-b", "127.0.0.1", "-B", "4000000"}
				})
				flows, nows := traffic(2000, age.from)
				replay(t, export.Config{Destinations: []string{addr}, Protocol: protocol, MaxRate: 2000}, flows, nows)
				drained(t, addr)
				said := stop()
				want, total := expected(protocol, flows)
				line := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: 0, Bad Packets: 0", total.Flows, total.Packets, total.Bytes)
				if !strings.Contains(said, line) {
					t.Errorf("nfcapd does not say %q:\n%s", line, said)
				}

				cmd := exec.Command(nfdump, "-R", dir, "-o", "json")
				cmd.Env = append(cmd.Environ(), "TZ=UTC")
				out, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				compareNfdump(t, out, protocol, want)
			})
		}
	}
}

// nfdumpFlow is what nfdump -o json tells of a flow.
type nfdumpFlow struct {
	First    string `json:"first"`
	Last     string `json:"last"`
	Src4     string `json:"src4_addr"`
	Dst4     string `json:"dst4_addr"`
	Src6     string `json:"src6_addr"`
	Dst6     string `json:"dst6_addr"`
	SrcPort  uint16 `json:"src_port"`
	DstPort  uint16 `json:"dst_port"`
	ICMPType uint8  `json:"icmp_type"`
	ICMPCode uint8  `json:"icmp_code"`
	Proto    uint8  `json:"proto"`
	TOS      uint8  `json:"src_tos"`
	Flags    string `json:"tcp_flags"`
	Packets  uint64 `json:"in_packets"`
	Bytes    uint64 `json:"in_bytes"`
	Input    uint32 `json:"input_snmp"`
	Output   uint32 `json:"output_snmp"`
}

func compareNfdump(t *testing.T, out []byte, protocol string, want map[string]netflow.Record) {
	t.Helper()
	var got []nfdumpFlow
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %.300s", err, out)
	}
	if len(got) != len(want) {
		t.Errorf("nfdump lists %d flows, want %d", len(got), len(want))
	}
	for _, g := range got {
		r, ok := want[key(g.Src4+g.Src6, g.SrcPort)]
		if !ok {
			t.Fatalf("nfdump lists a flow that was not sent: %+v", g)
		}
		w := nfdumpFlow{
			First: r.Start.Time().Format("2006-01-02T15:04:05.000"), Last: r.End.Time().Format("2006-01-02T15:04:05.000"),
			SrcPort: r.SrcPort, DstPort: r.DstPort, Proto: r.Proto, TOS: r.TOS, Flags: g.Flags,
			Packets: r.Packets, Bytes: r.Bytes, Input: r.Input, Output: r.Output,
		}
		if r.IPVersion == 4 {
			w.Src4, w.Dst4 = r.SrcAddr.String(), r.DstAddr.String()
		} else {
			w.Src6, w.Dst6 = r.SrcAddr.String(), r.DstAddr.String()
		}
		if r.Proto == netflow.ProtoICMP || r.Proto == netflow.ProtoICMPv6 {
			w.DstPort, w.ICMPType, w.ICMPCode = g.DstPort, r.ICMPType, r.ICMPCode
		}
		if r.Proto == netflow.ProtoTCP {
			w.Flags = "...A..S."
		}
		if g != w {
			t.Fatalf("nfdump lists\n%+v, want\n%+v", g, w)
		}
	}
}

// nfacctd starts it; at the end the flows, as it tells them apart by fields of its own, are in a file.
func nfacctd(t *testing.T, aggregate string) (addr, file string, stop func() string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "flows.csv")
	addr, stop = peer(t, syscall.SIGINT, "nfacctd", func(port string) []string {
		conf := strings.Join([]string{
			"daemonize: false", "nfacctd_ip: 127.0.0.1", "nfacctd_port: " + port, "nfacctd_pipe_size: 4000000",
			"plugins: print", "print_output: csv", "print_output_file: " + file, "print_refresh_time: 60",
			"print_cache_entries: 16411", "plugin_pipe_size: 10240000", "plugin_buffer_size: 10240", "aggregate: " + aggregate, "",
		}, "\n")
		name := filepath.Join(dir, "nfacctd.conf")
		if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-f", name}
	})
	return addr, file, stop
}

func TestNfacctdUnderstandsUs(t *testing.T) {
	program(t, "nfacctd")
	for _, protocol := range []string{"ipfix", "v9", "v5"} {
		for _, age := range ages {
			t.Run(protocol+" "+age.name, func(t *testing.T) {
				t.Parallel()
				addr, file, stop := nfacctd(t, "src_host,dst_host,src_port,dst_port,proto,tos,timestamp_start,timestamp_end")
				time.Sleep(time.Second) // its plugin starts after its socket
				flows, nows := traffic(1500, age.from)
				cfg := talkative(addr, protocol)
				cfg.MTU, cfg.TemplatePackets, cfg.MaxRate, cfg.Sampling = 0, 0, 1000, 1
				if protocol == "v5" {
					cfg.Options = nil
				}
				replay(t, cfg, flows, nows)
				drained(t, addr)
				said := stop()
				if warned := regexp.MustCompile(`WARN.*|ERROR.*`).FindString(said); warned != "" {
					t.Errorf("nfacctd warns: %s", warned)
				}
				want, total := expected(protocol, flows)
				out, err := os.ReadFile(file)
				if err != nil {
					t.Fatalf("%v; nfacctd said\n%s", err, said)
				}
				compareNfacctd(t, out, protocol, want, total)
			})
		}
	}
}

func compareNfacctd(t *testing.T, out []byte, protocol string, want map[string]netflow.Record, total export.Tally) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("%v in %.300s", err, out)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	var got export.Tally
	for _, row := range rows[1:] {
		number := func(column string) uint64 {
			n, err := strconv.ParseUint(row[at[column]], 10, 64)
			if err != nil {
				t.Fatalf("%v in %v", err, row)
			}
			return n
		}
		got.Flows++
		got.Packets += number("PACKETS")
		got.Bytes += number("BYTES")
		r, ok := want[key(row[at["SRC_IP"]], uint16(number("SRC_PORT")))]
		if !ok {
			t.Fatalf("nfacctd lists a flow that was not sent: %v", row)
		}
		start, end := microseconds(t, row[at["TIMESTAMP_START"]]), microseconds(t, row[at["TIMESTAMP_END"]])
		wantStart, wantEnd := r.Start/1000*1000, r.End/1000*1000
		if protocol != "ipfix" { // it takes whole seconds of the difference of uptimes, and so comes to the second after
			wantStart, wantEnd = (wantStart+999_999)/1e6*1e6, (wantEnd+999_999)/1e6*1e6
		}
		if start != wantStart || end != wantEnd {
			t.Fatalf("nfacctd lists %v, a flow from %v to %v", row, r.Start.Time(), r.End.Time())
		}
		if row[at["DST_IP"]] != r.DstAddr.String() || uint16(number("DST_PORT")) != r.DstPort || uint8(number("TOS")) != r.TOS ||
			number("PACKETS") != r.Packets || number("BYTES") != r.Bytes {
			t.Fatalf("nfacctd lists %v, want %+v", row, r)
		}
	}
	if got != total {
		t.Errorf("nfacctd counts %+v, want %+v", got, total)
	}
}

// microseconds reads nfacctd's local time.
func microseconds(t *testing.T, s string) netflow.Timestamp {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04:05.000000", "2006-01-02 15:04:05"} {
		if at, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return netflow.TimestampOf(at)
		}
	}
	t.Fatalf("what time is %q?", s)
	return 0
}
