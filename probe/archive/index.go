package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// Sizes and numbers of the formats, in bytes; FORMAT.md draws them.
const (
	// BlockSize bounds a block of packets, headers included.
	BlockSize = 1 << 20

	pcapHeaderLen   = 24
	packetHeaderLen = 16
	pcapMagic       = 0xa1b2c3d4 // little endian, microseconds

	indexMagic     = "CAPRPIDX"
	indexVersion   = 2
	noSummary      = 1 // the version before: without a summary
	indexHeaderLen = 16

	entryMagic     = 0x4b4c4250 // "PBLK"
	entryHeaderLen = 56
	key4Len        = 13
	key6Len        = 37
)

// ErrCorrupt is the cause when bytes of an index or a capture cannot be what an archive has written.
var ErrCorrupt = errors.New("damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Key is what the index tells flows apart by, in one direction: addresses, ports and protocol of the outermost IP header
// and the transport header behind it, as dissect.Packet has them. The zero Key stands for what is no IP packet.
type Key struct {
	Src, Dst         netflow.Addr
	SrcPort, DstPort uint16
	Proto, IPVersion uint8
}

// KeyOf returns the key of a frame.
func KeyOf(link dissect.LinkType, frame []byte, wireLen int) Key {
	var p dissect.Packet
	if dissect.Dissect(link, frame, wireLen, &p) != dissect.OK {
		return Key{}
	}
	return Key{p.Src, p.Dst, p.SrcPort, p.DstPort, p.Proto, p.IPVersion}
}

// Block is a run of packets in a capture, and the flows that they belong to.
type Block struct {
	Offset      int64 // in the capture, of the first packet's header
	Bytes       int   // of the packets with their headers
	Packets     int
	First, Last netflow.Timestamp // smallest and largest time of a packet
	Keys        []Key             // each once, IPv4 before IPv6
	NonIP       int               // packets that are of none of them
}

// appendEntry appends the index entry of a block.
func appendEntry(dst []byte, b *Block) []byte {
	at := len(dst)
	le := binary.LittleEndian
	dst = append(dst, make([]byte, entryHeaderLen)...)
	n4, n6 := 0, 0
	for i := range b.Keys {
		if k := &b.Keys[i]; k.IPVersion == 4 {
			dst = append(append(dst, k.Src[12:]...), k.Dst[12:]...)
			dst = append(le.AppendUint16(le.AppendUint16(dst, k.SrcPort), k.DstPort), k.Proto)
			n4++
		}
	}
	for i := range b.Keys {
		if k := &b.Keys[i]; k.IPVersion == 6 {
			dst = append(append(dst, k.Src[:]...), k.Dst[:]...)
			dst = append(le.AppendUint16(le.AppendUint16(dst, k.SrcPort), k.DstPort), k.Proto)
			n6++
		}
	}
	h := dst[at : at+entryHeaderLen]
	le.PutUint32(h, entryMagic)
	le.PutUint64(h[8:], uint64(b.Offset))
	le.PutUint64(h[16:], uint64(b.First))
	le.PutUint64(h[24:], uint64(b.Last))
	le.PutUint32(h[32:], uint32(b.Bytes))
	le.PutUint32(h[36:], uint32(b.Packets))
	le.PutUint32(h[40:], uint32(b.NonIP))
	le.PutUint32(h[44:], uint32(n4))
	le.PutUint32(h[48:], uint32(n6))
	le.PutUint32(h[52:], crc32.Checksum(dst[at+entryHeaderLen:], castagnoli))
	le.PutUint32(h[4:], crc32.Checksum(h[8:], castagnoli))
	return dst
}

// entryHeader is the part of an index entry before its keys.
type entryHeader struct {
	Block
	n4, n6 int
	crc    uint32 // of the keys
}

func (h *entryHeader) keysLen() int { return h.n4*key4Len + h.n6*key6Len }

// readEntryHeader reads the first entryHeaderLen bytes of an entry. What it returns without an error is within the bounds
// of the format, so that keysLen is at most a few megabytes.
func readEntryHeader(b []byte) (h entryHeader, err error) {
	le := binary.LittleEndian
	if len(b) < entryHeaderLen || le.Uint32(b) != entryMagic || le.Uint32(b[4:]) != crc32.Checksum(b[8:entryHeaderLen], castagnoli) {
		return h, fmt.Errorf("%w: no entry, or its checksum is wrong", ErrCorrupt)
	}
	offset, bytes, packets := le.Uint64(b[8:]), le.Uint32(b[32:]), le.Uint32(b[36:])
	nonIP, n4, n6 := le.Uint32(b[40:]), le.Uint32(b[44:]), le.Uint32(b[48:])
	h.First, h.Last = netflow.Timestamp(le.Uint64(b[16:])), netflow.Timestamp(le.Uint64(b[24:]))
	switch {
	case offset < pcapHeaderLen || offset > math.MaxInt64-BlockSize,
		bytes > BlockSize, packets == 0, uint64(packets)*packetHeaderLen > uint64(bytes), nonIP > packets,
		uint64(n4)+uint64(n6) > uint64(packets-nonIP), h.First > h.Last:
		return h, fmt.Errorf("%w: an entry contradicts itself", ErrCorrupt)
	}
	h.Offset, h.Bytes, h.Packets, h.NonIP = int64(offset), int(bytes), int(packets), int(nonIP)
	h.n4, h.n6, h.crc = int(n4), int(n6), le.Uint32(b[52:])
	return h, nil
}

// appendKeys appends to dst the keys of an entry, b being keysLen bytes, that meet the conditions of a selection.
func (h *entryHeader) appendKeys(dst []Key, b []byte, s *Selection) []Key {
	le := binary.LittleEndian
	for range h.n4 {
		if k := b[:key4Len]; s == nil || s.has4(k) {
			dst = append(dst, Key{
				netflow.AddrFrom4([4]byte(k)), netflow.AddrFrom4([4]byte(k[4:])), le.Uint16(k[8:]), le.Uint16(k[10:]), k[12], 4,
			})
		}
		b = b[key4Len:]
	}
	for range h.n6 {
		if k := b[:key6Len]; s == nil || s.has6(k) {
			dst = append(dst, Key{netflow.Addr(k), netflow.Addr(k[16:]), le.Uint16(k[32:]), le.Uint16(k[34:]), k[36], 6})
		}
		b = b[key6Len:]
	}
	return dst
}

// moveEntries adds to the offsets of entries.
func moveEntries(entries []byte, by int64) {
	le := binary.LittleEndian
	for len(entries) > 0 {
		h := entries[:entryHeaderLen]
		le.PutUint64(h[8:], le.Uint64(h[8:])+uint64(by))
		le.PutUint32(h[4:], crc32.Checksum(h[8:], castagnoli))
		entries = entries[entryHeaderLen+le.Uint32(h[44:])*key4Len+le.Uint32(h[48:])*key6Len:]
	}
}

// appendIndexHeader appends the header of an index file.
func appendIndexHeader(dst []byte, link dissect.LinkType) []byte {
	at := len(dst)
	dst = append(dst, indexMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, indexVersion)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(link))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func readIndexHeader(b []byte) (dissect.LinkType, error) {
	le := binary.LittleEndian
	switch {
	case len(b) < indexHeaderLen || string(b[:8]) != indexMagic || le.Uint32(b[12:]) != crc32.Checksum(b[:12], castagnoli):
		return 0, fmt.Errorf("%w: not an index of a packet archive", ErrCorrupt)
	case le.Uint16(b[8:]) != indexVersion && le.Uint16(b[8:]) != noSummary:
		return 0, fmt.Errorf("index of version %d, only %d and %d are known", le.Uint16(b[8:]), noSummary, indexVersion)
	}
	return dissect.LinkType(le.Uint16(b[10:])), nil
}
