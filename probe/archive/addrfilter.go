package archive

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// addrFilter is a Bloom filter: it tells of nearly every address that is not in a capture that it is not. Each address
// sets a few bits of one bucket, which ends with a checksum, so that a reader reads 64 bytes. FORMAT.md describes it. The
// number of buckets is a power of two.
type addrFilter []byte

const (
	bucketLen     = 64
	bucketBits    = 480 // the rest is the checksum
	bitsPerAddr   = 4
	maxBuckets    = 1 << 12 // 256 KiB, ten bits for each of 200,000 addresses: more would not stay in the processor's cache
	captureForBit = 16      // bytes of a capture for a bit of its filter, before it is folded
)

// newAddrFilter makes an empty filter for a capture of up to a size.
func newAddrFilter(size int64) addrFilter { return make(addrFilter, filterBuckets(size)*bucketLen) }

func filterBuckets(size int64) int {
	n := 1
	for n < maxBuckets && int64(n)*bucketBits*captureForBit < size {
		n *= 2
	}
	return n
}

// halves are the bytes of an address as two big-endian numbers.
func halves(a *netflow.Addr) (hi, lo uint64) {
	return binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
}

// spots returns where an address's bucket begins in a filter of n buckets, and a number with 16 bits for each bit in it.
func spots(hi, lo uint64, n int) (at int, marks uint64) {
	h := fold(hi^0x9e3779b97f4a7c15, lo^0xe7037ed1a0b428db)
	bucket, _ := bits.Mul64(h, uint64(n)) // the first bits, n being a power of two
	return int(bucket) * bucketLen, fold(h, 0x9fb21c651e98df25)
}

// bit is the i-th of an address in its bucket.
func bit(marks uint64, i int) uint64 { return (marks >> (16 * i) & 0xffff) * bucketBits >> 16 }

// addAtOnce is how many addresses are added in one go, so that the processor waits for their buckets together.
const addAtOnce = 32

// add adds up to addAtOnce addresses, as two numbers each.
func (f addrFilter) add(addrs [][2]uint64) {
	var marks [addAtOnce]struct {
		at    int
		bits  uint64
		first byte // of the bucket, only to have it fetched
	}
	for i, a := range addrs {
		m := &marks[i]
		m.at, m.bits = spots(a[0], a[1], len(f)/bucketLen)
		m.first = f[m.at]
	}
	for i := range addrs {
		b := f[marks[i].at:][:bucketLen]
		for j := range bitsPerAddr {
			at := bit(marks[i].bits, j)
			b[at>>3] |= 1 << (at & 7)
		}
	}
}

// mayHave looks at an address's bucket. A damaged one may have all.
func mayHave(bucket []byte, a *netflow.Addr) bool {
	if crc32.Checksum(bucket[:bucketBits/8], castagnoli) != binary.LittleEndian.Uint32(bucket[bucketBits/8:]) {
		return true
	}
	hi, lo := halves(a)
	_, marks := spots(hi, lo, 1)
	for i := range bitsPerAddr {
		if at := bit(marks, i); bucket[at>>3]>>(at&7)&1 == 0 {
			return false
		}
	}
	return true
}

// sealed returns the filter as it is written: folded while it is sparse, and with checksums; nil when it is so full that it
// tells nothing. It is not to be used afterwards.
func (f addrFilter) sealed() addrFilter {
	set := 0
	for at := 0; at < len(f); at += 8 {
		set += bits.OnesCount64(binary.LittleEndian.Uint64(f[at:]))
	}
	share := float64(set) / float64(len(f)/bucketLen*bucketBits)
	if share > 0.8 {
		return nil
	}
	for ; share < 0.2 && len(f) > bucketLen; share *= 2 - share {
		for to := 0; to < len(f)/2; to += bucketLen { // neighbours, as the first bits choose
			for i := range bucketLen {
				f[to+i] = f[2*to+i] | f[2*to+bucketLen+i]
			}
		}
		f = f[:len(f)/2]
	}
	for at := 0; at < len(f); at += bucketLen {
		b := f[at : at+bucketLen]
		binary.LittleEndian.PutUint32(b[bucketBits/8:], crc32.Checksum(b[:bucketBits/8], castagnoli))
	}
	return f
}
