package test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/test/trace"
)

var (
	archiveBytes = flag.Int64("archive-bytes", 16e6, "bytes of packets that TestPacketsOfFlows archives")
	archiveFlows = flag.Int("archive-flows", 40, "flows of which TestPacketsOfFlows takes the packets out")
)

// TestPacketsOfFlows meters and archives a generated trace, and asks flowpcap for the packets of random flows that
// flowprint tells: they are as many, of as many bytes, as the flow has. As it is stated in the README:
//
//	go test ./test -timeout 1h -v -run TestPacketsOfFlows -archive-bytes 2000000000 -archive-flows 1000
func TestPacketsOfFlows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	const keep = 600 // bytes of a packet
	work := t.TempDir()
	c := trace.DefaultConfig()
	c.Snaplen = 1 << 16
	c.Packets = int(*archiveBytes / 370) // bytes, with headers, when cut to keep
	c.Flows = c.Packets/24 + 10
	c.Span = time.Duration(c.Packets) * time.Second / 16_000
	capture := filepath.Join(work, "trace.pcap")
	var totals trace.Totals
	create(t, capture, func(w io.Writer) (err error) {
		totals, err = trace.Write(w, c)
		return err
	})

	store, dir := filepath.Join(work, "flows"), filepath.Join(work, "packets")
	sink, address := collector(t, store)
	fileSize := max(*archiveBytes/3, 2<<20)
	run(t, "probe", "-r", capture, "-e", address, "--active", "24h", "--archive", dir,
		"--archive-size", fmt.Sprint(fileSize), "--archive-snaplen", fmt.Sprint(keep))
	sink.stop()
	files, err := filepath.Glob(filepath.Join(dir, "packets.*.pcap"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	var size int64
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}

	flows := randomFlows(t, store, *archiveFlows)
	if len(flows) < *archiveFlows {
		t.Fatalf("%d flows are stored", len(flows))
	}
	var walls, cpus []time.Duration
	for _, f := range flows {
		out, wall, cpu := packetsOfFlow(t, dir, &f)
		walls, cpus = append(walls, wall), append(cpus, cpu)
		checkPackets(t, &f, out, keep)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	at := func(d []time.Duration, share float64) time.Duration {
		return d[int(share*float64(len(d)-1))].Round(100 * time.Microsecond)
	}
	t.Logf("%d flows of %d; %d packets in %d files of %d bytes", len(flows), totals.Flows, totals.Packets, len(files), size)
	t.Logf("time: median %v, 99 of 100 within %v, at most %v", at(walls, 0.5), at(walls, 0.99), at(walls, 1))
	t.Logf("CPU:  median %v, 99 of 100 within %v, at most %v", at(cpus, 0.5), at(cpus, 0.99), at(cpus, 1))
	if cpu := at(cpus, 1); cpu > time.Second {
		t.Errorf("a flow took %v of CPU", cpu)
	}
	t.Run("capinfos", func(t *testing.T) { countByCapinfos(t, files, totals.Packets) })
	t.Run("tshark", func(t *testing.T) { countByTshark(t, files, totals.Packets) })
}

// randomFlows chooses among all that flowprint prints, each as likely as any other.
func randomFlows(t *testing.T, store string, n int) []row {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "flowprint"), "-o", "ndjson", store)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(11, 12))
	var lines [][]byte
	seen := 0
	r := bufio.NewScanner(out)
	for ; r.Scan(); seen++ {
		if len(lines) < n {
			lines = append(lines, bytes.Clone(r.Bytes()))
		} else if i := rng.IntN(seen + 1); i < n {
			lines[i] = append(lines[i][:0], r.Bytes()...)
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	flows := make([]row, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal(line, &flows[i]); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return flows
}

// packetsOfFlow asks for a flow as an operator does who has its line before him. Its times are whole milliseconds.
func packetsOfFlow(t *testing.T, dir string, f *row) (out []byte, wall, cpu time.Duration) {
	t.Helper()
	filter := fmt.Sprintf("proto %d and src ip %v and dst ip %v and src port %d and dst port %d", f.Proto, f.SrcAddr, f.DstAddr, f.SrcPort, f.DstPort)
	cmd := exec.Command(filepath.Join(bin, "flowpcap"), "-f", filter,
		"--from", f.Start.Format(time.RFC3339Nano), "--to", f.End.Add(time.Millisecond).Format(time.RFC3339Nano), dir)
	cmd.Stderr = os.Stderr
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("flowpcap -f %q: %v", filter, err)
	}
	return out, time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// checkPackets reads the headers in the plainest way: trace writes Ethernet without tags, and no options.
func checkPackets(t *testing.T, f *row, capture []byte, keep int) {
	t.Helper()
	r, err := pcapfile.NewReader(bytes.NewReader(capture))
	if err != nil {
		t.Fatal(err)
	}
	var packets, sum uint64
	last := int64(0)
	for p, err := r.Next(); err == nil; p, err = r.Next() {
		ip := p.Data[14:]
		length, src, dst, proto, transport := int(binary.BigEndian.Uint16(ip[2:])), ip[12:16], ip[16:20], ip[9], ip[20:]
		if ip[0]>>4 == 6 {
			length, src, dst, proto, transport = 40+int(binary.BigEndian.Uint16(ip[4:])), ip[8:24], ip[24:40], ip[6], ip[40:]
		}
		srcPort, dstPort := binary.BigEndian.Uint16(transport), binary.BigEndian.Uint16(transport[2:])
		if proto == 1 || proto == 58 {
			srcPort, dstPort = 0, srcPort // type and code
		}
		if !bytes.Equal(src, f.SrcAddr.AsSlice()) || !bytes.Equal(dst, f.DstAddr.AsSlice()) || proto != f.Proto || srcPort != f.SrcPort || dstPort != f.DstPort {
			t.Fatalf("%+v: a packet of another flow", f)
		}
		if p.WireLen != 14+length || len(p.Data) != min(p.WireLen, keep) || p.Time < last {
			t.Fatalf("%+v: %d bytes of %d at %d after %d", f, len(p.Data), p.WireLen, p.Time, last)
		}
		last = p.Time
		packets++
		sum += uint64(length)
	}
	if packets != f.Packets || sum != f.Bytes {
		t.Errorf("%+v: flowpcap gives %d packets, %d bytes", f, packets, sum)
	}
}

func countByCapinfos(t *testing.T, files []string, want uint64) {
	program := peer(t, "capinfos")
	var got uint64
	for _, f := range files {
		out, err := exec.Command(program, "-c", "-M", f).Output()
		number := regexp.MustCompile(`packets: +(\d+)`).FindSubmatch(out)
		if err != nil || number == nil {
			t.Fatalf("%s: %v: %s", f, err, out)
		}
		n, err := strconv.ParseUint(string(number[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if got != want {
		t.Errorf("%d packets, want %d", got, want)
	}
}

func countByTshark(t *testing.T, files []string, want uint64) {
	program := peer(t, "tshark")
	var got uint64
	for _, f := range files {
		cmd := exec.Command(program, "-n", "-r", f, "-T", "fields", "-e", "frame.number")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for r := bufio.NewScanner(out); r.Scan(); {
			got++
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	if got != want {
		t.Errorf("%d packets, want %d", got, want)
	}
}
