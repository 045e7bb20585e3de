package parquet

import (
	"hash/crc32"
	"math/bits"

	"github.com/parquet-go/parquet-go/bloom/xxhash"
)

// A Bloom filter is Parquet's split block filter over the xxHash64 of an address's text: blocks of eight 32-bit words, one
// bit in each word for a value. Behind it, where the format knows nothing, lies a CRC-32C of header and bits.

const (
	bloomBlock    = 32 // bytes
	bloomChecksum = 4
)

// bloomSalt is given by the specification.
var bloomSalt = [8]uint32{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

// bloomSize returns the bytes for n distinct values: a power of two, as some readers want it, with 7 to 14 bits a value,
// so that 4 % to 0.2 % of the values asked for in vain are not told at once.
func bloomSize(n int) int {
	size := bloomBlock
	for size*8 < n*7 && size < maxBloom/2 {
		size *= 2
	}
	return size
}

func bloomInsert(filter []byte, h uint64) {
	p := bloomAt(filter, h)
	for i, salt := range bloomSalt {
		w := p[4*i : 4*i+4]
		le.PutUint32(w, le.Uint32(w)|1<<(uint32(h)*salt>>27))
	}
}

func bloomHas(filter []byte, h uint64) bool {
	p := bloomAt(filter, h)
	for i, salt := range bloomSalt {
		if le.Uint32(p[4*i:])>>(uint32(h)*salt>>27)&1 == 0 {
			return false
		}
	}
	return true
}

// bloomAt returns the block of a hash.
func bloomAt(filter []byte, h uint64) []byte {
	at, _ := bits.Mul64(h>>32<<32, uint64(len(filter)/bloomBlock))
	return filter[at*bloomBlock:][:bloomBlock]
}

func bloomHash(text []byte) uint64 { return xxhash.Sum64(text) }

// appendBloom appends header, bits and checksum.
func appendBloom(dst []byte, filter []byte) []byte {
	at := len(dst)
	w := thriftWriter{b: dst}
	w.open()
	w.i32(1, int32(len(filter)))
	for id := int16(2); id <= 4; id++ { // algorithm: split block; hash: xxHash; compression: none
		w.structure(id)
		w.empty(1)
		w.close()
	}
	w.close()
	dst = append(w.b, filter...)
	return le.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// readBloom checks what appendBloom wrote and returns the bits.
func readBloom(b []byte) ([]byte, error) {
	n := len(b) - bloomChecksum
	if n < 0 || crc32.Checksum(b[:n], castagnoli) != le.Uint32(b[n:]) {
		return nil, corrupt("checksum of a Bloom filter")
	}
	size := -1
	r := thriftReader{b: b[:n]}
	for id, typ := range r.fields() {
		if id == 1 && r.expect(typ, thriftI32) {
			size = int(r.int32())
		} else {
			r.skip(typ)
		}
	}
	if r.bad || size != len(r.b) || size == 0 || size%bloomBlock != 0 {
		return nil, corrupt("Bloom filter of %d bytes in %d", size, len(r.b))
	}
	return r.b, nil
}
