package pcapfile_test

import (
	"bytes"
	"io"
	"math"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// FuzzReader: frames that were read, written and read again are the same frames; how the bytes arrive makes no difference;
// and what is read was in the file.
func FuzzReader(f *testing.F) {
	for _, o := range []order{le, be} {
		for _, magic := range []uint32{0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34} {
			f.Add(pcapPacket(pcapPacket(pcapHeader(o, magic, 1), o, 1, 2, 3, "abcdefghijk"), o, 1, 2, 3, "abc"))
		}
		options := append(option(o, 9, []byte{0x8a}), option(o, 14, o.AppendUint64(nil, 5))...)
		file := interfaceBlock(interfaceBlock(sectionBlock(nil, o), o, 1, 6), o, 101, 0, options...)
		file = enhancedBlock(enhancedBlock(file, o, 0, 1, 2, "abc"), o, 1, 3, 4, "d")
		file = block(block(file, o, 3, append(o.AppendUint32(nil, 9), "abcdefghi"...)), o, 0xbad, []byte("skipped"))
		f.Add(file)
		f.Add(compress(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		frames, err := readAll(io.LimitReader(bytes.NewReader(file), 1<<20))
		slow, errSlow := readAll(iotest.HalfReader(bytes.NewReader(file)))
		if !reflect.DeepEqual(slow, frames) || (err == nil) != (errSlow == nil) || err != nil && err.Error() != errSlow.Error() {
			t.Fatalf("at once: %v, error %v\nslowly: %v, error %v", frames, err, slow, errSlow)
		}
		if len(frames) == 0 {
			return
		}
		link := frames[0].LinkType
		var copied bytes.Buffer
		w, err := pcapfile.NewWriter(&copied, link)
		if err != nil {
			t.Fatal(err)
		}
		var want []pcapfile.Frame
		size := 0
		for _, f := range frames {
			size += len(f.Data)
			if f.LinkType != link || f.Time < 0 || f.Time/1e9 > math.MaxUint32 {
				continue
			}
			if err := w.Write(f); err != nil {
				t.Fatal(err)
			}
			f.Interface = 1
			want = append(want, f)
		}
		if size > len(file) && file[0] != 0x1f {
			t.Errorf("%d bytes of frames in a file of %d", size, len(file))
		}
		got, err := readAll(&copied)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read, written, read: %v, error %v, want %v", got, err, want)
		}
	})
}
