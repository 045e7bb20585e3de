package export

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
)

// need skips a test without a program.
func need(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no other programs are started")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// some gives an exporter a thousand flows of all kinds.
func some(e *Exporter) (n, packets uint64) {
	for i := range 1000 {
		r := *numbered(i)
		r.Packets, r.EndReason = r.Packets+1, netflow.EndReasonIdle
		switch i % 5 {
		case 1:
			r.VLAN, r.SrcMAC, r.DstMAC = 7, netflow.MACFrom(1), netflow.MACFrom(2)
		case 2:
			r.Proto, r.SrcPort, r.ICMPType, r.DstPort = netflow.ProtoICMP, 0, 8, 8<<8
		case 3:
			r.IPVersion, r.SrcAddr, r.DstAddr = 6, netflow.Addr{0x20, 1, 15: byte(i)}, netflow.Addr{0x20, 1, 15: 1}
		case 4:
			r.SrcAS, r.SrcMask, r.ForwardingStatus, r.NextHop = 64512, 24, 0x42, netflow.AddrFrom4([4]byte{192, 0, 2, 9})
		}
		e.Export(second, &r)
		n++
		packets += r.Packets
	}
	return n, packets
}

// capture writes a stream as a pcap file of a TCP connection to port 4739, segments cutting messages anywhere
// (https://www.tcpdump.org/manpages/pcap-savefile.5.html, LINKTYPE_RAW, 101).
func capture(t *testing.T, stream []byte) string {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0)
	sequence := uint32(1000)
	segment := func(flags byte, payload []byte) {
		n := 40 + len(payload)
		for _, v := range []int{1, 0, n, n} {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		b = append(b, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
		b = append(b, 0xc0, 0, 4739>>8, 4739&0xff)
		b = binary.BigEndian.AppendUint32(b, sequence)
		b = append(b, 0, 0, 0, 1, 0x50, flags, 0x7f, 0xff, 0, 0, 0, 0)
		b = append(b, payload...)
		sequence += uint32(len(payload))
	}
	segment(0x02, nil)
	sequence++
	for rest := stream; len(rest) > 0; {
		n := min(len(rest), 1111)
		segment(0x18, rest[:n])
		rest = rest[n:]
	}
	name := filepath.Join(t.TempDir(), "stream.pcap")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTsharkReadsTheStream: tshark finds every message of a connection, every flow, and nothing to complain of.
func TestTsharkReadsTheStream(t *testing.T) {
	path := need(t, "tshark")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stream := make(chan []byte)
	go func() {
		var b bytes.Buffer
		if c, err := l.Accept(); err == nil {
			b.ReadFrom(c)
			c.Close()
		}
		stream <- b.Bytes()
	}()
	e := open(t, Config{
		Destinations: []string{"tcp://" + l.Addr().String()}, Sampling: 100, Options: Options, Boot: second,
		Interfaces: func() []netflow.Interface {
			return []netflow.Interface{{Index: 1, Name: "eth0", Description: "to the ridge"}}
		},
	})
	flows, packets := some(e)
	d := finish(t, e).Destinations[0]
	file := capture(t, <-stream)
	tshark := func(args ...string) string {
		args = append([]string{"-r", file, "-n", "-d", "tcp.port==4739,cflow", "-o", "ip.check_checksum:FALSE"}, args...)
		out, err := exec.Command(path, args...).Output()
		if err != nil {
			t.Fatalf("tshark %v: %v", args, err)
		}
		return string(out)
	}
	text := tshark("-V")
	for _, bad := range []string{"Malformed", "No template found", "Unknown"} {
		if i := strings.Index(text, bad); i >= 0 {
			t.Errorf("%q in tshark's output: %.500s", bad, text[max(0, i-500):])
		}
	}
	for _, want := range []string{"IfName: eth0", "IfDescr: to the ridge", "Sampling interval: 100", "Not Sent Packets: 0", "System Init Time"} {
		if !strings.Contains(text, want) {
			t.Errorf("tshark does not say %q", want)
		}
	}
	var n, sum uint64
	for f := range strings.FieldsFuncSeq(tshark("-T", "fields", "-e", "cflow.packets"), func(r rune) bool { return r == '\n' || r == ',' }) {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n++
		sum += v
	}
	messages := strings.Count(strings.ReplaceAll(tshark("-T", "fields", "-e", "cflow.version"), ",", "\n"), "10")
	if n != flows || sum != packets || messages != int(d.Datagrams) {
		t.Errorf("tshark sees %d flows with %d packets in %d messages, want %d, %d, %d", n, sum, messages, flows, packets, d.Datagrams)
	}
}

// TestOpenSSL: another implementation of TLS accepts us, checks our certificate, and hands out what we sent.
func TestOpenSSL(t *testing.T) {
	path := need(t, "openssl")
	a := newAuthority(t)
	certFile, keyFile := a.issue("collector", "localhost", "127.0.0.1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, "s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-cert", certFile, "-key", keyFile, "-CAfile", a.file,
		"-Verify", "2", "-verify_return_error", "-tls1_3", "-quiet", "-naccept", "1")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	stdin, err := cmd.StdinPipe() // its end would end the server
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e := open(t, Config{Destinations: []string{fmt.Sprintf("tls://127.0.0.1:%d", port)}, TLS: a.client()})
	flows, _ := some(e)
	d := finish(t, e).Destinations[0]
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		cmd.Process.Kill()
		<-ended
	}
	messages, length := 0, 0
	for b := stdout.Bytes(); len(b) > 0; messages++ {
		h, err := ipfix.ParseHeader(b)
		if err != nil || int(h.Length) > len(b) {
			t.Fatalf("message %d: %v; %s", messages, err, &stderr)
		}
		length += int(h.Length)
		b = b[h.Length:]
	}
	if messages != int(d.Datagrams) || length != int(d.DatagramBytes) || d.Exported.Flows != flows {
		t.Errorf("%d messages of %d bytes came out: %+v\n%s", messages, length, d, &stderr)
	}
}
