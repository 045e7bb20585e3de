package archive

import (
	"encoding/binary"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

func TestMain(m *testing.M) {
	switch dir := os.Getenv("CAPROCK_ARCHIVE_HELPER_DIR"); os.Getenv("CAPROCK_ARCHIVE_HELPER") {
	case "forever":
		archiveForever(dir)
	case "small disk":
		os.Exit(fillDisk(dir))
	default:
		os.Exit(m.Run())
	}
}

// helper is this program with another task.
func helper(task, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CAPROCK_ARCHIVE_HELPER="+task, "CAPROCK_ARCHIVE_HELPER_DIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// archiveForever archives numbered packets, one each two milliseconds, as a meter of an interface does.
func archiveForever(dir string) {
	a, err := New(Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	go func() { _ = a.Run() }()
	r := a.NewRecorder(false)
	for n := uint64(0); ; n++ {
		now := netflow.TimestampOf(time.Now())
		if r.Add(dissect.LinkEthernet, now, 8, binary.BigEndian.AppendUint64(nil, n)) || n%32 == 31 {
			r.Commit(now)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// TestKill: kill -9 loses at most the last second, and nothing before it.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	want := uint64(0)
	for range 2 {
		cmd := helper("forever", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		killed := netflow.TimestampOf(time.Now())
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		before := readOpen(t, dir)
		a := newArchive(t, Config{Dir: dir})
		a.Close()
		name, f := newest(t, dir)
		if f.index == nil || f.Path() != dir+"/"+name+captureTail {
			t.Errorf("%s: not repaired", f.Path())
		}
		var packets []Packet
		if err := f.Blocks(nil, func(b *Block) (err error) {
			packets, err = f.AppendPackets(packets, b, new([]byte))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		for i, p := range packets {
			if binary.BigEndian.Uint64(p.Data) != uint64(i) {
				t.Fatalf("packet %d has number %d", i, binary.BigEndian.Uint64(p.Data))
			}
		}
		if len(packets) < 100 || killed-packets[len(packets)-1].Time > 1e6 {
			t.Errorf("%d packets, the last %v before the end", len(packets), time.Duration(killed-packets[len(packets)-1].Time)*time.Microsecond)
		}
		if len(packets) != before {
			t.Errorf("%d packets after the repair, %d before", len(packets), before)
		}
		want += uint64(len(packets))
	}
	if n := checkIndexes(t, dir); uint64(n) != want {
		t.Errorf("the indexes have %d packets of %d", n, want)
	}
}

// newest opens the newest file of a folder.
func newest(t *testing.T, dir string) (name string, f *File) {
	t.Helper()
	names, err := List(dir)
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	name = names[len(names)-1]
	if f, err = OpenFile(dir, name); err != nil {
		t.Fatal(err)
	}
	return name, f
}

// readOpen counts the packets of the newest file as a reader sees them before it is repaired.
func readOpen(t *testing.T, dir string) (packets int) {
	_, f := newest(t, dir)
	defer f.Close()
	if err := f.Blocks(nil, func(b *Block) error {
		packets += b.Packets
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return packets
}
