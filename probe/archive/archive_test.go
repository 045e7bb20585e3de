package archive

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/test/trace"
)

// generated returns the packets of a generated trace.
func generated(t testing.TB, packets, snapLen int, span time.Duration) []Packet {
	t.Helper()
	c := trace.DefaultConfig()
	c.Packets, c.Flows, c.Snaplen, c.Span = packets, packets/20+10, snapLen, span
	var file bytes.Buffer
	if _, err := trace.Write(&file, c); err != nil {
		t.Fatal(err)
	}
	return readPcap(t, &file)
}

// readPcap reads a capture by the reader that the probe has for other people's files.
func readPcap(t testing.TB, in io.Reader) []Packet {
	t.Helper()
	r, err := pcapfile.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var packets []Packet
	for {
		f, err := r.Next()
		if err == io.EOF {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, Packet{netflow.Timestamp(f.Time / 1e3), f.WireLen, bytes.Clone(f.Data)})
	}
}

// readDir reads all captures of a folder, open ones included, in the order of their names.
func readDir(t testing.TB, dir string) []Packet {
	t.Helper()
	found, err := captures(dir)
	if err != nil {
		t.Fatal(err)
	}
	var packets []Packet
	for _, e := range found {
		path := filepath.Join(dir, e.base()+captureTail)
		if e.tmp {
			path = filepath.Join(dir, tmpPrefix+e.base()+captureTail)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, readPcap(t, file)...)
		file.Close()
	}
	return packets
}

// record archives packets as a meter does, and ends the archive.
func record(t testing.TB, a *Archive, packets []Packet) Stats {
	t.Helper()
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(); err != nil {
			t.Error(err)
		}
	})
	r := a.NewRecorder(true)
	for i := range packets {
		p := &packets[i]
		if r.Add(dissect.LinkEthernet, p.Time, p.WireLen, p.Data) || i%32 == 31 {
			r.Commit(p.Time)
		}
	}
	r.Flush()
	a.Stop()
	running.Wait()
	s := a.Stats()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if s.Underway != 0 || s.Given != uint64(len(packets)) || s.Given != s.Archived+s.QueueFull+s.NoSpace+s.WriteErrors+s.BadTime {
		t.Errorf("%d packets: %+v does not add up", len(packets), s)
	}
	return s
}

func newArchive(t testing.TB, cfg Config) *Archive {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func samePackets(t testing.TB, got, want []Packet) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Time != want[i].Time || got[i].WireLen != want[i].WireLen || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("packet %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

// files opens the captures of a folder one after the other, oldest first.
func files(t testing.TB, dir string) iter.Seq2[string, *File] {
	t.Helper()
	names, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(base string, f *File) bool) {
		for _, base := range names {
			f, err := OpenFile(dir, base)
			if err != nil {
				t.Fatal(err)
			}
			more := yield(base, f)
			f.Close()
			if !more {
				return
			}
		}
	}
}

// checkIndexes compares every block's entry with its packets, and the blocks with the captures.
func checkIndexes(t testing.TB, dir string) (packets int) {
	t.Helper()
	for base, f := range files(t, dir) {
		if f.index == nil {
			t.Errorf("%s: no index", base)
		}
		end := int64(pcapHeaderLen)
		err := f.Blocks(nil, func(b *Block) error {
			if b.Offset != end {
				t.Errorf("%s: block at %d, want %d", base, b.Offset, end)
			}
			end += int64(b.Bytes)
			if f.read > 0 && f.read < end-int64(b.Bytes)-pcapHeaderLen {
				t.Errorf("%s: the index made read the capture", base)
			}
			found, err := f.AppendPackets(nil, b, new([]byte))
			if err != nil {
				return err
			}
			packets += len(found)
			seen, nonIP := map[Key]bool{}, 0
			first, last := found[0].Time, found[0].Time
			for _, p := range found {
				if k := KeyOf(f.Link, p.Data, p.WireLen); k.IPVersion == 0 {
					nonIP++
				} else {
					seen[k] = true
				}
				first, last = min(first, p.Time), max(last, p.Time)
			}
			for _, k := range b.Keys {
				if !seen[k] {
					t.Errorf("%s: %+v is not in the block", base, k)
				}
				delete(seen, k)
			}
			if len(seen) > 0 || nonIP != b.NonIP || first != b.First || last != b.Last {
				t.Errorf("%s: block %+v: %d flows missing, %d not IP, %d to %d", base, b, len(seen), nonIP, first, last)
			}
			return nil
		})
		if err != nil || end != f.size {
			t.Errorf("%s: error %v, blocks up to byte %d of %d", base, err, end, f.size)
		}
	}
	return packets
}

// TestArchive: what went in is in the files, in order, and in the indexes; files change by size and by time.
func TestArchive(t *testing.T) {
	packets := generated(t, 30_000, 200, 90*time.Second)
	arp := slices.Concat(bytes.Repeat([]byte{0xff}, 6), make([]byte, 6), []byte{8, 6}, make([]byte, 28))
	packets = slices.Insert(packets, 100, Packet{packets[100].Time, 60, arp})
	for _, test := range []struct {
		name    string
		cfg     Config
		files   int // at least
		snapLen int
	}{
		{"size", Config{Size: MinSize}, 3, 0},
		{"time", Config{Rotate: 10 * time.Second}, 9, 0},
		{"snap length", Config{SnapLen: 100, Rotate: time.Minute, Size: MinSize}, 2, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Dir = filepath.Join(t.TempDir(), "new", "dir")
			s := record(t, newArchive(t, test.cfg), packets)
			if s.Archived != s.Given {
				t.Errorf("%+v", s)
			}
			want := slices.Clone(packets)
			if test.snapLen > 0 {
				for i := range want {
					want[i].Data = want[i].Data[:min(len(want[i].Data), test.snapLen)]
				}
			}
			samePackets(t, readDir(t, test.cfg.Dir), want)
			if n := checkIndexes(t, test.cfg.Dir); n != len(packets) {
				t.Errorf("the indexes have %d packets of %d", n, len(packets))
			}
			found, err := captures(test.cfg.Dir)
			if err != nil || len(found) < test.files || len(found) != int(s.FilesMade) {
				t.Errorf("%d files, want %d at least, and %d; error %v", len(found), test.files, s.FilesMade, err)
			}
			var size int64
			for _, e := range found {
				size += e.size
				info, err := os.Stat(filepath.Join(test.cfg.Dir, e.base()+captureTail))
				if err != nil || test.cfg.Size > 0 && info.Size() > test.cfg.Size {
					t.Errorf("%s: %d bytes, error %v", e.base(), info.Size(), err)
				}
			}
			if size != s.BytesHeld {
				t.Errorf("%d bytes held, counted %d", size, s.BytesHeld)
			}
		})
	}
}

// TestNames: a second archive in the same second and interval continues with other names.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	packets := generated(t, 100, 100, time.Second)
	var all []Packet
	for range 3 {
		record(t, newArchive(t, Config{Dir: dir, Rotate: time.Hour}), packets)
		all = append(all, packets...)
	}
	samePackets(t, readDir(t, dir), all)
	names, err := List(dir)
	start := time.UnixMicro(int64(packets[0].Time)).UTC().Truncate(time.Hour).Format("packets.2006-01-02.150405Z")
	if want := []string{start, start + ".0001", start + ".0002"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%v, error %v, want %v", names, err, want)
	}
	for _, bad := range []string{"packets.pcap", "packets.2026-11-21.160000Z.1.pcap", "packets.2026-11-21.160000Z.0000.pcap", "x.pcap", "packets.2026-13-21.160000Z.pcap", start + ".index"} {
		if _, _, ok := parseName(bad, captureTail); ok {
			t.Errorf("%s is taken for a capture", bad)
		}
	}
}

// TestLinkTypes: frames of several link types go to a file each; what comes with a time that pcap cannot hold is counted.
func TestLinkTypes(t *testing.T) {
	dir := t.TempDir()
	a := newArchive(t, Config{Dir: dir, Rotate: time.Hour})
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run() })
	r := a.NewRecorder(false)
	for i := range 100 {
		r.Add(dissect.LinkType(1+100*(i%2)), netflow.Timestamp(1e15+i), 4, []byte("abcd"))
	}
	r.Add(1, -5, 4, []byte("abcd"))
	r.Add(1, 1<<62, 4, []byte("abcd"))
	r.Flush()
	a.Stop()
	running.Wait()
	if s := a.Stats(); s.Archived+s.QueueFull != 100 || s.BadTime != 2 || s.Underway != 0 {
		t.Errorf("%+v", s)
	}
	links := map[dissect.LinkType]int{}
	for _, f := range files(t, dir) {
		links[f.Link]++
	}
	if links[1] != 1 || links[101] != 1 || len(links) != 2 {
		t.Errorf("files of link types %v", links)
	}
	a.Close()
}

// TestLock: one writer a folder.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	a := newArchive(t, Config{Dir: dir})
	if _, err := New(Config{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v, want %v", err, ErrLocked)
	}
	a.Close()
	newArchive(t, Config{Dir: dir}).Close()
}

// TestInterval: an interval without packets ends the file too.
func TestInterval(t *testing.T) {
	dir := t.TempDir()
	a := newArchive(t, Config{Dir: dir, Rotate: time.Second})
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run() })
	r := a.NewRecorder(false)
	r.Add(1, 1e15, 4, []byte("abcd"))
	r.Commit(1e15 + 500e3)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.Commit(1e15 + 1e6)
		found, err := captures(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 && !found[0].tmp {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still open: %+v", found)
		}
	}
	a.Stop()
	running.Wait()
	a.Close()
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{
		{}, {Dir: "x", Size: 1000}, {Dir: "x", Rotate: 1}, {Dir: "x", SnapLen: 10}, {Dir: "x", SnapLen: 1 << 20},
		{Dir: "x", MaxBytes: 1000}, {Dir: "x", MaxBytes: 1 << 30, Size: 1 << 30}, {Dir: "x", MaxFiles: 1}, {Dir: "x", MinFree: -1}, {Dir: "x", MaxBytes: -1},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v: no complaint", bad)
		}
	}
	if err := (&Config{Dir: "x", MaxBytes: 1 << 30}).Validate(); err != nil {
		t.Error(err)
	}
}
