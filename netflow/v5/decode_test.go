package v5_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	v5 "github.com/caprock-net/caprock/netflow/v5"
)

// datagram builds a datagram of n records of random bytes. Seconds, nanoseconds and uptime are fixed.
func datagram(version uint16, count uint16, n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := binary.BigEndian.AppendUint16(nil, version)
	b = binary.BigEndian.AppendUint16(b, count)
	for _, v := range []uint32{100_000, 1_700_000_000, 250_000_999} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	record := 48
	switch version {
	case 5:
		b = binary.BigEndian.AppendUint32(b, 77)
		b = append(b, 2, 3, 0x40, 100) // engine type, engine id, sampling mode 1 of 100
	case 7:
		b = binary.BigEndian.AppendUint32(b, 77)
		b = append(b, 9, 9, 9, 9)
		record = 52
	}
	for range n * record {
		b = append(b, byte(rnd.Uint32()))
	}
	return b
}

// naive decodes one record byte by byte, by the tables of Cisco's descriptions of the three versions.
func naive(msg []byte, i int) netflow.Record {
	version := binary.BigEndian.Uint16(msg)
	u16 := func(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
	u32 := func(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
	uptime, seconds, nano := u32(msg[4:]), u32(msg[8:]), u32(msg[12:])
	header, size := 24, 48
	if version == 1 {
		header = 16
	} else if version == 7 {
		size = 52
	}
	p := msg[header+i*size:]
	at := func(switched uint32) netflow.Timestamp {
		ms := -int64(int32(uptime - switched)) // exactly 2^31 apart is in the future
		return netflow.Timestamp(int64(seconds)*1_000_000 + int64(min(nano, 999_999_999)/1000) + ms*1000)
	}
	r := netflow.Record{
		IPVersion: 4, SrcAddr: netflow.AddrFrom4([4]byte(p)), DstAddr: netflow.AddrFrom4([4]byte(p[4:])),
		Input: uint32(u16(p[12:])), Output: uint32(u16(p[14:])), Packets: uint64(u32(p[16:])), Bytes: uint64(u32(p[20:])),
		Start: at(u32(p[24:])), End: at(u32(p[28:])), SrcPort: u16(p[32:]), DstPort: u16(p[34:]), ExportVersion: uint8(version),
	}
	if u32(p[8:]) != 0 {
		r.NextHop = netflow.AddrFrom4([4]byte(p[8:]))
	}
	if version == 1 {
		r.Proto, r.TOS, r.TCPFlags = p[38], p[39], uint16(p[40])
	} else {
		r.TCPFlags, r.Proto, r.TOS = uint16(p[37]), p[38], p[39]
		r.SrcAS, r.DstAS, r.SrcMask, r.DstMask = uint32(u16(p[40:])), uint32(u16(p[42:])), p[44], p[45]
	}
	if version == 5 {
		r.Domain = uint32(u16(msg[20:]))
		r.SamplingRate = uint32(u16(msg[22:]) & 0x3fff)
	}
	if r.Proto == 1 || r.Proto == 58 {
		r.ICMPType, r.ICMPCode = uint8(r.DstPort>>8), uint8(r.DstPort)
	}
	return r
}

func TestDecode(t *testing.T) {
	for _, version := range []uint16{1, 5, 7} {
		b := netflow.NewBatch(100)
		msg := datagram(version, 30, 30, uint64(version))
		rows, counted, err := v5.Decode(b, msg)
		if rows != 30 || counted != 30 || err != nil || b.Len() != 30 {
			t.Errorf("version %d: %d rows of %d, %v", version, rows, counted, err)
		}
		for i := range b.Len() {
			if got, want := b.Record(i), naive(msg, i); got != want {
				t.Errorf("version %d, record %d: got %+v, want %+v", version, i, got, want)
			}
		}
		netflowtest.CheckBatch(t, b)
	}
}

func TestHeader(t *testing.T) {
	h, err := v5.ParseHeader(datagram(5, 3, 3, 1))
	want := v5.Header{Version: 5, Count: 3, Uptime: 100_000, Seconds: 1_700_000_000, Nanoseconds: 250_000_999, Sequence: 77,
		EngineType: 2, EngineID: 3, Sampling: 0x4064}
	if h != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", h, err, want)
	}
	if h.Engine() != 0x203 || h.SamplingRate() != 100 || h.Time() != 1_700_000_000_250_000 {
		t.Errorf("engine %#x, sampling rate %d, time %d", h.Engine(), h.SamplingRate(), h.Time())
	}
	for n := range 24 {
		if _, err := v5.ParseHeader(datagram(5, 0, 0, 1)[:n]); !errors.Is(err, v5.ErrShort) {
			t.Errorf("%d bytes of a header: %v, want ErrShort", n, err)
		}
	}
	if _, err := v5.ParseHeader(datagram(9, 0, 0, 1)); !errors.Is(err, v5.ErrVersion) {
		t.Errorf("version 9: %v, want ErrVersion", err)
	}
}

func TestCountsThatLie(t *testing.T) {
	tests := []struct {
		name  string
		count uint16
		held  int
		rows  int
	}{
		{"none", 0, 3, 0}, {"fewer", 2, 3, 2}, {"more", 65535, 3, 3}, {"more than 30 that fit", 200, 200, 200}, {"of nothing", 65535, 0, 0},
	}
	for _, tt := range tests {
		b := netflow.NewBatch(300)
		rows, counted, err := v5.Decode(b, datagram(5, tt.count, tt.held, 1))
		if rows != tt.rows || b.Len() != tt.rows || counted != int(tt.count) || err != nil {
			t.Errorf("%s: %d rows, %d in the batch, %d counted, %v; want %d rows", tt.name, rows, b.Len(), counted, err, tt.rows)
		}
	}
}

func TestUptimeWraps(t *testing.T) {
	msg := datagram(5, 2, 2, 1)
	binary.BigEndian.PutUint32(msg[4:], 5)                // the counter wrapped 5 ms ago
	binary.BigEndian.PutUint32(msg[24+24:], 0xffffffff-9) // first: 15 ms ago
	binary.BigEndian.PutUint32(msg[24+28:], 0xffffffff)   // last: 6 ms ago
	b := netflow.NewBatch(2)
	if _, _, err := v5.Decode(b, msg); err != nil {
		t.Fatal(err)
	}
	const header = 1_700_000_000_250_000
	if r := b.Record(0); r.Start != header-15_000 || r.End != header-6_000 {
		t.Errorf("got %d to %d µs before the header, want 15000 to 6000", header-r.Start, header-r.End)
	}
}

// FuzzDecode checks rows against the naive decoder, and that no byte counts for two.
func FuzzDecode(f *testing.F) {
	for _, version := range []uint16{1, 5, 7, 9} {
		f.Add(datagram(version, 2, 2, 1))
		f.Add(datagram(version, 65535, 1, 2)[:60])
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		b := netflow.NewBatch(20)
		b.Append(&netflow.Record{Bytes: 1})
		rows, counted, err := v5.Decode(b, msg)
		if err != nil {
			if rows != 0 || b.Len() != 1 {
				t.Fatalf("%v, but %d rows", err, rows)
			}
			return
		}
		if rows > counted || rows*48+16 > len(msg) && rows > 0 || b.Len() != rows+1 {
			t.Fatalf("%d rows of %d counted in %d bytes, %d in the batch", rows, counted, len(msg), b.Len())
		}
		for i := range rows {
			if got, want := b.Record(i+1), naive(msg, i); got != want {
				t.Fatalf("record %d: got %+v, want %+v", i, got, want)
			}
		}
		netflowtest.CheckBatch(t, b)
	})
}

func BenchmarkDecode(b *testing.B) {
	msg := datagram(5, 30, 30, 1)
	for i := range 30 {
		msg[24+i*48+38] = 6 // TCP
	}
	batch := netflow.NewBatch(3000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if batch.Room() < 30 {
			batch.Reset()
		}
		rows, _, _ := v5.Decode(batch, msg)
		n += rows
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/flow")
}
