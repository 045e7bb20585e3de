package archive

import (
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/caprock-net/caprock/netflow"
)

// readSummary reads the summary if there is one.
func (f *File) readSummary() error {
	info, err := f.index.Stat()
	if err != nil {
		return err
	}
	if f.indexSize = info.Size(); f.indexSize < indexHeaderLen+summaryLen {
		return nil
	}
	var b [summaryLen]byte
	n, err := f.index.ReadAt(b[:], f.indexSize-summaryLen)
	if err != nil && err != io.EOF {
		return err
	}
	f.asked += int64(n)
	s, err := readSummary(b[:n], f.indexSize, f.size)
	if err == nil {
		f.summary = &s
	}
	return nil
}

// Times are those of the earliest and the latest packet, if the index has them at hand.
func (f *File) Times() (first, last netflow.Timestamp, ok bool) {
	if f.summary == nil {
		return 0, 0, false
	}
	return f.summary.first, f.summary.last, true
}

// mayHave asks the summary whether a selection can have packets here.
func (f *File) mayHave(s *Selection) (bool, error) {
	if f.summary == nil || s == nil {
		return true, nil
	}
	if !s.Within(f.summary.first, f.summary.last) {
		return false, nil
	}
	for _, c := range s.clauses {
		if c.addrs && len(c.six) <= maxAsked {
			if may, err := f.mayHaveOne(c.six); err != nil || !may {
				return false, err
			}
		}
	}
	return true, nil
}

// maxAsked bounds the addresses of a condition that the filter of a summary is asked for.
const maxAsked = 64

func (f *File) mayHaveOne(addrs []netflow.Addr) (bool, error) {
	n := int(f.summary.buckets)
	if n == 0 {
		return true, nil
	}
	filter := f.summary.end + int64(f.summary.groupCount)*groupLen
	for i := range addrs {
		hi, lo := halves(&addrs[i])
		at, _ := spots(hi, lo, n)
		var b [bucketLen]byte
		if _, err := f.index.ReadAt(b[:], filter+int64(at)); err != nil {
			return false, err
		}
		f.asked += bucketLen
		if mayHave(b[:], &addrs[i]) {
			return true, nil
		}
	}
	return false, nil
}

// groups are those of the summary, or one if there is none, and one where they end.
func (f *File) groups() ([]group, error) {
	if f.summary != nil {
		b, err := f.indexAt(f.summary.end, int(f.summary.groupCount)*groupLen)
		if err != nil {
			return nil, err
		}
		if groups, err := f.summary.readGroups(b); err == nil {
			return append(groups, group{place: f.summary.end, offset: f.summary.captured}), nil
		}
	}
	all := group{indexHeaderLen, pcapHeaderLen, math.MinInt64, math.MaxInt64}
	return []group{all, {place: math.MaxInt64, offset: f.size}}, nil
}

// windowLen is how much of an index is read at a time.
const windowLen = groupSize

// indexAt returns n bytes of the index, fewer at its end, valid until the next call.
func (f *File) indexAt(at int64, n int) ([]byte, error) {
	if at >= f.windowAt && at+int64(n) <= f.windowAt+int64(len(f.window)) {
		from := at - f.windowAt
		return f.window[from : from+int64(n)], nil
	}
	f.window = resize(f.window, max(n, windowLen))
	m, err := f.index.ReadAt(f.window, at)
	if err != nil && err != io.EOF {
		return nil, err
	}
	f.asked += int64(m)
	f.window, f.windowAt = f.window[:m], at
	return f.window[:min(n, m)], nil
}

// entryAt reads the header of the entry at a place in the index, which must be that of the block at an offset.
func (f *File) entryAt(place, offset int64) (h entryHeader, err error) {
	b, err := f.indexAt(place, entryHeaderLen)
	if err != nil {
		return h, err
	}
	if h, err = readEntryHeader(b); err != nil {
		return h, err
	}
	if h.Offset != offset || h.Offset+int64(h.Bytes) > f.size {
		return h, fmt.Errorf("%w: an entry is not for this capture", ErrCorrupt)
	}
	return h, nil
}

// keysAt reads the keys of the entry at a place, valid until the next call.
func (f *File) keysAt(h *entryHeader, place int64) ([]byte, error) {
	b, err := f.indexAt(place+entryHeaderLen, h.keysLen())
	if err == nil && (len(b) < h.keysLen() || crc32.Checksum(b, castagnoli) != h.crc) {
		err = fmt.Errorf("%w: the checksum of an entry's flows is wrong", ErrCorrupt)
	}
	return b, err
}
