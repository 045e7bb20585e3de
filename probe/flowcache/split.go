package flowcache

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// Split shares packets out between caches: all packets of a flow go to the same one, and so do those of the flow in the
// other direction, unless the key lacks one of the addresses. Its hash is keyed by secrets of its own: nobody outside can
// choose packets that all go to one cache, and the tables of the caches are filled evenly.
type Split struct {
	n      uint64
	secret [6]uint64
	ends   bool   // the key has both addresses: what is hashed are the two ends
	ports  uint16 // 0xffff: the key has both ports, which belong to the ends
	mask   key
	hasher hasher // of all fields of the key, unless ends
}

// NewSplit makes a Split for n caches of a configuration.
func NewSplit(cfg Config, n int) *Split {
	cfg = cfg.withDefaults()
	s := &Split{n: uint64(n), mask: cfg.Key.mask()}
	var b [8 * len(s.secret)]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	for i := range s.secret {
		s.secret[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	s.hasher = newHasher([32]byte{}, s.mask[6]|s.mask[7] != 0)
	const addresses, ports = KeySrcAddr | KeyDstAddr, KeySrcPort | KeyDstPort
	s.ends = cfg.Key&addresses == addresses
	if cfg.Key&ports == ports {
		s.ports = 0xffff
	}
	return s
}

// Of returns the number of the cache, below n, that a packet belongs to.
func (s *Split) Of(p *Packet) int {
	var hash uint64
	if s.ends {
		src, dst := p.SrcPort&s.ports, p.DstPort&s.ports
		if p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 {
			src, dst = 0, 0 // a request and its answer are of two types
		}
		hi, lo := bits.Mul64(s.end(&p.Src, src)+s.end(&p.Dst, dst)^s.secret[4], s.secret[5]|1)
		hash = (hi ^ lo) >> 32
	} else {
		var k key
		k.load(p)
		hash = uint64(s.hasher.sum(&k, &s.mask))
	}
	return int(hash * s.n >> 32)
}

// end hashes an address and a port.
func (s *Split) end(a *netflow.Addr, port uint16) uint64 {
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(a[0:])+s.secret[0], binary.LittleEndian.Uint64(a[8:])+s.secret[1])
	hi1, lo1 := bits.Mul64(uint64(port)+s.secret[2], s.secret[3])
	return hi ^ lo ^ hi1 ^ lo1
}
