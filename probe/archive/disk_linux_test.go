package archive

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSmallDisk: on a disk that is full at times, packets archived and not archived are all packets, what is archived can
// be read, and it goes on when there is room; with a bound on free space the disk is never full.
func TestSmallDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	cmd := helper("small disk", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		t.Errorf("helper: %v", err)
	}
}

// fillDisk is the helper of TestSmallDisk, in a mount namespace of its own. Its result is an exit status.
func fillDisk(dir string) int {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=10m"); err != nil {
		fmt.Println("mount:", err, "(not tried)")
		return 0
	}
	packets := bulk(12_000) // 18 MB
	status := 0
	fail := func(format string, args ...any) {
		fmt.Printf(format+"\n", args...)
		status = 1
	}
	write := func(a *Archive, from, to int, ballast func(i int)) Stats {
		for i := from; i < to; i += 500 {
			ballast(i)
			b := &block{link: 1, start: packets[i].Time}
			for j := range packets[i : i+500] {
				b.data = appendPacket(b.data, &packets[i+j])
				b.packets++
			}
			a.given.Add(b.packets)
			a.write(b)
		}
		a.Stop()
		if err := a.Run(); err != nil {
			fail("%v", err)
		}
		s := a.Stats()
		a.Close()
		if s.Underway != 0 || s.Archived+s.NoSpace != s.Given {
			fail("%+v", s)
		}
		return s
	}
	count := func() (n uint64) {
		names, err := List(dir)
		if err != nil {
			fail("%v", err)
		}
		for _, base := range names {
			f, err := OpenFile(dir, base)
			if err != nil {
				fail("%v", err)
				continue
			}
			if err := f.Blocks(nil, func(b *Block) error {
				found, err := f.AppendPackets(nil, b, new([]byte))
				n += uint64(len(found))
				return err
			}); err != nil {
				fail("%v", err)
			}
			f.Close()
		}
		return n
	}
	// Somebody else's file takes half of the disk, and goes away.
	if err := os.WriteFile(dir+"/ballast", make([]byte, 5<<20), 0o600); err != nil {
		fail("%v", err)
	}
	a, err := New(Config{Dir: dir, Size: MinSize, Rotate: time.Hour})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s := write(a, 0, 9000, func(i int) {
		if i == 7000 {
			os.Remove(dir + "/ballast")
		}
	})
	if n := count(); s.NoSpace < 1000 || s.Archived < 4000 || n != s.Archived {
		fail("%+v, %d packets in the files", s, n)
	}
	// The disk is nearly full of captures; a ring makes room.
	a, err = New(Config{Dir: dir, Size: MinSize, MinFree: 4 << 20})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s = write(a, 0, len(packets), func(int) {})
	if free, err := freeSpace(mustOpen(dir)); err != nil || free < 4<<20 || s.NoSpace != 0 || s.FilesDeleted == 0 {
		fail("%d bytes free, error %v, %+v", free, err, s)
	}
	// Without a bound that would hold, a ring deletes when the disk is full.
	a, err = New(Config{Dir: dir, Size: MinSize, MaxFiles: 1000})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if s = write(a, 0, len(packets), func(int) {}); s.NoSpace != 0 || s.FilesDeleted == 0 {
		fail("%+v", s)
	}
	count()
	return status
}

func mustOpen(dir string) *os.File {
	f, err := os.Open(dir)
	if err != nil {
		panic(err)
	}
	return f
}
