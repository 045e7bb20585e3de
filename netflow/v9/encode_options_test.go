package v9_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// RFC 3954 section 6.1: the lengths are of scopes and of options, in bytes; FlowSets are padded. The count is of two
// templates and two records; the names of eth0 stand in 32 and 64 bytes.
var goldenOptions = "0001 0018" + "0121 0004 0008 00020004 00520020 00530040" + "0000" +
	"0121 0068" + "00000002 65746830" + strings.Repeat("00", 28) + "7570" + strings.Repeat("00", 62) +
	"0001 001c" + "0122 0004 000c 00010004 00290008 002a0008 00280008" + "0000" +
	"0122 0020" + "00000000 0000000000000011 0000000000000033 0000000000000022"

func TestGoldenOptions(t *testing.T) {
	e := v9.NewEncoder(v9.EncoderConfig{MaxBytes: 1400, SourceID: 7, TemplateEvery: 1e9, TemplateMessages: 100})
	o := &netflow.Options{
		Interfaces: []netflow.Interface{{Index: 2, Name: "eth0", Description: "up"}},
		Statistics: &netflow.ExporterStatistics{Messages: 0x11, Bytes: 0x22, Flows: 0x33, Ignored: 0x44, NotSentFlows: 0x55},
		Boot:       replayed, // the header has it
	}
	if got := e.Options(replayed, o); got != nil {
		t.Errorf("without a flow at hand there is no clock: %x", got)
	}
	r := flow()
	e.Append(replayed, &r)
	got := e.Options(replayed, o)
	want := netflowtest.Hex(t, goldenOptions)
	if len(got) != 1 || !bytes.Equal(got[0][20:], want) {
		t.Fatalf("got\n%x, want\n%x", got[0][20:], want)
	}
	flows := e.AppendMessage(nil, replayed)
	h, err := v9.ParseHeader(got[0])
	g, err2 := v9.ParseHeader(flows)
	if err != nil || err2 != nil || h.Count != 4 || h.Sequence != 0 || g.Sequence != 1 || h.Uptime != g.Uptime || h.Seconds != g.Seconds || h.SourceID != 7 {
		t.Errorf("headers %+v, %+v", h, g)
	}
	d := domain()
	b := netflow.NewBatch(10)
	var rep template.Report
	for _, msg := range [][]byte{got[0], flows} {
		if err := v9.Decode(b, d, msg, &rep); err != nil {
			t.Fatal(err)
		}
	}
	if rep.Options != 2 || rep.Flows != 1 || b.Len() != 1 || rep.Problems != (template.Report{}).Problems {
		t.Errorf("%+v, %d rows", rep, b.Len())
	}
}

// TestManyInterfaces: what does not fit into one datagram goes into more, and strings are cut to their fields.
func TestManyInterfaces(t *testing.T) {
	e := v9.NewEncoder(v9.EncoderConfig{MaxBytes: 512, TemplateEvery: 1e9, TemplateMessages: 100})
	r := flow()
	e.Append(replayed, &r)
	o := &netflow.Options{}
	for i := range 30 {
		o.Interfaces = append(o.Interfaces, netflow.Interface{Index: uint32(i), Name: strings.Repeat("n", 2*i), Description: strings.Repeat("é", 3*i)})
	}
	d := domain()
	var rep template.Report
	datagrams := e.Options(replayed, o)
	for i, msg := range datagrams {
		h, err := v9.ParseHeader(msg)
		if err != nil || len(msg) > 512 || h.Sequence != uint32(i) {
			t.Errorf("datagram %d: %d bytes, %+v, %v", i, len(msg), h, err)
		}
		if err := v9.Decode(netflow.NewBatch(1), d, msg, &rep); err != nil {
			t.Error(err)
		}
	}
	if rep.Options != 30 || len(datagrams) != 8 || rep.Problems != (template.Report{}).Problems {
		t.Errorf("%d datagrams, %+v", len(datagrams), rep)
	}
}
