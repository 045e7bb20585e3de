package flowcache

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	mathrand "math/rand/v2"

	"github.com/caprock-net/caprock/netflow"
)

// hasher is a keyed hash over the masked words of a flow key. The first stage is NH of UMAC (RFC 4418 section 5.2) with
// 64-bit words: for any two different keys the chance, over the random secrets, of equal 128-bit sums is 2^-64, whatever
// an attacker knows of the algorithm. The second stage mixes the sum under two further secrets, so that table positions
// tell nothing of it. It takes six multiplications for the default key and needs no AES instructions.
type hasher struct {
	secret [keyWords + 2]uint64
	l2     bool // the link-layer words are part of the key
}

// newHasher derives the secrets from a seed, a random one when it is zero.
func newHasher(seed [32]byte, l2 bool) hasher {
	h := hasher{l2: l2}
	if seed == ([32]byte{}) {
		rand.Read(seed[:]) // never fails (crypto/rand)
	}
	src := mathrand.NewChaCha8(seed)
	for i := range h.secret {
		h.secret[i] = src.Uint64()
	}
	return h
}

// sum hashes what the mask leaves of a key to 32 bits.
func (h *hasher) sum(k, mask *key) uint32 {
	s := &h.secret
	hi, lo := bits.Mul64(k[0]&mask[0]+s[0], k[1]&mask[1]+s[1])
	hi1, lo1 := bits.Mul64(k[2]&mask[2]+s[2], k[3]&mask[3]+s[3])
	lo, carry := bits.Add64(lo, lo1, 0)
	hi, _ = bits.Add64(hi, hi1, carry)
	hi1, lo1 = bits.Mul64(k[4]&mask[4]+s[4], k[5]&mask[5]+s[5])
	lo, carry = bits.Add64(lo, lo1, 0)
	hi, _ = bits.Add64(hi, hi1, carry)
	if h.l2 {
		hi1, lo1 = bits.Mul64(k[6]&mask[6]+s[6], k[7]&mask[7]+s[7])
		lo, carry = bits.Add64(lo, lo1, 0)
		hi, _ = bits.Add64(hi, hi1, carry)
	}
	hi, lo = bits.Mul64(lo^s[8], hi^s[9])
	lo ^= hi
	hi, lo = bits.Mul64(lo^s[9], s[8]|1)
	return uint32((hi ^ lo) >> 32)
}

// keyWords is the number of 64-bit words in a key.
const keyWords = 8

// key holds every field that can be part of a flow key. Which bits count is said by a mask of the same shape, so that a
// table entry needs to keep the fields of its first packet only once.
//
//	0, 1  source address
//	2, 3  destination address
//	4     source port << 48 | destination port << 32 | input interface
//	5     protocol << 56 | TOS << 48 | IP version << 40 | VLAN
//	6     source MAC, 48 bits
//	7     destination MAC, 48 bits
type key [keyWords]uint64

// load fills k from a packet.
func (k *key) load(p *Packet) {
	k[0] = binary.LittleEndian.Uint64(p.Src[0:])
	k[1] = binary.LittleEndian.Uint64(p.Src[8:])
	k[2] = binary.LittleEndian.Uint64(p.Dst[0:])
	k[3] = binary.LittleEndian.Uint64(p.Dst[8:])
	k[4] = uint64(p.SrcPort)<<48 | uint64(p.DstPort)<<32 | uint64(p.Input)
	k[5] = uint64(p.Proto)<<56 | uint64(p.TOS)<<48 | uint64(p.IPVersion)<<40 | uint64(p.VLAN)
	k[6] = p.SrcMAC.Uint64()
	k[7] = p.DstMAC.Uint64()
}

// mask makes the mask of the fields: all bits of those in the key, and of the IP version.
func (f KeyFields) mask() key {
	var m key
	set := func(field KeyFields, word int, bits uint64) {
		if f&field != 0 {
			m[word] |= bits
		}
	}
	set(KeySrcAddr, 0, ^uint64(0))
	set(KeySrcAddr, 1, ^uint64(0))
	set(KeyDstAddr, 2, ^uint64(0))
	set(KeyDstAddr, 3, ^uint64(0))
	set(KeySrcPort, 4, 0xffff<<48)
	set(KeyDstPort, 4, 0xffff<<32)
	set(KeyInput, 4, 0xffffffff)
	set(KeyProto, 5, 0xff<<56)
	set(KeyTOS, 5, 0xff<<48)
	set(KeyVLAN, 5, 0xffff)
	m[5] |= 0xff << 40
	set(KeySrcMAC, 6, macBits)
	set(KeyDstMAC, 7, macBits)
	return m
}

// same reports whether a and b agree in the bits of mask; l2 is hasher.l2.
func same(a, b, mask *key, l2 bool) bool {
	d := (a[0]^b[0])&mask[0] | (a[1]^b[1])&mask[1] | (a[2]^b[2])&mask[2] | (a[3]^b[3])&mask[3] |
		(a[4]^b[4])&mask[4] | (a[5]^b[5])&mask[5]
	if l2 {
		d |= (a[6]^b[6])&mask[6] | (a[7]^b[7])&mask[7]
	}
	return d == 0
}

// and masks a key.
func (k *key) and(mask *key) key {
	return key{k[0] & mask[0], k[1] & mask[1], k[2] & mask[2], k[3] & mask[3], k[4] & mask[4], k[5] & mask[5], k[6] & mask[6], k[7] & mask[7]}
}

// addr is the address in two words of a key.
func (k *key) addr(word int) netflow.Addr {
	var a netflow.Addr
	binary.LittleEndian.PutUint64(a[0:], k[word])
	binary.LittleEndian.PutUint64(a[8:], k[word+1])
	return a
}
