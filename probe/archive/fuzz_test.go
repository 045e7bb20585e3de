package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// FuzzIndex: whatever an index says, the packets that its blocks name are a prefix of the capture's, each once and in
// order, or there is an error; and what it names is what repairing keeps.
func FuzzIndex(f *testing.F) {
	packets := generated(f, 12, 70, time.Second)
	dir := f.TempDir()
	record(f, newArchive(f, Config{Dir: dir}), packets)
	names, err := List(dir)
	if err != nil || len(names) != 1 {
		f.Fatal(names, err)
	}
	capture, err := os.ReadFile(filepath.Join(dir, names[0]+captureTail))
	if err != nil {
		f.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(dir, names[0]+indexTail))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(capture, index)
	f.Add(capture[:len(capture)/2], index)
	f.Add(capture, index[:len(index)/2])
	f.Add(capture, []byte{})
	f.Add(capture[:pcapHeaderLen], index)
	f.Fuzz(func(t *testing.T, capture, index []byte) {
		dir := t.TempDir()
		tmp := filepath.Join(dir, tmpPrefix+names[0])
		if err := errors.Join(os.WriteFile(tmp+captureTail, capture, 0o600), os.WriteFile(tmp+indexTail, index, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := readPcapHeader(capture); err != nil {
			if _, err := OpenFile(dir, names[0]); err == nil {
				t.Error("opened without a header")
			}
			return
		}
		var want []Packet
		if r, err := pcapfile.NewReader(bytes.NewReader(capture)); err == nil {
			for {
				p, err := r.Next()
				if err != nil {
					break
				}
				want = append(want, Packet{netflow.Timestamp(p.Time / 1e3), p.WireLen, bytes.Clone(p.Data)})
			}
		}
		read := func() []Packet {
			file, err := OpenFile(dir, names[0])
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			some := Select(1, 1<<62, Condition{Src: true, Addrs: []netflow.Addr{{10: 0xff, 11: 0xff, 12: 10}}})
			if err := file.Blocks(some, func(b *Block) error {
				if b.Bytes > BlockSize || b.Offset+int64(b.Bytes) > file.Size() {
					t.Errorf("block %d bytes at %d of %d", b.Bytes, b.Offset, file.Size())
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			var got []Packet
			end := int64(pcapHeaderLen)
			err = file.Blocks(nil, func(b *Block) error {
				if b.Offset != end || b.Bytes > BlockSize || len(b.Keys) > b.Packets {
					t.Errorf("block %d bytes at %d after %d, %d flows, %d packets", b.Bytes, b.Offset, end, len(b.Keys), b.Packets)
				}
				end += int64(b.Bytes)
				var err error
				got, err = file.AppendPackets(got, b, new([]byte))
				return err
			})
			if err != nil && err != io.EOF {
				return nil
			}
			return got
		}
		got := read()
		if len(got) > len(want) {
			t.Fatalf("%d packets of %d", len(got), len(want))
		}
		samePackets(t, got, want[:len(got)])
		a, err := New(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		if got != nil {
			samePackets(t, read(), got)
		}
	})
}

// FuzzEntry: an entry that is read and written again has the same bytes.
func FuzzEntry(f *testing.F) {
	x := newIndexer()
	var records []byte
	for _, p := range generated(f, 40, 90, time.Second) {
		records = appendPacket(records, &p)
	}
	b := x.index(1, records)
	b.Offset = pcapHeaderLen
	f.Add(appendEntry(nil, &b))
	f.Add(appendEntry(nil, &Block{Offset: pcapHeaderLen, Bytes: 100, Packets: 2, NonIP: 2}))
	f.Fuzz(func(t *testing.T, entry []byte) {
		if len(entry) < entryHeaderLen {
			return
		}
		// Checksums would keep the fuzzer from everything behind them.
		binary.LittleEndian.PutUint32(entry[52:], crc32.Checksum(entry[entryHeaderLen:], castagnoli))
		binary.LittleEndian.PutUint32(entry[4:], crc32.Checksum(entry[8:entryHeaderLen], castagnoli))
		h, err := readEntryHeader(entry)
		if err != nil || h.keysLen() != len(entry)-entryHeaderLen {
			return
		}
		h.Keys = h.appendKeys(nil, entry[entryHeaderLen:], nil)
		if again := appendEntry(nil, &h.Block); !bytes.Equal(again, entry) {
			t.Errorf("read, written: %x, want %x", again, entry)
		}
	})
}
