package test

import (
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// judge is somebody else's collector, or decoder, that our probe exports to.
type judge interface {
	address() string
	// judgement is what arrived of so many datagrams, by the judge's own account. It fails the test when the judge has
	// something to complain of. The table is nil when the judge tells totals only.
	judgement(t *testing.T, datagrams uint64) (tally, flowTable)
}

// nfcapd is the collector of nfdump.
type nfcapd struct {
	*program
	dir  string
	port int
}

func newNfcapd(t *testing.T) judge {
	peer(t, "nfdump")
	name := peer(t, "nfcapd")
	dir, port := t.TempDir(), freePort(t)
	return &nfcapd{launch(t, listens(port), name, "-w", dir, "-p", strconv.Itoa(port), "-b", "127.0.0.1"), dir, port}
}

func (n *nfcapd) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *nfcapd) judgement(t *testing.T, _ uint64) (tally, flowTable) {
	t.Helper()
	n.drained(n.port)
	out := n.stop(syscall.SIGTERM)
	_, line, _ := strings.Cut(out, "Ident: 'none' ")
	var sum tally
	var gaps, bad int
	if _, err := fmt.Sscanf(line, "Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: %d, Bad Packets: %d", &sum.Flows, &sum.Packets, &sum.Bytes, &gaps, &bad); err != nil {
		t.Fatalf("nfcapd: %v\n%s", err, out)
	}
	if gaps > 0 || bad > 0 {
		t.Errorf("nfcapd complains\n%s", out)
	}
	flows := flowTable{}
	text := complete(t, "nfdump", "-q", "-N", "-6", "-R", n.dir, "-o", "fmt:%ts,%te,%sa,%da,%sp,%dp,%pr,%flg,%pkt,%byt")
	for _, f := range cells(t, text, 10) {
		k := keyOf(t, f[2], f[3], f[4], f[5], f[6])
		s := flowSum{number(t, f[8]), number(t, f[9]), millis(t, f[0]), millis(t, f[1]), 0}
		for i := range f[7] { // as "...AP.SF"
			if f[7][i] != '.' {
				s.flags |= 0x80 >> i
			}
		}
		flows.add(k, s)
	}
	return sum, flows
}

// nfacctd is the collector of pmacct; its print plugin writes what it got as CSV.
type nfacctd struct {
	*program
	file string
	port int
}

func newNfacctd(t *testing.T) judge {
	name := peer(t, "nfacctd")
	dir, port := t.TempDir(), freePort(t)
	n := &nfacctd{port: port, file: filepath.Join(dir, "flows.csv")}
	config := filepath.Join(dir, "nfacctd.conf")
	text := fmt.Sprintf("daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: %d\nplugins: print\n", port) +
		"aggregate: src_host,dst_host,src_port,dst_port,proto,tcpflags,timestamp_start,timestamp_end\n" +
		"print_output: csv\nprint_output_file: " + n.file + "\nprint_output_file_append: true\nprint_refresh_time: 3\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Flows that come before the plugin has run once are lost.
	ready := func(p *program) bool {
		return strings.Contains(p.out.String(), "Purging cache - END") && listens(port)(p)
	}
	n.program = launch(t, ready, name, "-f", config)
	return n
}

func (n *nfacctd) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *nfacctd) judgement(t *testing.T, _ uint64) (tally, flowTable) {
	t.Helper()
	n.drained(n.port)
	// What its plugin has not read it forgets when it ends. Once the plugin has written flows, it reads.
	eventually(t, n.written, func() string { return "nfacctd writes nothing\n" + n.out.String() })
	out := n.stop(syscall.SIGINT)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "WARN") || strings.HasPrefix(line, "ERROR") {
			t.Errorf("nfacctd: %s", line)
		}
	}
	text, err := os.ReadFile(n.file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var sum tally
	flows := flowTable{}
	for _, f := range cells(t, string(text), 10) {
		if f[0] == "SRC_IP" {
			continue
		}
		s := flowSum{number(t, f[8]), number(t, f[9]), millis(t, f[6]), millis(t, f[7]), uint8(number(t, f[4]))}
		proto, ok := map[string]string{"icmp": "1", "tcp": "6", "udp": "17", "ipv6-icmp": "58"}[f[5]]
		if !ok {
			t.Fatalf("nfacctd: protocol %s", f[5])
		}
		flows.add(keyOf(t, f[0], f[1], f[2], f[3], proto), s)
		sum = sum.plus(tally{1, s.packets, s.bytes})
	}
	return sum, flows
}

// written looks at the log, which has a line for each writing: "*** Purging cache - END (PID: 5, QN: 1345/1345, ET: 1) ***".
func (n *nfacctd) written() bool {
	for line := range strings.Lines(n.out.String()) {
		if _, count, ok := strings.Cut(line, "QN: "); ok && !strings.HasPrefix(count, "0/") {
			return true
		}
	}
	return false
}

// tshark decodes datagrams that the test itself has received.
type tshark struct {
	conn *net.UDPConn
	file string
	mu   sync.Mutex
	n    uint64 // datagrams
	done chan error
}

const rawIPv4 = 228 // LINKTYPE_IPV4

func newTshark(t *testing.T) judge {
	peer(t, "tshark")
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadBuffer(4 << 20) // as much as the system gives
	s := &tshark{conn: conn, file: filepath.Join(t.TempDir(), "export.pcap"), done: make(chan error, 1)}
	f, err := os.Create(s.file)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer f.Close()
		s.done <- s.record(f)
	}()
	return s
}

// record writes what comes to a capture, until the connection is closed.
func (s *tshark) record(f io.Writer) error {
	w, err := pcapfile.NewWriter(f, rawIPv4)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return nil // closed
		}
		to := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
		packet := udpPacket(from, to, buf[:n])
		if err := w.Write(pcapfile.Frame{Time: time.Now().UnixNano(), WireLen: len(packet), LinkType: rawIPv4, Data: packet}); err != nil {
			return err
		}
		s.mu.Lock()
		s.n++
		s.mu.Unlock()
	}
}

// udpPacket puts headers of UDP and IPv4 in front of a payload. A UDP checksum of 0 says that there is none.
func udpPacket(from, to netip.AddrPort, payload []byte) []byte {
	src, dst := from.Addr().Unmap().As4(), to.Addr().Unmap().As4()
	b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0}
	b = append(append(b, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(payload)))
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func (s *tshark) address() string { return s.conn.LocalAddr().String() }

func (s *tshark) judgement(t *testing.T, datagrams uint64) (tally, flowTable) {
	t.Helper()
	received := func() uint64 { s.mu.Lock(); defer s.mu.Unlock(); return s.n }
	eventually(t, func() bool { return received() >= datagrams },
		func() string { return fmt.Sprintf("%d datagrams of %d arrive", received(), datagrams) })
	s.conn.Close()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", s.file, "-d", fmt.Sprintf("udp.port==%d,cflow", portOf(t, s.address())), "-T", "fields", "-E", "separator=|"}
	fields := []string{"cflow.srcaddr", "cflow.srcaddrv6", "cflow.packets", "cflow.octets", "cflow.version", "_ws.malformed", "_ws.expert.message"}
	for _, name := range fields {
		args = append(args, "-e", name)
	}
	var sum tally
	var n uint64
	for line := range strings.Lines(complete(t, "tshark", args...)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != len(fields) {
			continue // a remark about running as root
		}
		n++
		sum.Flows += uint64(len(list(f[0])) + len(list(f[1])))
		for _, v := range list(f[2]) {
			sum.Packets += number(t, v)
		}
		for _, v := range list(f[3]) {
			sum.Bytes += number(t, v)
		}
		if f[4] == "" || f[5] != "" || f[6] != "" {
			t.Errorf("tshark, frame %d: version %q, %s %s", n, f[4], f[5], f[6])
		}
	}
	if n != datagrams {
		t.Errorf("tshark decodes %d datagrams of %d", n, datagrams)
	}
	return sum, nil
}

// list splits the values of a field that a frame has several times.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// cells reads CSV, leaving out the spaces that align columns.
func cells(t *testing.T, text string, columns int) [][]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = columns
	all, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%v\n%.500s", err, text)
	}
	for _, f := range all {
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
	}
	return all
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// millis reads a time as the peers print it, in UTC.
func millis(t *testing.T, s string) int64 {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", s) // with a fraction or without
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

// keyOf reads a flow's key. A destination port may be written as type.code.
func keyOf(t *testing.T, src, dst, srcPort, dstPort, proto string) flowKey {
	t.Helper()
	k := flowKey{proto: uint8(number(t, proto)), srcPort: uint16(number(t, srcPort))}
	var errSrc, errDst error
	k.src, errSrc = netip.ParseAddr(src)
	k.dst, errDst = netip.ParseAddr(dst)
	if errSrc != nil || errDst != nil {
		t.Fatal(errSrc, errDst)
	}
	if kind, code, ok := strings.Cut(dstPort, "."); ok {
		k.dstPort = uint16(number(t, kind)<<8 | number(t, code))
	} else {
		k.dstPort = uint16(number(t, dstPort))
	}
	return k
}
