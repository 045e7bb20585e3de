package trace_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/test/trace"
)

// TestTotals counts the packets again from the headers that were written.
func TestTotals(t *testing.T) {
	c := trace.Config{Packets: 20_000, Flows: 500, Start: time.Unix(1_700_000_000, 0), Span: time.Minute, Snaplen: 80, Seed: 7}
	var file bytes.Buffer
	totals, err := trace.Write(&file, c)
	if err != nil {
		t.Fatal(err)
	}
	again := bytes.Buffer{}
	if _, err := trace.Write(&again, c); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
		t.Errorf("the same configuration gives other bytes, error %v", err)
	}
	r, err := pcapfile.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	var got trace.Totals
	flows := map[string]bool{}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ip := f.Data[14:]
		length, ends, proto, header := int(binary.BigEndian.Uint16(ip[2:])), ip[12:20], ip[9], 20
		if ip[0]>>4 == 6 {
			length, ends, proto, header = 40+int(binary.BigEndian.Uint16(ip[4:])), ip[8:40], ip[6], 40
		}
		ports := ip[header : header+4]
		if proto == 1 || proto == 58 {
			ports = ip[header : header+2]
		}
		if f.WireLen != 14+length {
			t.Fatalf("packet %d: %d bytes on the wire for an IP packet of %d", got.Packets, f.WireLen, length)
		}
		got.Packets++
		got.Bytes += uint64(length)
		flows[string(ends)+string(proto)+string(ports)] = true
	}
	got.Flows, got.Conversations = uint64(len(flows)), totals.Conversations
	if got != totals {
		t.Errorf("counted %+v, the generator says %+v", got, totals)
	}
}
