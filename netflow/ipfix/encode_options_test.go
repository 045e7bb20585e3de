package ipfix_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
)

// about says all that options data can.
func about() *netflow.Options {
	return &netflow.Options{
		Interfaces: []netflow.Interface{{Index: 2, Name: "eth0", Description: "up"}, {Index: 0x01020304, Name: "wg1"}},
		Statistics: &netflow.ExporterStatistics{
			Messages: 0x11, Bytes: 0x22, Flows: 0x33, Ignored: 0x44, NotSentFlows: 0x55, NotSentPackets: 0x66, NotSentBytes: 0x77,
			FirstNotSent: replayed - 3e6, LastNotSent: replayed - 500e3,
		},
		Boot: replayed - 3e6,
	}
}

// The layouts are those of RFC 7011 sections 3.4.2.2 and 4, and of the IANA registry; times as in golden.
const goldenOptions = "000a 00f5 53155f3f 00000007 0a0b0c0d" +
	// Names: scope ingressInterface; interfaceName and interfaceDescription, of variable length.
	"0003 0016" + "0141 0003 0001 000a0004 0052ffff 0053ffff" +
	"0141 0019" + "00000002 04 65746830 02 7570" + "01020304 03 776731 00" +
	// Metering process: scope observationDomainId; messages, flow records, octets, ignored packets.
	"0003 001e" + "0142 0005 0001 00950004 00290008 002a0008 00280008 00a40008" +
	"0142 0028" + "0a0b0c0d 0000000000000011 0000000000000033 0000000000000022 0000000000000044" +
	// Exporting process: scope exportingProcessId; flows, packets, octets not sent; when first and last.
	"0003 0022" + "0143 0006 0001 00900004 00a60008 00a70008 00a80008 01430008 01430008" +
	"0143 0030" + "00000001 0000000000000055 0000000000000066 0000000000000077 000001448b7c035a 000001448b7c0d1e" +
	// System: scope exportingProcessId; systemInitTimeMilliseconds.
	"0003 0012" + "0144 0002 0001 00900004 00a00008" +
	"0144 0010" + "00000001 000001448b7c035a"

// sent is an encoder that has sent seven records.
func sent(t *testing.T, maxBytes int) *ipfix.Encoder {
	t.Helper()
	e := ipfix.NewEncoder(ipfix.EncoderConfig{MaxBytes: maxBytes, Domain: 0x0a0b0c0d, TemplateEvery: 1e9, TemplateMessages: 100})
	r := flow()
	for range 7 {
		if !e.Append(replayed, &r) {
			t.Fatal("no room")
		}
	}
	e.AppendMessage(nil, replayed)
	return e
}

func TestGoldenOptions(t *testing.T) {
	want := netflowtest.Hex(t, goldenOptions)
	binary.BigEndian.PutUint16(want[2:], uint16(len(want)))
	e := sent(t, 1400)
	got := e.Options(replayed, about(), true)
	if len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Fatalf("got\n%x, want\n%x", got, want)
	}
	// The five records count in the sequence; without templates a message has nothing but data.
	again := e.Options(replayed, about(), false)
	if h, err := ipfix.ParseHeader(again[0]); err != nil || h.Sequence != 12 || len(again) != 1 {
		t.Errorf("%d messages, header %+v, error %v, want sequence 12", len(again), h, err)
	}
	if id := binary.BigEndian.Uint16(again[0][16:]); id != 0x141 {
		t.Errorf("the first set is %d", id)
	}
	if got := e.Options(replayed, &netflow.Options{}, true); got != nil {
		t.Errorf("nothing to tell, but %x", got)
	}
}

// TestOptionsAreSplit tells of more interfaces than a message holds; our decoder keeps them apart from flows.
func TestOptionsAreSplit(t *testing.T) {
	e := sent(t, 512)
	o := about()
	const interfaces = 100
	o.Interfaces = nil
	for i := range interfaces {
		o.Interfaces = append(o.Interfaces, netflow.Interface{Index: uint32(i), Name: strings.Repeat("n", i), Description: strings.Repeat("é", 3*i)})
	}
	sequence, records := uint32(7), 0
	store := domain()
	b := netflow.NewBatch(10)
	for _, templates := range []bool{true, false} {
		for i, msg := range e.Options(replayed, o, templates) {
			h, err := ipfix.ParseHeader(msg)
			if err != nil || h.Sequence != sequence || int(h.Length) != len(msg) || len(msg) > 512 {
				t.Fatalf("message %d of %d bytes: %+v, %v, want sequence %d", i, len(msg), h, err, sequence)
			}
			var rep template.Report
			if err := ipfix.Decode(b, store, msg, &rep); err != nil || rep.Flows != 0 || rep.Options == 0 || len(rep.Missing) > 0 || rep.Problems != (template.Report{}).Problems {
				t.Fatalf("message %d: %+v, %v", i, rep, err)
			}
			sequence += uint32(rep.Options)
			records += rep.Options
		}
	}
	if want := 2 * (interfaces + 3); records != want {
		t.Errorf("%d records, want %d", records, want)
	}
	if got := store.BootTime(); got != int64((replayed-3e6)/1000) {
		t.Errorf("boot %d", got)
	}
}
