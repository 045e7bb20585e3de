package archive

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/caprock-net/caprock/netflow"
)

const (
	summaryMagic = 0x4d555350 // "PSUM"
	summaryLen   = 64
	groupLen     = 32
	groupSize    = 128 << 10 // bytes of entries in a group, and up to one more
)

// group is a run of entries of an index.
type group struct {
	place       int64 // in the index, of its first entry
	offset      int64 // in the capture, of that one's block
	first, last netflow.Timestamp
}

// summary is what an index says at its end, behind the entries: which times are where, and which addresses are nowhere.
type summary struct {
	captured    int64 // bytes of the capture that the entries are for
	first, last netflow.Timestamp
	packets     uint64
	end         int64 // of the entries in the index
	groupCount  uint32
	groupsCRC   uint32
	buckets     uint32
}

// summarizer makes the summary of an index, entry by entry.
type summarizer struct {
	summary
	groups []group
	filter addrFilter
}

// newSummarizer is for a capture of up to a size.
func newSummarizer(size int64) *summarizer {
	return &summarizer{
		summary: summary{captured: pcapHeaderLen, end: indexHeaderLen, first: math.MaxInt64, last: math.MinInt64},
		filter:  newAddrFilter(size),
	}
}

// add takes the entries that were appended.
func (s *summarizer) add(entries []byte) {
	for len(entries) > 0 {
		h, err := readEntryHeader(entries)
		if err != nil {
			panic(err) // made by appendEntry, or read already
		}
		n := entryHeaderLen + h.keysLen()
		s.addEntry(&h, entries[entryHeaderLen:n])
		entries = entries[n:]
	}
}

func (s *summarizer) addEntry(h *entryHeader, keys []byte) {
	if n := len(s.groups); n == 0 || s.end-s.groups[n-1].place >= groupSize {
		s.groups = append(s.groups, group{s.end, h.Offset, h.First, h.Last})
	}
	g := &s.groups[len(s.groups)-1]
	g.first, g.last = min(g.first, h.First), max(g.last, h.Last)
	s.first, s.last = min(s.first, h.First), max(s.last, h.Last)
	s.packets += uint64(h.Packets)
	s.captured += int64(h.Bytes)
	s.end += int64(entryHeaderLen + len(keys))
	be := binary.BigEndian
	addrs := make([][2]uint64, 0, addAtOnce)
	add := func(src, dst [2]uint64) {
		if addrs = append(addrs, src, dst); len(addrs) == addAtOnce {
			s.filter.add(addrs)
			addrs = addrs[:0]
		}
	}
	for range h.n4 {
		add([2]uint64{0, mapped4 | uint64(be.Uint32(keys))}, [2]uint64{0, mapped4 | uint64(be.Uint32(keys[4:]))})
		keys = keys[key4Len:]
	}
	for range h.n6 {
		add([2]uint64{be.Uint64(keys), be.Uint64(keys[8:])}, [2]uint64{be.Uint64(keys[16:]), be.Uint64(keys[24:])})
		keys = keys[key6Len:]
	}
	s.filter.add(addrs)
}

// mapped4 stands before an IPv4 address in the lower half of netflow.Addr.
const mapped4 = 0xffff << 32

// summaryRoom is the most that a summary takes behind some bytes of entries, for a capture of up to a size.
func summaryRoom(entries, size int64) int64 {
	return (1+entries/groupSize)*groupLen + int64(filterBuckets(size))*bucketLen + summaryLen
}

// appendTo appends the summary to an index. The summarizer is not to be used afterwards.
func (s *summarizer) appendTo(dst []byte) []byte {
	le := binary.LittleEndian
	at := len(dst)
	for _, g := range s.groups {
		dst = le.AppendUint64(dst, uint64(g.place))
		dst = le.AppendUint64(dst, uint64(g.offset))
		dst = le.AppendUint64(dst, uint64(g.first))
		dst = le.AppendUint64(dst, uint64(g.last))
	}
	s.groupCount, s.groupsCRC = uint32(len(s.groups)), crc32.Checksum(dst[at:], castagnoli)
	filter := s.filter.sealed()
	s.buckets = uint32(len(filter) / bucketLen)
	dst = append(dst, filter...)
	at = len(dst)
	dst = append(dst, make([]byte, summaryLen)...)
	b := dst[at:]
	le.PutUint32(b, summaryMagic)
	le.PutUint64(b[8:], uint64(s.captured))
	le.PutUint64(b[16:], uint64(s.first))
	le.PutUint64(b[24:], uint64(s.last))
	le.PutUint64(b[32:], s.packets)
	le.PutUint64(b[40:], uint64(s.end))
	le.PutUint32(b[48:], s.groupCount)
	le.PutUint32(b[52:], s.groupsCRC)
	le.PutUint32(b[56:], s.buckets)
	le.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return dst
}

// readSummary reads the last bytes of an index of a size, whose capture has captured bytes.
func readSummary(b []byte, size, captured int64) (s summary, err error) {
	le := binary.LittleEndian
	if len(b) < summaryLen || le.Uint32(b) != summaryMagic || le.Uint32(b[4:]) != crc32.Checksum(b[8:summaryLen], castagnoli) {
		return s, fmt.Errorf("%w: no summary, or its checksum is wrong", ErrCorrupt)
	}
	s = summary{
		captured: int64(le.Uint64(b[8:])), first: netflow.Timestamp(le.Uint64(b[16:])), last: netflow.Timestamp(le.Uint64(b[24:])),
		packets: le.Uint64(b[32:]), end: int64(le.Uint64(b[40:])), groupCount: le.Uint32(b[48:]), groupsCRC: le.Uint32(b[52:]), buckets: le.Uint32(b[56:]),
	}
	behind := int64(s.groupCount)*groupLen + int64(s.buckets)*bucketLen + summaryLen
	if s.captured != captured || s.end < indexHeaderLen || s.end > size || s.end+behind != size || s.buckets&(s.buckets-1) != 0 || s.groupCount == 0 {
		return s, fmt.Errorf("%w: the summary is not for this capture", ErrCorrupt)
	}
	return s, nil
}

// readGroups reads the groups, which must follow each other.
func (s *summary) readGroups(b []byte) ([]group, error) {
	if len(b) != int(s.groupCount)*groupLen || crc32.Checksum(b, castagnoli) != s.groupsCRC {
		return nil, fmt.Errorf("%w: the checksum of the groups is wrong", ErrCorrupt)
	}
	le := binary.LittleEndian
	groups := make([]group, s.groupCount)
	place, offset := int64(indexHeaderLen-1), int64(pcapHeaderLen-1)
	for i := range groups {
		g := group{int64(le.Uint64(b)), int64(le.Uint64(b[8:])), netflow.Timestamp(le.Uint64(b[16:])), netflow.Timestamp(le.Uint64(b[24:]))}
		if g.place <= place || g.offset <= offset || g.place >= s.end || g.offset >= s.captured ||
			i == 0 && (g.place != indexHeaderLen || g.offset != pcapHeaderLen) {
			return nil, fmt.Errorf("%w: the groups contradict each other", ErrCorrupt)
		}
		groups[i], place, offset, b = g, g.place, g.offset, b[groupLen:]
	}
	return groups, nil
}
