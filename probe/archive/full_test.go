package archive

import (
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// limited is a disk that is full for a while.
type limited struct {
	mu   sync.Mutex
	room int64
	err  error
}

type limitedFile struct {
	file
	disk *limited
}

func (f *limitedFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := min(int64(len(b)), f.disk.room)
	f.disk.room -= n
	m, err := f.file.WriteAt(b[:n], at)
	if err == nil && n < int64(len(b)) {
		err = &os.PathError{Op: "write", Path: "x", Err: f.disk.err}
	}
	return m, err
}

// TestFullDisk: packets are counted while the disk is full or broken, and archived again afterwards.
func TestFullDisk(t *testing.T) {
	packets := bulk(10_000)
	for _, failure := range []error{syscall.ENOSPC, syscall.EIO} {
		t.Run(failure.Error(), func(t *testing.T) {
			dir := t.TempDir()
			a := newArchive(t, Config{Dir: dir, Size: 4 << 20})
			disk := &limited{room: 6<<20 + 12345, err: failure}
			create := a.create
			a.create = func(name string) (file, error) {
				f, err := create(name)
				return &limitedFile{file: f, disk: disk}, err
			}
			blocks := 0
			for i := 0; i < len(packets); i += 500 { // 750 KB each
				b := &block{link: 1, start: packets[i].Time}
				for j := range packets[i : i+500] {
					b.data = appendPacket(b.data, &packets[i+j])
					b.packets++
				}
				a.given.Add(b.packets)
				if blocks++; blocks == 15 {
					disk.mu.Lock()
					disk.room = 1 << 40
					disk.mu.Unlock()
				}
				a.write(b)
			}
			a.Stop()
			if err := a.Run(); err != nil {
				t.Error(err)
			}
			s := a.Stats()
			a.Close()
			lost := s.NoSpace
			if failure == syscall.EIO {
				lost = s.WriteErrors
			}
			if s.Underway != 0 || s.Archived+lost != s.Given || lost != 6*500 {
				t.Errorf("%+v", s)
			}
			samePackets(t, readDir(t, dir), slices.Concat(packets[:8*500], packets[14*500:]))
			if n := checkIndexes(t, dir); n != int(s.Archived) {
				t.Errorf("the indexes have %d packets of %d", n, s.Archived)
			}
		})
	}
}

// TestQueueFull: a recorder does not wait for the disk, and counts.
func TestQueueFull(t *testing.T) {
	dir := t.TempDir()
	a := newArchive(t, Config{Dir: dir})
	r := a.NewRecorder(false) // nobody writes
	packets := bulk(40_000)
	for i := range packets {
		r.Add(1, packets[i].Time, packets[i].WireLen, packets[i].Data)
		if i%32 == 31 {
			r.Commit(packets[i].Time)
		}
	}
	r.Flush()
	if s := a.Stats(); s.Given != uint64(len(packets)) || s.QueueFull == 0 || s.Underway != s.Given-s.QueueFull {
		t.Errorf("%+v", s)
	}
	a.Stop()
	if err := a.Run(); err != nil {
		t.Error(err)
	}
	s := a.Stats()
	if s.Archived+s.QueueFull != s.Given || s.Underway != 0 {
		t.Errorf("%+v", s)
	}
	if n := checkIndexes(t, dir); n != int(s.Archived) {
		t.Errorf("%d packets in the files, %+v", n, s)
	}
	a.Close()
}
