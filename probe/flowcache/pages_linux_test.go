package flowcache

import (
	"testing"
	"time"
	"unsafe"
)

const page = 4 << 10

// TestRelease: the pages that are the table's alone are given back, which makes them zero, and nothing around them is touched.
func TestRelease(t *testing.T) {
	const words = page / 8
	for _, test := range []struct{ from, to int }{ // of the table, in what lies on pages
		{0, 4 * words}, {1, 4 * words}, {0, 4*words - 1}, {words - 1, 3*words + 1}, {1, words}, {words / 2, words + words/2}, {words, 2 * words}, {5, 6},
	} {
		memory := make([]uint64, 6*words)
		at := (page - int(uintptr(unsafe.Pointer(&memory[0]))%page)) / 8
		memory = memory[at : at+5*words] // from a page's boundary on
		for i := range memory {
			memory[i] = 1
		}
		release(memory[test.from:test.to])
		first, last := (test.from+words-1)/words*words, test.to/words*words
		for i, v := range memory {
			want := uint64(1)
			if i >= first && i < last {
				want = 0
			}
			if v != want {
				t.Fatalf("table of words %d to %d: word %d is %d, want %d", test.from, test.to, i, v, want)
			}
		}
	}
}

// TestGrowReleases: when a table doubles, the memory of the old one is given back, and all flows are found in the new one.
func TestGrowReleases(t *testing.T) {
	c, err := New(Config{MaxFlows: 1 << 14, Inactive: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	old := c.slots
	flows := uint64(0)
	for ; len(c.slots) == len(old); flows++ {
		p := Packet{Time: 1}
		p.IPVersion = 6
		putUint64(p.Src[8:], flows)
		c.Add(p.Time, 1, &p.Packet, nil)
	}
	if len(c.slots) != 2*len(old) {
		t.Fatalf("%d slots after %d", len(c.slots), len(old))
	}
	left := 0
	for _, slot := range old {
		if slot != 0 {
			left++
		}
	}
	if left > 2*page/8 { // at most parts of a page at both ends
		t.Errorf("%d slots of %d are still there", left, len(old))
	}
	for i := range flows {
		p := Packet{Time: 2}
		p.IPVersion = 6
		putUint64(p.Src[8:], i)
		c.Add(p.Time, 1, &p.Packet, nil)
	}
	if s := c.Stats(); uint64(s.Flows) != flows || s.Packets != 2*flows {
		t.Errorf("%d flows: %+v", flows, s)
	}
}
