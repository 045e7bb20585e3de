package pcapfile_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caprock-net/caprock/netflow/pcapfile"
)

var (
	le = order(binary.LittleEndian)
	be = order(binary.BigEndian)
)

// readAll reads all frames of a capture, with copies of their data.
func readAll(src io.Reader) ([]pcapfile.Frame, error) {
	r, err := pcapfile.NewReader(src)
	if err != nil {
		return nil, err
	}
	var all []pcapfile.Frame
	for {
		f, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		f.Data = bytes.Clone(f.Data)
		all = append(all, f)
	}
}

func frame(ns int64, link uint16, in uint32, wire int, data string) pcapfile.Frame {
	return pcapfile.Frame{Time: ns, LinkType: link, Interface: in, WireLen: wire, Data: []byte(data)}
}

func TestFormats(t *testing.T) {
	const sec = 1_700_000_000
	ticks := func(perSecond uint64) uint64 { return sec*perSecond + perSecond/2 }
	tests := map[string]struct {
		file []byte
		want []pcapfile.Frame
	}{
		"pcap without packets": {pcapHeader(le, 0xa1b2c3d4, 1), nil},
		"pcap little endian, microseconds": {
			pcapPacket(pcapHeader(le, 0xa1b2c3d4, 1), le, sec, 5, 100, "abc"),
			[]pcapfile.Frame{frame(sec*1e9+5000, 1, 1, 100, "abc")},
		},
		"pcap big endian, nanoseconds": {
			pcapPacket(pcapPacket(pcapHeader(be, 0xa1b23c4d, 101), be, sec, 5, 100, "abc"), be, math.MaxUint32, 999_999_999, 4, "defg"),
			[]pcapfile.Frame{frame(sec*1e9+5, 101, 1, 100, "abc"), frame(math.MaxUint32*1e9+999_999_999, 101, 1, 4, "defg")},
		},
		"pcap with the length of the frame check sequence in its header": {
			pcapPacket(pcapHeader(le, 0xa1b2c3d4, 1|0x14000000), le, sec, 0, 3, "abc"),
			[]pcapfile.Frame{frame(sec*1e9, 1, 1, 3, "abc")},
		},
		"pcap modified": {
			pcapPacket(pcapHeader(le, 0xa1b2cd34, 1), le, sec, 1, 100, "abc", 7, 0, 0, 0, 8, 0, 4, 0),
			[]pcapfile.Frame{frame(sec*1e9+1000, 1, 7, 100, "abc")},
		},
		"pcapng without packets": {sectionBlock(nil, be), nil},
		"pcapng, two interfaces, unknown blocks": {
			enhancedBlock(block(enhancedBlock(interfaceBlock(interfaceBlock(block(sectionBlock(nil, le), le, 0xbad, make([]byte, 3<<20)), le, 1, 0), le, 101, 64),
				le, 1, ticks(1e6), 90, "abcde"), le, 0x80000001, []byte("custom")), le, 0, ticks(1e6), 3, "xyz"),
			[]pcapfile.Frame{frame(sec*1e9+5e8, 101, 2, 90, "abcde"), frame(sec*1e9+5e8, 1, 1, 3, "xyz")},
		},
		"pcapng, sections of both byte orders": {
			enhancedBlock(interfaceBlock(sectionBlock(enhancedBlock(interfaceBlock(sectionBlock(nil, be), be, 1, 0),
				be, 0, ticks(1e6), 1, "a"), le), le, 228, 0), le, 0, ticks(1e6), 1, "b"),
			[]pcapfile.Frame{frame(sec*1e9+5e8, 1, 1, 1, "a"), frame(sec*1e9+5e8, 228, 1, 1, "b")},
		},
		"pcapng, simple packets": { // cut by the snapshot length; the time is that of the packet before
			block(block(enhancedBlock(interfaceBlock(sectionBlock(nil, le), le, 1, 4), le, 0, 7, 1, "a"),
				le, 3, append(le.AppendUint32(nil, 100), "abcd"...)), le, 3, append(le.AppendUint32(nil, 2), "ef"...)),
			[]pcapfile.Frame{frame(7000, 1, 1, 1, "a"), frame(7000, 1, 1, 100, "abcd"), frame(7000, 1, 1, 2, "ef")},
		},
		"pcapng, obsolete packet block": {
			block(interfaceBlock(sectionBlock(nil, be), be, 1, 0), be, 2,
				append([]byte{0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 8}, "abc"...)),
			[]pcapfile.Frame{frame((1<<32+2)*1000, 1, 1, 8, "abc")},
		},
	}
	for _, c := range []struct {
		resol     byte
		perSecond uint64
	}{{0, 1}, {3, 1e3}, {9, 1e9}, {10, 1e10}, {0x80 | 1, 2}, {0x80 | 20, 1 << 20}, {0x80 | 32, 1 << 32}} {
		for _, offset := range []int64{0, -3, 86400} {
			at := sec*1e9 + offset*1e9
			if c.perSecond > 1 {
				at += 5e8
			}
			options := append(option(be, 9, []byte{c.resol}), option(be, 14, be.AppendUint64(nil, uint64(offset)))...)
			tests[fmt.Sprintf("pcapng, resolution %#x, offset %d", c.resol, offset)] = struct {
				file []byte
				want []pcapfile.Frame
			}{
				enhancedBlock(interfaceBlock(sectionBlock(nil, be), be, 1, 0, options...), be, 0, ticks(c.perSecond), 1, "a"),
				[]pcapfile.Frame{frame(at, 1, 1, 1, "a")},
			}
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for how, src := range map[string]io.Reader{
				"whole": bytes.NewReader(test.file), "slow": iotest.HalfReader(bytes.NewReader(test.file)),
				"with the error": iotest.DataErrReader(bytes.NewReader(test.file)), "gzip": bytes.NewReader(compress(test.file)),
			} {
				got, err := readAll(src)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if !reflect.DeepEqual(got, test.want) {
					t.Errorf("%s:\ngot  %v\nwant %v", how, got, test.want)
				}
			}
		})
	}
}

func compress(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(b)
	w.Close()
	return z.Bytes()
}

// TestTimesAtTheEdge: a clock that counts beyond 2262 stays there and does not turn around.
func TestTimesAtTheEdge(t *testing.T) {
	for _, resol := range []byte{0, 6, 9, 0x80, 0x80 | 10} {
		for _, offset := range []uint64{0, math.MaxInt64, 1 << 63} {
			options := append(option(le, 9, []byte{resol}), option(le, 14, le.AppendUint64(nil, offset))...)
			got, err := readAll(bytes.NewReader(enhancedBlock(interfaceBlock(sectionBlock(nil, le), le, 1, 0, options...),
				le, 0, math.MaxUint64, 1, "a")))
			if err != nil {
				t.Fatal(err)
			}
			switch at := got[0].Time; {
			case offset != 1<<63 && at != math.MaxInt64:
				t.Errorf("resolution %#x, offset %d: time %d, want the largest", resol, offset, at)
			case offset == 1<<63 && (at < 0 || at > 1e9):
				t.Errorf("resolution %#x, offset %d: time %d, want the two to meet", resol, int64(offset), at)
			}
		}
	}
}

// TestCutAnywhere: a capture that ends too early gives its whole packets and io.ErrUnexpectedEOF, wherever it is cut.
func TestCutAnywhere(t *testing.T) {
	header := pcapHeader(le, 0xa1b2c3d4, 1)
	one := pcapPacket(bytes.Clone(header), le, 1, 2, 3, "abc")
	two := pcapPacket(bytes.Clone(one), le, 4, 5, 6, "defghi")
	start := interfaceBlock(sectionBlock(nil, le), le, 1, 0)
	ngOne := enhancedBlock(bytes.Clone(start), le, 0, 1, 2, "abc")
	ngTwo := block(enhancedBlock(bytes.Clone(ngOne), le, 0, 1, 2, "abc"), le, 0xbad, []byte("skipped"))
	for name, c := range map[string]struct {
		file []byte
		ends []int // where a capture may end, and i packets are whole
	}{
		"pcap":   {two, []int{len(header), len(one), len(two)}},
		"pcapng": {ngTwo, []int{len(start), len(ngOne), len(ngTwo) - 20, len(ngTwo)}},
	} {
		for n := range c.file {
			whole, clean := 0, name == "pcapng" && n == len(sectionBlock(nil, le))
			for i, end := range c.ends {
				if n >= end {
					whole = min(i, 2)
				}
				clean = clean || n == end
			}
			got, err := readAll(bytes.NewReader(c.file[:n]))
			if len(got) != whole {
				t.Errorf("%s cut at %d: %d packets, want %d", name, n, len(got), whole)
			}
			if n >= 4 && !clean != errors.Is(err, io.ErrUnexpectedEOF) || clean && err != nil {
				t.Errorf("%s cut at %d: error %v", name, n, err)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	header := pcapHeader(le, 0xa1b2c3d4, 1)
	one := pcapPacket(bytes.Clone(header), le, 1, 2, 3, "abc")
	start := interfaceBlock(sectionBlock(nil, be), be, 1, 0)
	lie := func(file []byte, back int, value uint32) []byte {
		file = bytes.Clone(file)
		binary.BigEndian.PutUint32(file[len(file)-back:], value)
		return file
	}
	ng := enhancedBlock(bytes.Clone(start), be, 0, 1, 2, "abc")
	version := func(b []byte) []byte { b = bytes.Clone(b); b[4]++; return b }
	tests := map[string]struct {
		file   []byte
		cause  error
		offset int64
		good   int
	}{
		"nothing":                        {nil, io.ErrUnexpectedEOF, 0, 0},
		"text":                           {[]byte("hello, world, this is no capture"), pcapfile.ErrFormat, 0, 0},
		"two bytes":                      {[]byte("hi"), pcapfile.ErrFormat, 0, 0},
		"gzip of nothing":                {compress(nil), io.ErrUnexpectedEOF, 0, 0},
		"gzip cut":                       {compress(one)[:30], io.ErrUnexpectedEOF, 24, 0},
		"pcap of another version":        {version(header), pcapfile.ErrVersion, 0, 0},
		"pcap, huge packet":              {append(bytes.Clone(one), 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 1, 0, 4, 0), pcapfile.ErrCorrupt, int64(len(one)), 1},
		"pcapng without byte order":      {[]byte{10, 13, 13, 10, 0, 0, 0, 28, 1, 2, 3, 4, 0, 1, 0, 0}, pcapfile.ErrFormat, 0, 0},
		"pcapng, ends of a block differ": {lie(ng, 4, 40), pcapfile.ErrCorrupt, int64(len(start)), 0},
		"pcapng, packet above its block": {lie(ng, 16, 9), pcapfile.ErrCorrupt, int64(len(start)), 0},
		"pcapng, no such interface":      {lie(ng, 28, 1), pcapfile.ErrCorrupt, int64(len(start)), 0},
		"pcapng, tiny block":             {append(bytes.Clone(ng), 0, 0, 0, 6, 0, 0, 0, 8), pcapfile.ErrCorrupt, int64(len(ng)), 1},
		"pcapng, odd block":              {append(bytes.Clone(ng), 0, 0, 0, 9, 0, 0, 0, 13), pcapfile.ErrCorrupt, int64(len(ng)), 1},
		"pcapng, huge packet block":      {append(bytes.Clone(ng), 0, 0, 0, 6, 0, 0x20, 0, 0), pcapfile.ErrCorrupt, int64(len(ng)), 1},
		"pcapng, simple packet first":    {block(sectionBlock(nil, be), be, 3, make([]byte, 8)), pcapfile.ErrCorrupt, 28, 0},
		"pcapng, option above its block": {interfaceBlock(sectionBlock(nil, be), be, 1, 0, 0, 9, 0, 5, 1, 2, 3, 4), pcapfile.ErrCorrupt, 28, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(bytes.NewReader(test.file))
			if !errors.Is(err, test.cause) {
				t.Errorf("error %v, want %v", err, test.cause)
			}
			var where *pcapfile.Error
			if !errors.As(err, &where) || where.Offset != test.offset {
				t.Errorf("error %#v, want offset %d", err, test.offset)
			}
			if len(got) != test.good {
				t.Errorf("%d good packets, want %d", len(got), test.good)
			}
		})
	}
}

// TestError: errors of the file itself come through and stick, with the name of the file.
func TestError(t *testing.T) {
	file := pcapPacket(pcapHeader(le, 0xa1b2c3d4, 1), le, 1, 2, 3, "abc")
	disk := errors.New("disk on fire")
	r, err := pcapfile.NewReader(io.MultiReader(bytes.NewReader(file), iotest.ErrReader(disk)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, disk) {
			t.Errorf("error %v, want %v", err, disk)
		}
	}

	name := filepath.Join(t.TempDir(), "cut.pcap")
	if err := os.WriteFile(name, file[:len(file)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	r, err = pcapfile.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = r.Next()
	if err == nil || !strings.HasPrefix(err.Error(), name+": at byte 24: ") {
		t.Errorf("error %v, want the name and the place", err)
	}
	if done, total := r.Progress(); done != int64(len(file)-1) || total != done {
		t.Errorf("progress %d of %d, want %d", done, total, len(file)-1)
	}
	if _, err := pcapfile.Open(name + ".not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want %v", err, os.ErrNotExist)
	}
}

// TestPipe: a frame is given when it has come, not when the buffer is full.
func TestPipe(t *testing.T) {
	in, out := io.Pipe()
	go out.Write(pcapPacket(pcapHeader(le, 0xa1b2c3d4, 1), le, 1, 2, 3, "abc"))
	r, err := pcapfile.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := r.Next(); err != nil || string(f.Data) != "abc" {
		t.Errorf("frame %v, error %v", f, err)
	}
	out.Close()
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("error %v, want %v", err, io.EOF)
	}
}

func TestWriterRefuses(t *testing.T) {
	w, err := pcapfile.NewWriter(io.Discard, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]pcapfile.Frame{
		"before 1970":       {Time: -1, LinkType: 1},
		"after 2106":        {Time: (math.MaxUint32 + 1) * 1e9, LinkType: 1},
		"another link type": {LinkType: 2},
		"too long":          {LinkType: 1, Data: make([]byte, pcapfile.MaxFrame+1)},
		"negative length":   {LinkType: 1, WireLen: -1},
	} {
		if err := w.Write(f); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestAllocations(t *testing.T) {
	file := pcapHeader(le, 0xa1b2c3d4, 1)
	for range 10_000 {
		file = pcapPacket(file, le, 1, 2, 300, strings.Repeat("x", 300))
	}
	r, err := pcapfile.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(9_000, func() {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkNext(b *testing.B) {
	file := pcapHeader(le, 0xa1b2c3d4, 1)
	for range 100_000 {
		file = pcapPacket(file, le, 1, 2, 300, strings.Repeat("x", 80))
	}
	packets := 0
	for b.Loop() {
		r, err := pcapfile.NewReader(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		for ; err == nil; packets++ {
			_, err = r.Next()
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(packets), "ns/packet")
}
