package parquet

import (
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// pageHeader is the struct before every page.
type pageHeader struct {
	kind     int32 // pageData (version 1) or pageDictionary
	rawSize  int32
	size     int32
	sum      uint32 // CRC-32 (of IEEE 802.3) of the page as it lies in the file
	values   int32
	encoding byte
}

func (h *pageHeader) append(dst []byte) []byte {
	w := thriftWriter{b: dst, outer: make([]int16, 0, 4)}
	w.open()
	w.i32(1, h.kind)
	w.i32(2, h.rawSize)
	w.i32(3, h.size)
	w.i32(4, int32(h.sum))
	if h.kind == pageDictionary {
		w.structure(7)
		w.i32(1, h.values)
		w.i32(2, int32(h.encoding))
	} else {
		w.structure(5)
		w.i32(1, h.values)
		w.i32(2, int32(h.encoding))
		w.i32(3, encodingRLE) // of levels; required columns have none
		w.i32(4, encodingRLE)
	}
	w.close()
	w.close()
	return w.b
}

// readPageHeader takes a page's header off b. Whatever append does not write is refused, so that no bit of it can change
// unnoticed: the checksum does not cover the header.
func readPageHeader(b []byte) (h pageHeader, rest []byte, err error) {
	r := thriftReader{b: b}
	for id, typ := range r.fields() {
		switch {
		case id == 1 && r.expect(typ, thriftI32):
			h.kind = r.int32()
		case id == 2 && r.expect(typ, thriftI32):
			h.rawSize = r.int32()
		case id == 3 && r.expect(typ, thriftI32):
			h.size = r.int32()
		case id == 4 && r.expect(typ, thriftI32):
			h.sum = uint32(r.int32())
		case (id == 5 || id == 7) && r.expect(typ, thriftStruct):
			h.readPart(&r)
		default:
			r.fail()
		}
	}
	if r.bad {
		return h, nil, corrupt("page header cannot be parsed")
	}
	var again [64]byte
	if string(h.append(again[:0])) != string(b[:len(b)-len(r.b)]) {
		return h, nil, corrupt("page header is not as this program writes it")
	}
	return h, r.b, nil
}

// readPart reads the DataPageHeader or DictionaryPageHeader.
func (h *pageHeader) readPart(r *thriftReader) {
	for id, typ := range r.fields() {
		switch {
		case id == 1 && r.expect(typ, thriftI32):
			h.values = r.int32()
		case id == 2 && r.expect(typ, thriftI32):
			h.encoding = byte(r.int32())
		case (id == 3 || id == 4) && r.expect(typ, thriftI32):
			r.int32()
		default:
			r.fail()
		}
	}
}

// appendPage appends a page with its header and returns the bytes of its body as stored. The body is a zstd frame: made
// by z, or without compression when z is nil or cannot win much.
func appendPage(dst []byte, z *zstd.Encoder, h pageHeader, body []byte, scratch *[]byte) (whole []byte, stored int) {
	if z != nil {
		*scratch = z.EncodeAll(body, (*scratch)[:0])
	}
	if z == nil || len(*scratch) > len(body)-len(body)/32 {
		*scratch = appendStored((*scratch)[:0], body)
	}
	h.rawSize, h.size = int32(len(body)), int32(len(*scratch))
	h.sum = crc32.ChecksumIEEE(*scratch)
	dst = h.append(dst)
	return append(dst, *scratch...), len(*scratch)
}

// appendStored appends a zstd frame (RFC 8878 section 3.1.1) of raw blocks: what is not worth compressing. The codec
// cannot be left out instead, because parquet-go takes the codec of a column's first chunk for all of them.
func appendStored(dst, body []byte) []byte {
	const largest = 128 << 10                               // Block_Maximum_Size
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd, 0b10_1_00000) // magic; content size of four bytes, single segment
	dst = le.AppendUint32(dst, uint32(len(body)))
	for {
		n := min(len(body), largest)
		h := uint32(n) << 3 // type 0: raw
		if n == len(body) {
			h |= 1 // last
		}
		dst = append(dst, byte(h), byte(h>>8), byte(h>>16))
		dst = append(dst, body[:n]...)
		if body = body[n:]; len(body) == 0 {
			return dst
		}
	}
}

// newCompressor makes a zstd encoder for whole pages. Pages have their own checksum, so zstd's is left out.
func newCompressor() *zstd.Encoder {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		panic("parquet: zstd options: " + err.Error()) // constant options
	}
	return z
}

// decompressors are shared by all readers. They write only into the room they are given.
var decompressors = sync.Pool{New: func() any {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(maxChunk))
	if err != nil {
		panic("parquet: zstd options: " + err.Error())
	}
	return z
}}

// readPage takes the page at the beginning of b: its header, checked, and its body as it was before compression, in
// *scratch. limit bounds the size of the body.
func readPage(b []byte, limit int, scratch *[]byte) (h pageHeader, body, rest []byte, err error) {
	h, rest, err = readPageHeader(b)
	if err != nil {
		return h, nil, nil, err
	}
	if h.size < 0 || int(h.size) > len(rest) || h.rawSize < 0 || int(h.rawSize) > limit {
		return h, nil, nil, corrupt("page of %d bytes, %d before compression, limit %d", h.size, h.rawSize, limit)
	}
	body, rest = rest[:h.size:h.size], rest[h.size:]
	if crc32.ChecksumIEEE(body) != h.sum {
		return h, nil, nil, corrupt("checksum of a page")
	}
	z := decompressors.Get().(*zstd.Decoder)
	// Room to spare: where the output just fits, the decoder checks every copy and takes up to an eighth longer.
	*scratch = room(*scratch, 2*int(h.rawSize)+64)
	body, err = z.DecodeAll(body, (*scratch)[:0])
	decompressors.Put(z)
	if err != nil {
		return h, nil, nil, corrupt("zstd: %v", err)
	}
	if len(body) != int(h.rawSize) {
		return h, nil, nil, corrupt("page of %d bytes instead of %d", len(body), h.rawSize)
	}
	return h, body, rest, nil
}
