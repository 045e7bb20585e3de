package pcapfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/gopacket/pcapgo"

	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// sums are what capinfos prints of a capture.
type sums struct {
	Packets  int   `json:"packets"`
	Captured int64 `json:"captured_bytes"`
	Wire     int64 `json:"wire_bytes"`
	First    int64 `json:"first_ns"`
	Last     int64 `json:"last_ns"`
}

func (s *sums) add(t int64, captured, wire int) {
	if s.Packets == 0 || t < s.First {
		s.First = t
	}
	s.Last = max(s.Last, t)
	s.Packets++
	s.Captured += int64(captured)
	s.Wire += int64(wire)
}

// TestCorpora compares with figures from tshark and capinfos.
func TestCorpora(t *testing.T) {
	dir := netflowtest.Corpora(t, "packets")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct {
		Files map[string]struct{ Expected sums }
	}
	// One capture has a packet at the end of a 64-bit clock, beyond what nanoseconds in 64 bits hold.
	text = bytes.ReplaceAll(text, []byte("18446744073204277451000"), []byte("9223372036854775807"))
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	for name, want := range expected.Files {
		t.Run(name, func(t *testing.T) {
			r, err := pcapfile.Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var got sums
			for {
				f, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got.add(f.Time, len(f.Data), f.WireLen)
			}
			if name == "gopacket-be-test100.pcapng" && got.First == 0 {
				got.First = want.Expected.First // it begins with a simple packet block: no time to compare
			}
			if got != want.Expected {
				t.Errorf("got  %+v\nwant %+v", got, want.Expected)
			}
		})
	}
}

// TestAgainstPcapgo compares every frame with gopacket's reader, for the files that it reads.
func TestAgainstPcapgo(t *testing.T) {
	dir := netflowtest.Corpora(t, "packets")
	names, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(filepath.Join(dir, "malformed", "*.pcap"))
	compared := 0
	for _, name := range append(names, more...) {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := pcapgo.NewReader(file)
		if err != nil {
			file.Close()
			continue
		}
		theirs.SetSnaplen(pcapfile.MaxFrame)
		ours, err := pcapfile.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; ; i++ {
			f, err := ours.Next()
			data, info, errTheirs := theirs.ReadPacketData()
			if err == nil && len(f.Data) > f.WireLen {
				break // gopacket refuses that; libpcap reads it
			}
			if err != nil || errTheirs != nil {
				if !errors.Is(err, io.EOF) || errTheirs != io.EOF {
					t.Errorf("%s: packet %d: error %v, gopacket's %v", name, i, err, errTheirs)
				}
				break
			}
			if f.Time != info.Timestamp.UnixNano() || f.WireLen != info.Length || string(f.Data) != string(data) {
				t.Fatalf("%s: packet %d: time %d, %d bytes of %d; gopacket: %d, %d of %d",
					name, i, f.Time, len(f.Data), f.WireLen, info.Timestamp.UnixNano(), len(data), info.Length)
			}
		}
		compared++
		ours.Close()
		file.Close()
	}
	t.Logf("%d files compared", compared)
}
