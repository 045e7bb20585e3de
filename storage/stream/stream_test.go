package stream_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/storagetest"
	"github.com/caprock-net/caprock/storage/stream"
)

func sameRows(t *testing.T, got, want *netflow.Batch) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("%d rows, want %d", got.Len(), want.Len())
	}
	for i := range want.Len() {
		if g, w := got.Record(i), want.Record(i); g != w {
			t.Fatalf("row %d: got %+v, want %+v", i, g, w)
		}
	}
}

func readAll(t *testing.T, data []byte, capacity int) (batches []*netflow.Batch, seqs []uint64, err error) {
	t.Helper()
	r, err := stream.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, nil, err
	}
	for {
		b := netflow.NewBatch(capacity)
		seq, err := r.Next(b)
		if err == io.EOF {
			if r.Offset() != int64(len(data)) {
				t.Errorf("offset %d at the end of %d bytes", r.Offset(), len(data))
			}
			return batches, seqs, nil
		}
		if err != nil {
			return batches, seqs, err
		}
		batches, seqs = append(batches, b), append(seqs, seq)
	}
}

func TestFramesComeBackEqual(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	data := stream.AppendHeader(nil)
	var want []*netflow.Batch
	for i := range 60 {
		b := storagetest.RandomBatch(rnd, []int{0, 1, 7, 8, 9, 100, 1000}[i%7])
		want = append(want, b)
		data = stream.AppendFrame(data, uint64(i)*1000+7, b)
		if i == 30 {
			data = stream.AppendHeader(data) // concatenated streams are a stream
		}
	}
	got, seqs, err := readAll(t, data, 1000)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d frames of %d, error %v", len(got), len(want), err)
	}
	for i := range want {
		sameRows(t, got[i], want[i])
		if seqs[i] != uint64(i)*1000+7 {
			t.Errorf("frame %d has sequence number %d", i, seqs[i])
		}
	}
}

func TestWriterSplitsAndNumbers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	b := storagetest.RandomBatch(rnd, stream.MaxRows*2+5)
	var out bytes.Buffer
	w := stream.NewWriter(&out)
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got, seqs, err := readAll(t, out.Bytes(), stream.MaxRows)
	if err != nil || len(got) != 3 || seqs[0] != 1 || seqs[2] != 3 {
		t.Fatalf("%d frames, numbers %v, error %v", len(got), seqs, err)
	}
	whole := netflow.NewBatch(b.Len())
	for _, g := range got {
		whole.AppendRows(g, 0, g.Len())
	}
	sameRows(t, whole, b)
}

func TestEmptyStreams(t *testing.T) {
	if _, err := stream.NewReader(bytes.NewReader(nil)); err != io.EOF {
		t.Errorf("no input: error %v, want io.EOF", err)
	}
	var out bytes.Buffer
	if err := stream.NewWriter(&out).Flush(); err != nil {
		t.Fatal(err)
	}
	if got, _, err := readAll(t, out.Bytes(), stream.MaxRows); err != nil || len(got) != 0 {
		t.Errorf("header alone: %d frames, error %v", len(got), err)
	}
	if _, err := stream.NewReader(bytes.NewReader([]byte("PAR1"))); !errors.Is(err, stream.ErrNotStream) {
		t.Errorf("another format: error %v, want ErrNotStream", err)
	}
}

func TestEveryTruncationIsTorn(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	data := stream.AppendHeader(nil)
	ends := map[int]int{len(data): 0}
	for i := range 3 {
		data = stream.AppendFrame(data, uint64(i), storagetest.RandomBatch(rnd, 5))
		ends[len(data)] = i + 1
	}
	frames := 0
	for n := 1; n <= len(data); n++ {
		got, _, err := readAll(t, data[:n], 5)
		if whole, ok := ends[n]; ok {
			frames = whole
			if err != nil {
				t.Fatalf("%d bytes: error %v at the end of a frame", n, err)
			}
		} else if !errors.Is(err, stream.ErrTorn) {
			t.Fatalf("%d bytes: error %v, want ErrTorn", n, err)
		}
		if len(got) != frames {
			t.Fatalf("%d bytes: %d frames, want %d", n, len(got), frames)
		}
	}
}

func TestEveryBitFlipIsNoticed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	data := stream.AppendHeader(nil)
	data = stream.AppendFrame(data, 1, storagetest.RandomBatch(rnd, 9))
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		got, _, err := readAll(t, data, 1000)
		if err == nil || len(got) != 0 {
			t.Errorf("bit %d flipped: %d frames, error %v", bit, len(got), err)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

func FuzzReader(f *testing.F) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for rows := range 4 {
		f.Add(stream.AppendFrame(stream.AppendHeader(nil), 1, storagetest.RandomBatch(rnd, rows*3)))
	}
	b, again := netflow.NewBatch(2000), netflow.NewBatch(2000)
	f.Fuzz(func(t *testing.T, data []byte) {
		stream.FixChecksums(data) // without this the fuzzer never gets beyond them
		r, err := stream.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		for {
			seq, err := r.Next(b)
			if err != nil {
				return
			}
			r2, err := stream.NewReader(bytes.NewReader(stream.AppendFrame(stream.AppendHeader(nil), seq, b)))
			if err != nil {
				t.Fatal(err)
			}
			seq2, err := r2.Next(again)
			if err != nil || seq2 != seq {
				t.Fatalf("decoded, encoded, decoded: number %d, want %d, error %v", seq2, seq, err)
			}
			sameRows(t, again, b)
		}
	})
}

func BenchmarkAppendFrame(b *testing.B) {
	batch := v9Batch()
	buf := make([]byte, 0, 2<<20)
	b.ReportAllocs()
	for b.Loop() {
		buf = stream.AppendFrame(buf[:0], 1, batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch.Len()), "ns/flow")
	b.ReportMetric(float64(len(buf))/float64(batch.Len()), "B/flow")
}

func BenchmarkReader(b *testing.B) {
	batch := v9Batch()
	frame := stream.AppendFrame(nil, 1, batch)
	data := stream.AppendHeader(nil)
	for range 100 {
		data = append(data, frame...)
	}
	flows := 0
	dst := netflow.NewBatch(stream.MaxRows)
	b.ReportAllocs()
	for b.Loop() {
		r, err := stream.NewReader(bytes.NewReader(data))
		for err == nil {
			_, err = r.Next(dst)
			flows += dst.Len()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(flows), "ns/flow")
}

// v9Batch looks like what a v9 exporter's 20 fields give: see the columns written.
func v9Batch() *netflow.Batch {
	rnd := rand.New(rand.NewPCG(11, 12))
	b := netflow.NewBatch(8192)
	b.Extend(b.Cap(), netflow.SetOf(netflow.SrcAddr, netflow.DstAddr, netflow.NextHop, netflow.Input, netflow.Output,
		netflow.Packets, netflow.Bytes, netflow.Start, netflow.End, netflow.SrcPort, netflow.DstPort, netflow.TCPFlags,
		netflow.Proto, netflow.TOS, netflow.SrcAS, netflow.DstAS, netflow.SrcMask, netflow.DstMask, netflow.Direction,
		netflow.VLAN, netflow.Received, netflow.Exporter, netflow.Domain, netflow.IPVersion, netflow.ExportVersion))
	const now = 1_790_000_000_000_000
	for i := range b.Len() {
		v4 := func() netflow.Addr { return netflow.AddrFrom4([4]byte{10, 0, byte(rnd.Uint32()), byte(rnd.Uint32())}) }
		b.SrcAddr[i], b.DstAddr[i], b.NextHop[i] = v4(), v4(), v4()
		b.Input[i], b.Output[i] = rnd.Uint32N(16), rnd.Uint32N(16)
		b.Packets[i], b.Bytes[i] = rnd.Uint64N(1000), rnd.Uint64N(1_000_000)
		b.Received[i] = netflow.Timestamp(now + i/24*10)
		b.End[i] = b.Received[i] - netflow.Timestamp(rnd.Uint64N(3000)*1000)
		b.Start[i] = b.End[i] - netflow.Timestamp(rnd.Uint64N(30000)*1000)
		b.SrcPort[i], b.DstPort[i] = uint16(rnd.Uint32()), 443
		b.DstPort[i] = uint16(rnd.Uint32N(1024))
		b.TCPFlags[i], b.Proto[i] = uint16(rnd.Uint32N(64)), []uint8{6, 17}[i%2]
		b.TOS[i] = uint8(rnd.Uint32N(2))
		b.SrcAS[i], b.DstAS[i] = 64512+rnd.Uint32N(5000), 64512+rnd.Uint32N(5000)
		b.SrcMask[i], b.DstMask[i] = uint8(8+rnd.Uint32N(17)), uint8(8+rnd.Uint32N(17))
		b.Direction[i], b.VLAN[i] = uint8(i%2), uint16(i%5)
		b.Exporter[i], b.Domain[i], b.IPVersion[i], b.ExportVersion[i] = netflow.AddrFrom4([4]byte{192, 0, 2, 1}), 7, 4, 9
	}
	return b
}
