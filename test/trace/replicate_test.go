package trace_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/test/trace"
)

// TestReplicate copies two captures, one of them with VLAN tags, and finds each packet in each copy, with its own addresses.
func TestReplicate(t *testing.T) {
	dir := t.TempDir()
	c := config(300, 10)
	var plain bytes.Buffer
	if _, err := trace.Write(&plain, c); err != nil {
		t.Fatal(err)
	}
	original := frames(t, bytes.NewReader(plain.Bytes()))
	var tagged bytes.Buffer
	w, err := pcapfile.NewWriter(&tagged, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range original {
		f.Data = append(append(bytes.Clone(f.Data[:12]), 0x81, 0, 0, 5), f.Data[12:]...)
		if err := w.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string][]byte{"a.pcap": plain.Bytes(), "b.pcap": tagged.Bytes(), "readme": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := trace.Sources(dir)
	if err != nil || len(sources) != 2 {
		t.Fatal(sources, err)
	}
	c.Packets, c.Span, c.Snaplen = 3000, 30*time.Second, 100
	var out bytes.Buffer
	r, err := trace.Replicate(&out, c, sources)
	if err != nil || r != (trace.Replica{Packets: 3000, Files: 2, Copies: 5}) {
		t.Fatal(r, err)
	}
	count := map[tuple]int{}
	last := int64(0)
	for _, f := range frames(t, &out) {
		if f.Time < last || f.Time > c.Start.Add(c.Span).UnixNano() {
			t.Fatalf("a packet at %d behind one at %d", f.Time, last)
		}
		last = f.Time
		if binary.BigEndian.Uint16(f.Data[12:]) == 0x8100 {
			f.Data = append(f.Data[:12], f.Data[16:]...)
		}
		p, _ := parse(t, f)
		count[p]++
	}
	for _, f := range original {
		p, _ := parse(t, f)
		for k := range byte(r.Copies) {
			count[tuple{moved(p.src, k), moved(p.dst, k), p.sport, p.dport, p.proto}] -= r.Files
		}
	}
	for p, n := range count {
		if n != 0 {
			t.Fatalf("%d packets too many of %+v", n, p)
		}
	}
}

// moved is an address of a copy.
func moved(address string, k byte) string {
	b := []byte(address)
	b[map[int]int{4: 1, 16: 3}[len(b)]] ^= k
	return string(b)
}
