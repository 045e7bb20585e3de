package dissect_test

import (
	"testing"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
)

// frames returns some of each capture's frames, copied.
func frames(tb testing.TB, perCapture int) []pcapfile.Frame {
	var list []pcapfile.Frame
	for _, c := range dissecttest.Captures(tb) {
		n := 0
		c.Each(tb, func(f pcapfile.Frame) {
			if n++; n <= perCapture {
				f.Data = append([]byte(nil), f.Data...)
				list = append(list, f)
			}
		})
	}
	return list
}

func TestNoAllocation(t *testing.T) {
	list := frames(t, 20)
	var p dissect.Packet
	allocs := testing.AllocsPerRun(3, func() {
		for i := range list {
			dissect.Dissect(dissect.LinkType(list[i].LinkType), list[i].Data, list[i].WireLen, &p)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for %d frames, want 0", allocs, len(list))
	}
}

// BenchmarkDissect reads frames of the corpora; TCP and UDP over Ethernet prevail.
func BenchmarkDissect(b *testing.B) {
	list := frames(b, 200)
	var p dissect.Packet
	n := 0
	for b.Loop() {
		f := &list[n%len(list)]
		dissect.Dissect(dissect.LinkType(f.LinkType), f.Data, f.WireLen, &p)
		n++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}
