package probe

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	mathrand "math/rand/v2"
	"strconv"
	"strings"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/export"
)

// Sample says which packets are metered: one in N, chosen by Method. Counters are those of the packets metered; collectors
// are told N, to multiply by. The zero value is all packets.
//
// The archive and the tap get all packets. The accounting table has the packets metered.
type Sample struct {
	Method SampleMethod
	N      uint32

	secret [6]uint64 // of SampleHash; one for all interfaces, that they choose the same flows
}

// SampleMethod is a way to choose packets.
type SampleMethod uint8

// The ways, with their names in RFC 5475 (PSAMP).
const (
	// SampleDeterministic takes the first frame of every N: systematic count-based sampling, section 5.1, algorithm 1.
	SampleDeterministic SampleMethod = iota
	// SampleRandom takes one frame of every N, drawn anew each time: random n-out-of-N sampling, section 5.2.1, n being
	// 1; algorithm 3. A pattern in the traffic does not mislead it.
	SampleRandom
	// SampleHash takes all packets of one flow in N, in both directions: hash-based selection, section 6.2. The flow is
	// known by its addresses, ports and protocol (of ICMP without type and code), the hash by secrets of the process, so
	// that nobody outside knows which flows are not seen. None of the hashes that have a number in PSAMP has secrets.
	SampleHash
)

var sampleMethods = [...]string{"deterministic", "random", "hash"}

// ParseSample reads N, random:N, hash:N or deterministic:N.
func ParseSample(text string) (Sample, error) {
	var s Sample
	number := text
	if method, rest, ok := strings.Cut(text, ":"); ok {
		number = rest
		for s.Method = 0; int(s.Method) < len(sampleMethods) && sampleMethods[s.Method] != method; s.Method++ {
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || int(s.Method) == len(sampleMethods) {
		return Sample{}, fmt.Errorf("sample %q: want N, random:N or hash:N, for one packet in N, and for hash one flow; N from 1 to %d", text, uint32(1<<32-1))
	}
	s.N = uint32(n)
	return s, nil
}

// String is what ParseSample reads.
func (s Sample) String() string {
	n := strconv.FormatUint(uint64(max(s.N, 1)), 10)
	if s.Method == SampleDeterministic {
		return n
	}
	return sampleMethods[s.Method] + ":" + n
}

// on reports whether packets are left out.
func (s *Sample) on() bool { return s.N > 1 }

// announce tells the exporter.
func (s *Sample) announce(e *export.Config) {
	if !s.on() {
		return
	}
	e.Sampling, e.SamplingAlgorithm = s.N, export.SamplingRandom
	if s.Method == SampleDeterministic {
		e.SamplingAlgorithm = export.SamplingDeterministic
	}
}

func (s *Sample) validate(tcpMetrics bool) error {
	if int(s.Method) >= len(sampleMethods) {
		return fmt.Errorf("sample: unknown method %d", s.Method)
	}
	if s.on() && tcpMetrics && s.Method != SampleHash {
		return fmt.Errorf("sample %v: TCP metrics need all packets of a flow: hash:%d samples flows", s, s.N)
	}
	return nil
}

// draw makes the secrets, if they are needed.
func (s *Sample) draw() {
	if s.Method != SampleHash {
		return
	}
	var b [8 * len(s.secret)]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	for i := range s.secret {
		s.secret[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// sampler chooses frames before they are dissected.
type sampler struct {
	n      uint32
	left   uint32 // frames of this round, of n
	chosen uint32 // how many of them are left when it is the one
	random *mathrand.ChaCha8
}

// newSampler makes one; nil: frames are not left out.
func newSampler(s *Sample) *sampler {
	if !s.on() || s.Method == SampleHash {
		return nil
	}
	c := &sampler{n: s.N, chosen: s.N - 1}
	if s.Method == SampleRandom {
		var seed [32]byte
		rand.Read(seed[:])
		c.random = mathrand.NewChaCha8(seed)
	}
	return c
}

// next reports whether the next frame is metered.
func (c *sampler) next() bool {
	if c.left == 0 {
		c.left = c.n
		if c.random != nil {
			hi, _ := bits.Mul64(c.random.Uint64(), uint64(c.n))
			c.chosen = uint32(hi)
		}
	}
	c.left--
	return c.left == c.chosen
}

// flowSampler chooses packets by their flows.
type flowSampler struct {
	secret [6]uint64
	below  uint64 // hashes of the flows chosen
}

// newFlowSampler makes one; nil: all flows are metered.
func newFlowSampler(s *Sample) *flowSampler {
	if !s.on() || s.Method != SampleHash {
		return nil
	}
	return &flowSampler{s.secret, 1<<63/uint64(s.N)*2 + 1}
}

// takes reports whether the flow of a packet is metered.
func (c *flowSampler) takes(p *dissect.Packet) bool {
	src, dst := uint64(p.SrcPort), uint64(p.DstPort)
	if p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 {
		src, dst = 0, 0
	}
	hi, lo := bits.Mul64(c.end(&p.Src, src)+c.end(&p.Dst, dst)+uint64(p.Proto)^c.secret[4], c.secret[5]|1)
	hi, lo = bits.Mul64(hi^lo, c.secret[4]|1)
	return hi^lo < c.below
}

// end hashes an address and a port.
func (c *flowSampler) end(a *netflow.Addr, port uint64) uint64 {
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(a[0:])+c.secret[0], binary.LittleEndian.Uint64(a[8:])+c.secret[1])
	hi1, lo1 := bits.Mul64(port+c.secret[2], hi^lo^c.secret[3])
	return hi1 ^ lo1
}

// leave counts a frame that is not sampled. Archive and tap get it all the same.
func (m *meter) leave(s *sourceState, f *capture.Frame) {
	m.see(f)
	m.pending.unsampled++
	m.keep(s, f)
}
