package decode_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
)

// script joins datagrams, each with a byte that chooses its exporter and two bytes of length before it.
func script(payloads ...[]byte) []byte {
	var b []byte
	for i, p := range payloads {
		b = append(b, byte(i&1), byte(len(p)>>8), byte(len(p)))
		b = append(b, p...)
	}
	return b
}

func unscript(b []byte) (all []decode.Datagram) {
	for at := netflow.Timestamp(now); len(b) >= 3; at += 1000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, b[0] & 3}), 9)
		n := min(int(binary.BigEndian.Uint16(b[1:])), len(b)-3)
		all = append(all, decode.Datagram{Exporter: from, Received: at, Payload: b[3 : 3+n]})
		b = b[3+n:]
	}
	return all
}

// run decodes datagrams into batches of the given capacity and returns all rows.
func run(t *testing.T, all []decode.Datagram, capacity int) (*decode.Decoder, []netflow.Record) {
	d := decode.New(decode.Config{MaxExporters: 6})
	b := netflow.NewBatch(capacity)
	var rows []netflow.Record
	flush := func() {
		netflowtest.CheckBatch(t, b)
		for i := range b.Len() {
			rows = append(rows, b.Record(i))
		}
		b.Reset()
	}
	for i := range all {
		n := b.Len()
		if err := d.Decode(b, &all[i]); errors.Is(err, decode.ErrFull) {
			if n == 0 || b.Len() != n {
				t.Fatalf("ErrFull with %d rows before and %d after", n, b.Len())
			}
			flush()
			if err := d.Decode(b, &all[i]); err != nil {
				t.Fatalf("%v with an empty batch", err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
	}
	flush()
	return d, rows
}

// FuzzDecoder sends datagrams of any versions from a few exporters and checks the books: every row is counted, all
// datagrams and bytes are, exporters add up to the totals, and how large the batches are makes no difference.
func FuzzDecoder(f *testing.F) {
	ipfix := netflowtest.IPFIX(seconds, 0, 1).Template(256, layout...).Options(257, 1, field(302, 4), field(34, 4)).
		Data(257, rec(uint32(1), uint32(10))).Data(256, flow(1), flow(2)).Bytes()
	v9 := netflowtest.V9(seconds, 1000, 0, 1).Template(256, layout...).Data(256, flow(1), flow(2), flow(3)).Data(300, flow(1)).Bytes()
	f.Add(script(ipfix, v9, v5(0, 3, 3), ipfix, v9, []byte{0, 1}))
	f.Add(script(v9, v9, v9, v9, v9, v5(9, 65535, 2)))
	if dir, files, ok := seeds(f); ok {
		for _, name := range []string{"tg-ipfix-example", "v9-cisco-asa-1", "v9-zero-length-fields", "akv-v9-multiple-sampling-rates"} {
			var payloads [][]byte
			for _, dg := range datagrams(f, filepath.Join(dir, files[name].File)) {
				payloads = append(payloads, dg.Payload)
			}
			f.Add(script(payloads...))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		all := unscript(in)
		d, rows := run(t, all, 64)
		s := d.Stats()
		var sum decode.Stats
		var bytes uint64
		for _, dg := range all {
			bytes += uint64(len(dg.Payload))
		}
		for _, x := range s.Exporters {
			sum.Flows += x.Flows
			sum.Datagrams += x.Datagrams
		}
		if s.Flows != uint64(len(rows)) || s.Datagrams != uint64(len(all)) || s.Bytes != bytes {
			t.Fatalf("%d rows of %d datagrams with %d bytes: %+v", len(rows), len(all), bytes, s.Counters)
		}
		rejected := s.Malformed[decode.ShortHeader] + s.Malformed[decode.UnknownVersion]
		if s.Forgotten == 0 && (sum.Flows != s.Flows || sum.Datagrams+rejected != s.Datagrams) {
			t.Fatalf("exporters have %d flows and %d datagrams of %d and %d", sum.Flows, sum.Datagrams, s.Flows, s.Datagrams)
		}
		if s.Flows+s.Options > s.Bytes || len(s.Exporters) > 6 || s.Lost > 1<<40 {
			t.Fatalf("%+v", s.Counters)
		}
		if s.Malformed[decode.TooManyRecords] > 0 {
			return
		}
		e, large := run(t, all, 2048)
		if !slices.Equal(rows, large) || e.Stats().Counters != s.Counters {
			t.Fatalf("%d rows in small batches, %d in large ones; %+v and %+v", len(rows), len(large), s.Counters, e.Stats().Counters)
		}
	})
}

func seeds(f *testing.F) (dir string, files map[string]capture, ok bool) {
	if _, ok := netflowtest.FindCorpora("exports"); !ok {
		return "", nil, false
	}
	dir, files = captures(f)
	return dir, files, true
}
