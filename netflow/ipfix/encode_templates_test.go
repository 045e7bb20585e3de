package ipfix_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
)

// TestAppendTemplates: one message tells all templates and the options, as for a session over TCP; those after it none.
func TestAppendTemplates(t *testing.T) {
	for _, sampling := range []uint32{0, 100} {
		e := ipfix.NewEncoder(ipfix.EncoderConfig{
			MaxBytes: 1400, Domain: 7, Sampling: sampling, TemplateEvery: math.MaxInt64, TemplateMessages: math.MaxInt,
		})
		domain := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, netflow.VersionIPFIX)
		batch := netflow.NewBatch(100)
		var rep template.Report
		msg := e.AppendTemplates([]byte("before"), 1e6)[len("before"):]
		if err := ipfix.Decode(batch, domain, msg, &rep); err != nil || !rep.Complete() {
			t.Fatalf("%v, %+v", err, rep)
		}
		options := 0
		if sampling > 1 {
			options = 1
		}
		if rep.Options != options || rep.Flows != 0 || rep.New < 30 || len(msg) > 8192 {
			t.Errorf("%d options, %d flows, %d templates in %d bytes", rep.Options, rep.Flows, rep.New, len(msg))
		}
		known := rep.New
		rep.Reset()
		rep.New = 0
		for i := range 3 { // years apart
			for _, version := range []uint8{4, 6, 0} {
				r := netflow.Record{IPVersion: version, Packets: 1, VLAN: uint16(i), ReversePackets: uint64(i), SrcAS: uint32(i)}
				if !e.Append(netflow.Timestamp(1e15*(i+1)), &r) {
					t.Fatal("no room")
				}
			}
			msg = e.AppendMessage(nil, netflow.Timestamp(1e15*(i+1)))
			if got, want := binary.BigEndian.Uint32(msg[8:]), uint32(options+3*i); got != want {
				t.Errorf("sequence %d, want %d", got, want)
			}
			if err := ipfix.Decode(batch, domain, msg, &rep); err != nil || !rep.Complete() {
				t.Fatalf("%v, %+v", err, rep)
			}
		}
		if rep.New+rep.Refreshed+rep.Changed != 0 || batch.Len() != 9 || rep.Options != 0 {
			t.Errorf("%d flows and %+v after %d templates", batch.Len(), rep, known)
		}
	}
}
