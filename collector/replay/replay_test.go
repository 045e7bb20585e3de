package replay_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/collector/replay"
	"github.com/caprock-net/caprock/netflow/netflowtest"
)

var be = binary.BigEndian

// capture makes a capture file of frames of one link type, a second apart from 2026-01-01T00:00:00Z.
func capture(link uint32, frames ...[]byte) io.Reader {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, 262144)
	b = le.AppendUint32(b, link)
	for i, f := range frames {
		b = le.AppendUint32(b, uint32(1767225600+i))
		b = le.AppendUint32(b, 250000)
		b = le.AppendUint32(b, uint32(len(f)))
		b = le.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return bytes.NewReader(b)
}

func udp(srcPort, dstPort uint16, payload []byte) []byte {
	b := be.AppendUint16(nil, srcPort)
	b = be.AppendUint16(b, dstPort)
	b = be.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func ipv4(proto byte, id, fragment uint16, payload []byte) []byte {
	b := []byte{0x46, 0} // with one option word
	b = be.AppendUint16(b, uint16(24+len(payload)))
	b = be.AppendUint16(b, id)
	b = be.AppendUint16(b, fragment)
	b = append(b, 64, proto, 0, 0, 10, 1, 2, 3, 10, 9, 9, 9, 1, 1, 1, 0)
	return append(b, payload...)
}

func ipv6(next byte, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0}
	b = be.AppendUint16(b, uint16(len(payload)))
	b = append(b, next, 64)
	b = append(b, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
	b = append(b, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)
	return append(b, payload...)
}

func fragment6(next byte, id uint32, offset int, more bool, payload []byte) []byte {
	field := uint16(offset)
	if more {
		field |= 1
	}
	b := be.AppendUint16([]byte{next, 0}, field)
	return append(be.AppendUint32(b, id), payload...)
}

func ethernet(types ...any) []byte {
	b := make([]byte, 12)
	for _, v := range types {
		switch v := v.(type) {
		case int:
			b = be.AppendUint16(b, uint16(v))
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

type datagram struct {
	exporter string
	received int64
	payload  string
}

func read(t testing.TB, src io.Reader, port uint16) (all []datagram, stats replay.Stats) {
	t.Helper()
	r, err := replay.NewReader(src, port)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, r)
}

func readAll(t testing.TB, r *replay.Reader) (all []datagram, stats replay.Stats) {
	t.Helper()
	defer r.Close()
	for {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, datagram{d.Exporter.String(), int64(d.Received), string(d.Payload)})
	}
	return all, r.Stats()
}

func export(size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return append([]byte{0, 9}, b...)
}

func TestLinkTypesAndHeaders(t *testing.T) {
	v9 := export(100)
	v4 := ipv4(17, 1, 0, udp(5000, 2055, v9))
	const from4, from6 = "10.1.2.3:5000", "[2001:db8::1]:5000"
	for _, test := range []struct {
		name  string
		link  uint32
		frame []byte
		from  string
	}{
		{"Ethernet", 1, ethernet(0x0800, v4), from4},
		{"Ethernet with padding", 1, ethernet(0x0800, v4, make([]byte, 9)), from4},
		{"802.1Q", 1, ethernet(0x8100, 7, 0x0800, v4), from4},
		{"QinQ", 1, ethernet(0x88a8, 7, 0x8100, 8, 0x0800, v4), from4},
		{"Linux cooked", 113, append(make([]byte, 14), append([]byte{8, 0}, v4...)...), from4},
		{"Linux cooked v2", 276, append([]byte{8, 0}, append(make([]byte, 18), v4...)...), from4},
		{"raw", 101, v4, from4},
		{"BSD null", 0, append([]byte{2, 0, 0, 0}, v4...), from4},
		{"BSD loop", 108, append([]byte{0, 0, 0, 2}, v4...), from4},
		{"IPv6", 1, ethernet(0x86dd, ipv6(17, udp(5000, 2055, v9))), from6},
		{"IPv6 with extension headers", 101, ipv6(0, append([]byte{60, 0, 0, 0, 0, 0, 0, 0}, append([]byte{17, 1, 14: 0, 15: 0}, udp(5000, 2055, v9)...)...)), from6},
		{"atomic fragment", 101, ipv6(44, fragment6(17, 9, 0, false, udp(5000, 2055, v9))), from6},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, stats := read(t, capture(test.link, test.frame), 0)
			if len(got) != 1 || got[0] != (datagram{test.from, 1767225600250000, string(v9)}) {
				t.Errorf("got %v, %+v", got, stats)
			}
		})
	}
}

// Every frame that brings nothing is counted under one reason.
func TestReasons(t *testing.T) {
	v9 := export(30)
	whole := ipv4(17, 1, 0, udp(1, 2055, v9))
	longUDP := udp(1, 2055, v9)
	be.PutUint16(longUDP[4:], 1000)
	for _, test := range []struct {
		name  string
		frame []byte
		port  uint16
		want  replay.Stats
	}{
		{"TCP", ipv4(6, 1, 0, v9), 0, replay.Stats{NotUDP: 1}},
		{"not IP", []byte{0x10, 1, 2}, 0, replay.Stats{NotUDP: 1}},
		{"empty frame", nil, 0, replay.Stats{NotUDP: 1}},
		{"header cut", whole[:12], 0, replay.Stats{Malformed: 1}},
		{"cut", whole[:len(whole)-1], 0, replay.Stats{Cut: 1}},
		{"IPv6 cut", ipv6(17, udp(1, 2055, v9))[:60], 0, replay.Stats{Cut: 1}},
		{"UDP longer than IP", ipv4(17, 1, 0, longUDP), 0, replay.Stats{Malformed: 1}},
		{"UDP header cut", ipv4(17, 1, 0, []byte{1, 2, 3}), 0, replay.Stats{Malformed: 1}},
		{"DNS", ipv4(17, 1, 0, udp(53, 53, []byte("something else, long enough"))), 0, replay.Stats{NotExport: 1}},
		{"sFlow", ipv4(17, 1, 0, udp(53, 6343, append([]byte{0, 0, 0, 5}, v9...))), 0, replay.Stats{NotExport: 1}},
		{"other port", ipv4(17, 1, 0, udp(1, 2056, v9)), 2055, replay.Stats{OtherPort: 1}},
		{"port asked for, anything in it", ipv4(17, 1, 0, udp(1, 2055, []byte("x"))), 2055, replay.Stats{Datagrams: 1, Bytes: 1}},
		{"IPv6 headers end early", ipv6(0, []byte{60, 9, 0, 0, 0, 0, 0, 0}), 0, replay.Stats{Malformed: 1}},
		{"first fragment alone", ipv4(17, 1, 0x2000, udp(1, 2055, v9)[:16]), 0, replay.Stats{Fragments: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, got := read(t, capture(101, test.frame), test.port)
			if test.want.Frames = 1; got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// Fragments in any order, repeated, and of several datagrams mixed, give each datagram once.
func TestReassembly(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	for round := range 50 {
		var frames [][]byte
		want := map[string]bool{}
		for id := range 5 {
			v9 := export(2000 + r.IntN(60000))
			want[string(v9)] = true
			whole := udp(5000, 2055, v9)
			for at := 0; at < len(whole); {
				size := min((1+r.IntN(180))*8, len(whole)-at)
				more, part := at+size < len(whole), whole[at:at+size]
				var frame []byte
				if round%2 == 0 {
					field := uint16(at / 8)
					if more {
						field |= 0x2000
					}
					frame = ipv4(17, uint16(id), field, part)
				} else {
					frame = ipv6(44, fragment6(17, uint32(id), at, more, part))
				}
				frames = append(frames, frame)
				at += size
			}
		}
		r.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
		frames = append([][]byte{frames[0]}, frames...) // one twice
		got, stats := read(t, capture(101, frames...), 0)
		for _, d := range got {
			if !want[d.payload] {
				t.Fatalf("round %d: a datagram of %d bytes that was not sent", round, len(d.payload))
			}
			delete(want, d.payload)
		}
		if len(want) > 0 || stats.Reassembled != 5 || stats.Fragments != uint64(len(frames)) {
			t.Fatalf("round %d: %d missing, %+v", round, len(want), stats)
		}
	}
}

func TestOverlappingFragmentsAreGivenUp(t *testing.T) {
	whole := udp(5000, 2055, export(54))
	got, stats := read(t, capture(101,
		ipv4(17, 1, 0x2000, whole[:40]), ipv4(17, 1, 0x2000|4, whole[32:48]), ipv4(17, 1, 5, whole[40:])), 0)
	if len(got) != 0 || stats.Fragments != 3 {
		t.Errorf("got %d datagrams, %+v", len(got), stats)
	}
}

// sum is what Frames must equal.
func sum(s replay.Stats) uint64 {
	return s.Datagrams - s.Reassembled + s.OtherPort + s.NotExport + s.NotUDP + s.Malformed + s.Cut + s.Fragments
}

// Whatever the bytes of the frames: no panic, every frame accounted for, and nothing longer than what was there.
func FuzzFrames(f *testing.F) {
	v9 := export(40)
	whole := udp(5000, 2055, v9)
	f.Add(uint16(1), ethernet(0x0800, ipv4(17, 1, 0, whole)), ethernet(0x8100, 7, 0x86dd, ipv6(17, whole)))
	f.Add(uint16(101), ipv4(17, 1, 0x2000, whole[:16]), ipv4(17, 1, 2, whole[16:]))
	f.Add(uint16(101), ipv6(44, fragment6(17, 1, 0, true, whole[:16])), ipv6(44, fragment6(17, 1, 16, false, whole[16:])))
	f.Add(uint16(276), append([]byte{8, 0}, append(make([]byte, 18), ipv4(17, 1, 0, whole)...)...), []byte{})
	f.Fuzz(func(t *testing.T, link uint16, a, b []byte) {
		got, stats := read(t, capture(uint32(link), a, b), 0)
		if stats.Frames != 2 || sum(stats) != 2 || stats.Datagrams != uint64(len(got)) {
			t.Errorf("%d datagrams, %+v", len(got), stats)
		}
		for _, d := range got {
			p := []byte(d.payload)
			if !bytes.Contains(a, p) && !bytes.Contains(b, p) && (stats.Reassembled == 0 || len(p) > len(a)+len(b)) {
				t.Errorf("a payload that is in no frame: %q", p)
			}
		}
	})
}

// Of every capture of the corpus exactly the expected datagrams are taken, from the expected exporters.
func TestCorpus(t *testing.T) {
	dir := netflowtest.Corpora(t, "exports")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Skip(err)
	}
	var expected struct {
		Files map[string]struct {
			File     string
			Expected struct {
				Versions  map[string]int
				Exporters []struct {
					Address   string
					Datagrams int
				}
			}
		}
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	for name, f := range expected.Files {
		want, wantFrom := 0, map[string]bool{}
		for version, n := range f.Expected.Versions {
			if !strings.HasPrefix(version, "sflow") {
				want += n
			}
		}
		for _, e := range f.Expected.Exporters {
			wantFrom[e.Address] = true
		}
		r, err := replay.Open(filepath.Join(dir, f.File), 0)
		if err != nil {
			t.Fatal(err)
		}
		got, stats := readAll(t, r)
		if len(got) != want || sum(stats) != stats.Frames {
			t.Errorf("%s: %d datagrams, want %d; %+v", name, len(got), want, stats)
		}
		for _, d := range got {
			if from := d.exporter[:strings.LastIndexByte(d.exporter, ':')]; !wantFrom[strings.Trim(from, "[]")] {
				t.Errorf("%s: exporter %s", name, d.exporter)
			}
		}
	}
}
