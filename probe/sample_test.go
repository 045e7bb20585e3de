package probe

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/export"
)

func TestParseSample(t *testing.T) {
	for text, want := range map[string]Sample{
		"1": {N: 1}, "100": {N: 100}, "deterministic:7": {N: 7}, "random:1000": {Method: SampleRandom, N: 1000},
		"hash:4294967295": {Method: SampleHash, N: 1<<32 - 1},
	} {
		got, err := ParseSample(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := ParseSample(got.String()); err != nil || again != got {
			t.Errorf("%q again: %+v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "random:0", "hash:", "hash", "1:100", "poisson:5", "4294967296", "1/100", "random:1:2"} {
		if _, err := ParseSample(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) || !strings.Contains(err.Error(), "random:N") {
			t.Errorf("%q: error %v", text, err)
		}
	}
	if (Sample{}).String() != "1" {
		t.Error("all packets are not one in 1")
	}
}

func TestAnnounce(t *testing.T) {
	for text, want := range map[string]export.Config{
		"1": {}, "random:1": {}, "8": {Sampling: 8, SamplingAlgorithm: 1}, "random:9": {Sampling: 9, SamplingAlgorithm: 2}, "hash:7": {Sampling: 7, SamplingAlgorithm: 2},
	} {
		s, _ := ParseSample(text)
		var got export.Config
		if s.announce(&got); got.Sampling != want.Sampling || got.SamplingAlgorithm != want.SamplingAlgorithm {
			t.Errorf("%s: %d by %d", text, got.Sampling, got.SamplingAlgorithm)
		}
		if err := s.validate(true); (err != nil) != (text == "8" || text == "random:9") {
			t.Errorf("%s with TCP metrics: %v", text, err)
		}
	}
}

// TestSampler: exactly one frame in each N, the first or any.
func TestSampler(t *testing.T) {
	for _, n := range []uint32{2, 3, 10, 1000} {
		for _, method := range []SampleMethod{SampleDeterministic, SampleRandom} {
			c := newSampler(&Sample{Method: method, N: n})
			const rounds = 2000
			places := make([]int, n)
			for range rounds {
				chosen := 0
				for i := range places {
					if c.next() {
						places[i]++
						chosen++
					}
				}
				if chosen != 1 {
					t.Fatalf("%d of %d frames", chosen, n)
				}
			}
			for i, k := range places {
				mean := float64(rounds) / float64(n)
				switch {
				case method == SampleDeterministic && k != rounds*(1-min(i, 1)):
					t.Errorf("1 in %d: frame %d chosen %d times", n, i, k)
				case method == SampleRandom && n <= 10 && (float64(k) < mean*0.6 || float64(k) > mean*1.4):
					t.Errorf("1 in %d at random: frame %d chosen %d times of %d", n, i, k, rounds)
				}
			}
		}
	}
	if newSampler(&Sample{N: 1}) != nil || newSampler(&Sample{Method: SampleHash, N: 9}) != nil || newFlowSampler(&Sample{N: 9}) != nil {
		t.Error("a sampler nobody asked for")
	}
}

// TestFlowSampler: both directions are chosen alike, one flow in N is chosen, and by each process another.
func TestFlowSampler(t *testing.T) {
	const flows = 200_000
	for _, n := range []uint32{2, 7, 100} {
		one, two := Sample{Method: SampleHash, N: n}, Sample{Method: SampleHash, N: n}
		one.draw()
		two.draw()
		a, b := newFlowSampler(&one), newFlowSampler(&two)
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		chosen, both := 0, 0
		for i := range flows {
			// Neighbours, as in real networks; every fourth is IPv6.
			p := dissect.Packet{Src: netflow.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Dst: netflow.AddrFrom4([4]byte{192, 0, 2, byte(i >> 16)}),
				SrcPort: uint16(i), DstPort: 443, Proto: []uint8{netflow.ProtoTCP, netflow.ProtoUDP, netflow.ProtoICMP}[rng.IntN(3)]}
			if i%4 == 0 {
				p.Src[0], p.Dst[0] = 0x20, 0x20
			}
			back := p
			back.Src, back.Dst, back.SrcPort, back.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			if p.Proto == netflow.ProtoICMP {
				p.SrcPort, p.DstPort, back.SrcPort, back.DstPort = 0, 8<<8, 0, 0
			}
			takes := a.takes(&p)
			if takes != a.takes(&back) {
				t.Fatalf("one direction only: %+v", p)
			}
			if takes {
				chosen++
				if b.takes(&p) {
					both++
				}
			}
		}
		want := float64(flows) / float64(n)
		if f := float64(chosen) / want; f < 0.85 || f > 1.15 {
			t.Errorf("1 in %d: %d of %d flows", n, chosen, flows)
		}
		if f := float64(both) / (want / float64(n)); n < 10 && (f < 0.9 || f > 1.1) {
			t.Errorf("1 in %d: two processes have %d flows in common, want about %.0f", n, both, want/float64(n))
		}
	}
}
