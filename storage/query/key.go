package query

import (
	"cmp"
	"errors"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

const (
	maxFields   = 16
	maxKeyWords = maxFields
)

// part is where a field stands in a group's key. An address is there by its number, a network by that of its address
// shifted to the left of its prefix length.
type part struct {
	word  int
	shift int
	bits  int
}

// absent is the address of flows that lack it: :: is an address. No host can have this one (RFC 4291 section 2.7, reserved
// multicast flags and scope).
var absent = widest

// keyLayout places the fields in key words.
func keyLayout(by []Field) (parts []part, words int, err error) {
	if len(by) > maxFields {
		return nil, 0, errors.New("too many fields to group by")
	}
	left := 0 // bits left in the last word
	for _, f := range by {
		bits := 64
		switch f.kind {
		case KindAddr:
			bits = 32
		case KindNet:
			bits = 32 + 8
		case KindNumber:
			bits = 8 * f.columns[0].Kind().Size()
		}
		if bits > left {
			words++
			left = 64
		}
		left -= bits
		parts = append(parts, part{word: words - 1, shift: left, bits: bits})
	}
	return parts, words, nil
}

// of returns what stands in a key for the field.
func (p part) of(key []uint64) uint64 {
	return key[p.word] >> p.shift & (^uint64(0) >> (64 - p.bits))
}

// keyValue reads the value of field i back from a key.
func (a *aggregation) keyValue(key []uint64, i int, zone *zone) Value {
	f, n := a.By[i], a.parts[i].of(key)
	v := Value{Field: f}
	switch f.kind {
	case KindAddr, KindNet:
		w, own := a.keyAddr(f, n)
		v.None = w == absent
		v.Addr = w.addr()
		switch {
		case f.kind == KindNet:
			v.Bits = own
		case w.is4():
			v.Bits = f.bits4
		default:
			v.Bits = f.bits6
		}
	case KindTime:
		v.None = n == 0
		if !v.None && f.bin != 0 {
			n = uint64(zone.begin(n, f.bin))
		}
		v.Num = n
	case KindMAC:
		v.None = n == 0
		v.Num = n
	default:
		v.Num = n
	}
	return v
}

// keyAddr returns the address that n stands for in a key, and the prefix length of a network.
func (a *aggregation) keyAddr(f Field, n uint64) (addr wide, length uint8) {
	if f.kind == KindNet {
		n, length = n>>8, uint8(n)
	}
	return a.addrs.addr(n), length
}

// compareKeys orders two keys, field by field.
func (a *aggregation) compareKeys(x, y []uint64) int {
	for i, p := range a.parts {
		m, n := p.of(x), p.of(y)
		if m == n {
			continue
		}
		f := a.By[i]
		if f.kind != KindAddr && f.kind != KindNet {
			return cmp.Compare(m, n)
		}
		first, firstLength := a.keyAddr(f, m)
		second, secondLength := a.keyAddr(f, n)
		return cmp.Or(first.compare(second), cmp.Compare(firstLength, secondLength))
	}
	return 0
}

// keyRank returns a number that does not fall as keys grow, so that it decides most comparisons.
func (a *aggregation) keyRank(key []uint64) uint64 {
	f, n := a.By[0], a.parts[0].of(key)
	if f.kind != KindAddr && f.kind != KindNet {
		return n
	}
	addr, _ := a.keyAddr(f, n)
	return addr.rank()
}

// zone cuts time into bins. Bins of up to an hour begin at multiples of their length since midnight of 2000-01-01 in the
// zone, wherever clocks are changed by whole hours; longer ones begin by the wall clock, so that a day is a day when
// clocks are changed.
type zone struct {
	loc      *time.Location
	from, to int64 // what offset is right for, microseconds
	offset   int64 // microseconds east of UTC
}

// binBias makes the numbers of bins positive, and 0 free for flows whose time is not told.
const binBias = 1 << 62

func newZone(loc *time.Location) *zone {
	if loc == nil {
		loc = time.UTC
	}
	return &zone{loc: loc}
}

// fixedOffset is the offset that bins up to an hour use, microseconds.
func (z *zone) fixedOffset(size int64) int64 {
	_, seconds := time.Date(2000, 1, 1, 0, 0, 0, 0, z.loc).Zone()
	return int64(seconds) * 1e6 % size
}

// number replaces times in place by the numbers of their bins.
func (z *zone) number(times []uint64, bin time.Duration) {
	size := bin.Microseconds()
	offset := z.fixedOffset(size)
	if bin > time.Hour {
		offset = z.offset
	}
	for i, u := range times {
		if u == 0 {
			continue
		}
		t := int64(u)
		if bin > time.Hour && (t < z.from || t >= z.to) {
			z.lookup(t)
			offset = z.offset
		}
		t += offset
		n := t / size
		if t < 0 && n*size != t {
			n--
		}
		times[i] = uint64(n + binBias)
	}
}

// lookup finds the offset at t and how long it holds.
func (z *zone) lookup(t int64) {
	at := time.UnixMicro(t).In(z.loc)
	_, seconds := at.Zone()
	from, to := at.ZoneBounds()
	z.offset = int64(seconds) * 1e6
	z.from, z.to = -1<<63, 1<<63-1
	if !from.IsZero() {
		z.from = from.UnixMicro()
	}
	if !to.IsZero() {
		z.to = to.UnixMicro()
	}
}

// begin returns when the bin of a number begins.
func (z *zone) begin(number uint64, bin time.Duration) netflow.Timestamp {
	size := bin.Microseconds()
	wall := int64(number-binBias) * size
	if bin <= time.Hour {
		return netflow.Timestamp(wall - z.fixedOffset(size))
	}
	w := time.UnixMicro(wall).UTC()
	return netflow.TimestampOf(time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), w.Nanosecond(), z.loc))
}
