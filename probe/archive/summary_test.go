package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// found is a block that a selection found.
type found struct {
	base   string
	offset int64
	keys   []Key
}

// find returns the blocks that a selection finds in a folder, and how much of the indexes was read.
func find(t testing.TB, dir string, s *Selection) (blocks []found, indexRead int64) {
	t.Helper()
	for base, f := range files(t, dir) {
		if err := f.Blocks(s, func(b *Block) error {
			blocks = append(blocks, found{base, b.Offset, slices.Clone(b.Keys)})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if f.BytesRead() > 0 {
			t.Errorf("%s: packets were read", base)
		}
		indexRead += f.IndexRead()
	}
	return blocks, indexRead
}

// meets is Selection.Has in the plainest way.
func meets(k *Key, conditions []Condition) bool {
	for _, c := range conditions {
		ends := []struct {
			looked bool
			addr   netflow.Addr
			number uint16
		}{{c.Src, k.Src, k.SrcPort}, {c.Dst, k.Dst, k.DstPort}, {!c.Src && !c.Dst, netflow.Addr{}, uint16(k.Proto)}}
		ok := false
		for _, e := range ends {
			if c.Addrs != nil {
				ok = ok || e.looked && slices.Contains(c.Addrs, e.addr)
			} else {
				ok = ok || e.looked && slices.ContainsFunc(c.Numbers, func(r Range) bool { return r.Lo <= e.number && e.number <= r.Hi })
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// TestSelections: with a summary, with a damaged one, and without, a selection finds the blocks that looking at every key
// of every block finds; with a summary little is read for it.
func TestSelections(t *testing.T) {
	dir := t.TempDir()
	packets := generated(t, 60_000, 100, time.Minute)
	for i := range packets { // some that are no IP packets
		if i%500 == 0 {
			packets[i].Data = bytes.Repeat([]byte{7}, 60)
		}
	}
	record(t, newArchive(t, Config{Dir: dir, Size: MinSize, Rotate: 20 * time.Second}), packets)
	var all []Block
	var in []string
	names, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var keys []Key
	for base, f := range files(t, dir) {
		if f.summary == nil || f.summary.buckets == 0 {
			t.Errorf("%s: summary %+v", base, f.summary)
		}
		if err := f.Blocks(nil, func(b *Block) error {
			c := *b
			c.Keys = slices.Clone(b.Keys)
			all, in, keys = append(all, c), append(in, base), append(keys, c.Keys...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}

	old, damaged := t.TempDir(), t.TempDir()
	rng := rand.New(rand.NewPCG(7, 8))
	for _, base := range names {
		capture, err := os.ReadFile(filepath.Join(dir, base+captureTail))
		if err != nil {
			t.Fatal(err)
		}
		index, err := os.ReadFile(filepath.Join(dir, base+indexTail))
		if err != nil {
			t.Fatal(err)
		}
		end := binary.LittleEndian.Uint64(index[len(index)-24:])
		v1 := slices.Clone(index[:end])
		binary.LittleEndian.PutUint16(v1[8:], noSummary)
		binary.LittleEndian.PutUint32(v1[12:], crc32.Checksum(v1[:12], castagnoli))
		for range 1 + rng.IntN(40) {
			index[int(end)+rng.IntN(len(index)-int(end))] ^= 1 << rng.IntN(8)
		}
		for _, to := range []struct {
			dir   string
			index []byte
		}{{old, v1}, {damaged, index}} {
			if err := os.WriteFile(filepath.Join(to.dir, base+captureTail), capture, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to.dir, base+indexTail), to.index, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}

	var readNew, readOld int64
	first, last := packets[0].Time, packets[len(packets)-1].Time
	for round := range 150 {
		var from, to netflow.Timestamp
		if round%2 == 0 {
			from = first + netflow.Timestamp(rng.Int64N(int64(last-first)))
			to = from + netflow.Timestamp(rng.Int64N(3e6))
		}
		k := keys[rng.IntN(len(keys))]
		other := keys[rng.IntN(len(keys))]
		if rng.IntN(4) == 0 { // an address that is nowhere
			k.Src[15] ^= 0x55
			k.Src[4] ^= 1
		}
		var conditions []Condition
		for range 1 + rng.IntN(3) {
			conditions = append(conditions, []Condition{
				{Src: true, Addrs: []netflow.Addr{k.Src}},
				{Dst: true, Addrs: []netflow.Addr{k.Dst}},
				{Src: true, Dst: true, Addrs: []netflow.Addr{k.Src}},
				{Src: true, Dst: true, Addrs: []netflow.Addr{k.Dst, other.Src, other.Dst}},
				{Src: true, Numbers: []Range{{k.SrcPort, k.SrcPort}}},
				{Dst: true, Numbers: []Range{{k.DstPort, k.DstPort}, {60000, 65535}}},
				{Src: true, Dst: true, Numbers: []Range{{0, 0}}},
				{Numbers: []Range{{uint16(k.Proto), uint16(k.Proto)}}},
			}[rng.IntN(8)])
		}
		var want []found
		for i, b := range all {
			if b.Last < from || to != 0 && b.First >= to {
				continue
			}
			var meeting []Key
			for _, k := range b.Keys {
				if meets(&k, conditions) {
					meeting = append(meeting, k)
				}
			}
			if len(meeting) > 0 || b.NonIP > 0 && meets(&Key{}, conditions) {
				want = append(want, found{in[i], b.Offset, meeting})
			}
		}
		s := Select(from, to, conditions...)
		for _, in := range []string{dir, damaged, old} {
			got, read := find(t, in, s)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%v to %v, %+v: %d blocks, want %d", from, to, conditions, len(got), len(want))
			}
			switch in {
			case dir:
				readNew += read
			case old:
				readOld += read
			}
		}
	}
	if readNew > readOld/2 {
		t.Errorf("%d bytes of the indexes were read, %d without summaries", readNew, readOld)
	}
}

// TestDamagedEntry: what an entry does not tell any more is made up from the packets of its group, and no others.
func TestDamagedEntry(t *testing.T) {
	dir := t.TempDir()
	packets := generated(t, 60_000, 100, time.Minute)
	record(t, newArchive(t, Config{Dir: dir}), packets)
	names, err := List(dir)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	path := filepath.Join(dir, names[0]+indexTail)
	index, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := int64(binary.LittleEndian.Uint64(index[len(index)-24:]))
	rng := rand.New(rand.NewPCG(13, 14))
	for range 20 {
		damaged := slices.Clone(index)
		at := indexHeaderLen + rng.Int64N(end-indexHeaderLen)
		damaged[at] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFile(dir, names[0])
		if err != nil {
			t.Fatal(err)
		}
		var got []Packet
		var made int64
		if err := f.Blocks(nil, func(b *Block) error {
			before := f.BytesRead()
			got, err = f.AppendPackets(got, b, new([]byte))
			made -= f.BytesRead() - before
			return err
		}); err != nil {
			t.Fatal(err)
		}
		samePackets(t, got, packets)
		if made += f.BytesRead(); made == 0 || made > f.Size()/3 {
			t.Errorf("damaged at byte %d: %d bytes of %d read for it", at, made, f.Size())
		}
		f.Close()
	}
}

// TestAddrFilter: what was added is there; little else is, however many buckets folding has left.
func TestAddrFilter(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, addrs := range []int{0, 1, 30, 2000, 200_000, 3_000_000} {
		t.Run(fmt.Sprint(addrs), func(t *testing.T) {
			f := newAddrFilter(DefaultSize)
			added := make([]netflow.Addr, addrs)
			var some [][2]uint64
			for i := range added {
				binary.BigEndian.PutUint64(added[i][8:], mapped4|uint64(i)) // addresses of a network follow each other
				if i%10 == 0 {
					binary.BigEndian.PutUint64(added[i][:], rng.Uint64())
				}
				hi, lo := halves(&added[i])
				if some = append(some, [2]uint64{hi, lo}); len(some) == addAtOnce || i == len(added)-1 {
					f.add(some)
					some = some[:0]
				}
			}
			f = f.sealed()
			if f == nil {
				if addrs < 3_000_000 {
					t.Error("taken for full")
				}
				return
			}
			n := len(f) / bucketLen
			may := func(a netflow.Addr) bool {
				hi, lo := halves(&a)
				at, _ := spots(hi, lo, n)
				return mayHave(f[at:at+bucketLen], &a)
			}
			for _, a := range added {
				if !may(a) {
					t.Fatalf("%v is not there", a)
				}
			}
			wrong := 0
			for i := range 20_000 {
				if may(netflow.AddrFrom4([4]byte{200, byte(i >> 16), byte(i >> 8), byte(i)})) {
					wrong++
				}
			}
			if wrong > 20_000/33 || len(f) > 64+4*addrs {
				t.Errorf("%d bytes; %d of 20000 others may be there", len(f), wrong)
			}
		})
	}
}

// TestFullDiskAtTheSummary: when there is no room for the summary, the index is whole all the same.
func TestFullDiskAtTheSummary(t *testing.T) {
	packets := generated(t, 3000, 150, time.Second)
	for room := int64(0); room < 2200; room += 100 {
		dir := t.TempDir()
		a := newArchive(t, Config{Dir: dir, Size: MinSize})
		disk := &limited{room: 1 << 40, err: syscall.ENOSPC}
		create := a.create
		a.create = func(name string) (file, error) {
			f, err := create(name)
			return &limitedFile{file: f, disk: disk}, err
		}
		b := &block{link: 1, start: packets[0].Time, packets: uint64(len(packets))}
		for i := range packets {
			b.data = appendPacket(b.data, &packets[i])
		}
		a.given.Add(b.packets)
		a.write(b)
		disk.room = room
		a.Stop()
		if err := a.Run(); err != nil {
			t.Error(err)
		}
		s := a.Stats()
		a.Close()
		if size, _ := dirSize(t, dir); s.Archived != s.Given || size != s.BytesHeld {
			t.Errorf("%d bytes of room: %+v, %d bytes", room, s, size)
		}
		samePackets(t, readDir(t, dir), packets)
		if n := checkIndexes(t, dir); n != len(packets) {
			t.Errorf("the index has %d packets of %d", n, len(packets))
		}
	}
}

// FuzzSummary: what a summary says is within the bounds of its index, or an error.
func FuzzSummary(f *testing.F) {
	s := newSummarizer(MinSize)
	var records []byte
	for _, p := range generated(f, 40, 90, time.Second) {
		records = appendPacket(records, &p)
	}
	b := newIndexer().index(1, records)
	b.Offset = pcapHeaderLen
	s.add(appendEntry(nil, &b))
	end, captured := s.end, s.captured
	f.Add(s.appendTo(nil), end, captured)
	f.Fuzz(func(t *testing.T, b []byte, end, captured int64) {
		if len(b) < summaryLen || end < 0 || end > 1<<40 {
			return
		}
		tail := b[len(b)-summaryLen:]
		binary.LittleEndian.PutUint32(tail[4:], crc32.Checksum(tail[8:], castagnoli))
		s, err := readSummary(tail, end+int64(len(b)), captured)
		if err != nil {
			return
		}
		at := s.end - end
		if at < 0 || at+int64(s.groupCount)*groupLen+int64(s.buckets)*bucketLen+summaryLen != int64(len(b)) {
			if at < 0 {
				return // the entries are not in b
			}
			t.Fatalf("%+v of %d bytes behind %d", s, len(b), end)
		}
		groups, err := s.readGroups(b[at : at+int64(s.groupCount)*groupLen])
		if err == nil && (len(groups) == 0 || groups[0].offset != pcapHeaderLen || groups[len(groups)-1].offset >= captured) {
			t.Errorf("%+v: %+v", s, groups)
		}
	})
}
