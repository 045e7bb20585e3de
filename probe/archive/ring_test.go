package archive

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// bulk makes packets that fill files.
func bulk(n int) []Packet {
	rng := rand.New(rand.NewPCG(1, 2))
	packets := make([]Packet, n)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for i := range packets {
		at := rng.IntN(len(data) - 1500)
		packets[i] = Packet{netflow.Timestamp(1795276800e6 + i*1000), 1500, data[at : at+1500]}
	}
	return packets
}

// dirSize is what all files of a folder have, or less if some go meanwhile. The newest are looked at first: those that grow
// are counted as they were when all that are counted after them were there.
func dirSize(t testing.TB, dir string) (size int64, pcaps int) {
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range slices.Backward(files) {
		if info, err := f.Info(); err == nil {
			size += info.Size()
		}
		if strings.HasSuffix(f.Name(), captureTail) {
			pcaps++
		}
	}
	return size, pcaps
}

// TestRing: the bounds hold at every moment, and what is left are the newest packets, without a gap.
func TestRing(t *testing.T) {
	packets := generated(t, 90_000, 1500, 90*time.Second) // 43 MB, with summaries of many addresses
	for _, test := range []struct {
		name  string
		cfg   Config
		bytes int64
		files int
	}{
		{"bytes", Config{MaxBytes: 16 << 20}, 16 << 20, 1 << 30},
		{"files", Config{Size: 4 << 20, MaxFiles: 3}, 1 << 40, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			test.cfg.Dir = dir
			done, watched := make(chan bool), make(chan bool)
			go func() {
				defer close(watched)
				for {
					if size, files := dirSize(t, dir); size > test.bytes || files > test.files {
						t.Errorf("%d bytes in %d files", size, files)
						return
					}
					select {
					case <-done:
						return
					case <-time.After(time.Millisecond):
					}
				}
			}()
			s := record(t, newArchive(t, test.cfg), packets)
			close(done)
			<-watched
			if s.Archived != s.Given || s.FilesDeleted == 0 {
				t.Errorf("%+v", s)
			}
			left := readDir(t, dir)
			if len(left) < 1000 {
				t.Fatalf("%d packets left", len(left))
			}
			samePackets(t, left, packets[len(packets)-len(left):])
			checkIndexes(t, dir)
			if size, _ := dirSize(t, dir); size != s.BytesHeld {
				t.Errorf("%d bytes, counted %d", size, s.BytesHeld)
			}
		})
	}
}
