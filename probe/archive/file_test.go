package archive

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// TestReadWhileWriting: a reader of an archive being written sees a prefix of it, blocks whole.
func TestReadWhileWriting(t *testing.T) {
	dir := t.TempDir()
	packets := generated(t, 60_000, 120, 10*time.Second)
	a := newArchive(t, Config{Dir: dir, Size: MinSize, Rotate: time.Second})
	done, watched := make(chan bool), make(chan bool)
	go func() {
		defer close(watched)
		for {
			var seen []Packet
			names, err := List(dir)
			for _, base := range names {
				f, e := OpenFile(dir, base)
				if e != nil {
					if !errors.Is(e, os.ErrNotExist) {
						err = errors.Join(err, e)
					}
					continue
				}
				err = errors.Join(err, f.Blocks(nil, func(b *Block) error {
					seen, e = f.AppendPackets(seen, b, new([]byte))
					return e
				}), f.Close())
			}
			if err != nil {
				t.Error(err)
				return
			}
			samePackets(t, seen, packets[:len(seen)])
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	record(t, a, packets)
	close(done)
	<-watched
}

// TestBetween: a window of time reads the entries that it needs.
func TestBetween(t *testing.T) {
	dir := t.TempDir()
	packets := generated(t, 20_000, 200, 100*time.Second)
	record(t, newArchive(t, Config{Dir: dir, Rotate: time.Minute}), packets)
	from, to := packets[5000].Time, packets[6000].Time
	got, want, blocks := map[netflow.Timestamp]int{}, map[netflow.Timestamp]int{}, 0
	for _, f := range files(t, dir) {
		if err := f.Blocks(Select(from, to), func(b *Block) error {
			blocks++
			found, err := f.AppendPackets(nil, b, new([]byte))
			for _, p := range found {
				if p.Time >= from && p.Time < to {
					got[p.Time]++
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range packets {
		if p.Time >= from && p.Time < to {
			want[p.Time]++
		}
	}
	if !reflect.DeepEqual(got, want) || blocks > 20 {
		t.Errorf("%d times, want %d; %d blocks", len(got), len(want), blocks)
	}
}
