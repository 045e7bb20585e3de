package archive

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRepair: a capture that was left open, cut at any place, with or without its index, loses its torn packet only.
func TestRepair(t *testing.T) {
	packets := generated(t, 3000, 150, time.Second)
	whole := t.TempDir()
	record(t, newArchive(t, Config{Dir: whole}), packets)
	names, err := List(whole)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	capture, err := os.ReadFile(filepath.Join(whole, names[0]+captureTail))
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(whole, names[0]+indexTail))
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{pcapHeaderLen}
	for at, p := range packetsOf(capture[pcapHeaderLen:]) {
		ends = append(ends, pcapHeaderLen+at+packetHeaderLen+len(p.Data))
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		cut, cutIndex := rng.IntN(len(capture)+1), rng.IntN(len(index)+1)
		switch i % 5 {
		case 0:
			cut = len(capture)
		case 1:
			cutIndex = len(index)
		case 2:
			cut = rng.IntN(60)
		}
		dir := t.TempDir()
		prefix := filepath.Join(dir, tmpPrefix+names[0])
		if err := os.WriteFile(prefix+captureTail, capture[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		switch {
		case i%7 == 3: // no index
		case i%7 == 4: // killed while renaming
			err = os.WriteFile(filepath.Join(dir, names[0]+indexTail), index[:cutIndex], 0o600)
		default:
			err = os.WriteFile(prefix+indexTail, index[:cutIndex], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		record(t, newArchive(t, Config{Dir: dir}), nil)
		n, _ := slices.BinarySearch(ends, cut+1) // packets that end at or before cut
		samePackets(t, readDir(t, dir), packets[:max(0, n-1)])
		if got := checkIndexes(t, dir); got != max(0, n-1) {
			t.Errorf("cut at %d of %d: the index has %d packets, want %d", cut, len(capture), got, n-1)
		}
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			if strings.HasPrefix(f.Name(), tmpPrefix) || n <= 1 {
				t.Errorf("cut at %d: %s is left", cut, f.Name())
			}
		}
	}
}
