package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// BenchmarkRecord is what the goroutine that captures does for a packet. Nothing is written.
func BenchmarkRecord(b *testing.B) {
	for _, snapLen := range []int{80, 256, 1500} {
		b.Run(fmt.Sprint(snapLen), func(b *testing.B) {
			packets := generated(b, 20_000, snapLen, time.Second)
			a := newArchive(b, Config{Dir: b.TempDir()})
			defer a.Close()
			r := a.NewRecorder(false)
			var taken []*block
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p := &packets[i%len(packets)]
				due := r.Add(dissect.LinkEthernet, p.Time, p.WireLen, p.Data)
				if due || i%32 == 31 {
					due = due || len(r.ready) > 0
					r.Commit(p.Time)
					if due {
						taken = a.queue.Take(taken)
						for _, k := range taken {
							a.queue.Release(k)
						}
					}
				}
				i++
			}
		})
	}
}

// BenchmarkWrite is what the goroutine of the files does for a packet.
func BenchmarkWrite(b *testing.B) {
	packets := generated(b, 5_000, 200, time.Second)
	a := newArchive(b, Config{Dir: b.TempDir(), Size: 16 << 20, MaxBytes: 64 << 20, Rotate: time.Hour})
	defer a.Close()
	k := &block{link: dissect.LinkEthernet, start: packets[0].Time}
	for i := range packets {
		if len(k.data) > BlockSize-300 {
			break
		}
		k.data = appendPacket(k.data, &packets[i])
		k.packets++
	}
	for b.Loop() {
		a.write(k)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k.packets), "ns/packet")
}
