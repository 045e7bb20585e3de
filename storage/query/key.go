package query

import (
	"errors"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

const (
	maxFields   = 16
	maxKeyWords = 3*maxFields + 1
)

// part is a piece of a group's key: 128 bits of an address, or up to 64 bits of a number. A Field is one part, or two: an
// address and its prefix length.
type part struct {
	field int  // in Query.By
	wide  bool // an address, in words word and word+1
	word  int
	shift int
	bits  int
}

// absent stands in keys for an address that the flow lacks: :: is an address. No host can have this one (RFC 4291
// section 2.7, reserved multicast flags and scope).
var absent = widest

// keyLayout places the fields in key words, the first in the upper bits, so that comparing words compares keys.
func keyLayout(by []Field) (parts []part, words int, err error) {
	if len(by) > maxFields {
		return nil, 0, errors.New("too many fields to group by")
	}
	left := 0 // bits left in the last word
	narrow := func(field, bits int) {
		if bits > left {
			words++
			left = 64
		}
		left -= bits
		parts = append(parts, part{field: field, word: words - 1, shift: left, bits: bits})
	}
	for i, f := range by {
		switch {
		case f.kind == KindAddr || f.kind == KindNet:
			parts = append(parts, part{field: i, wide: true, word: words, bits: 128})
			words += 2
			left = 0
			if f.kind == KindNet {
				narrow(i, 8)
			}
		case f.kind == KindTime || f.kind == KindMAC:
			narrow(i, 64)
		default:
			narrow(i, 8*f.columns[0].Kind().Size())
		}
	}
	return parts, words, nil
}

// value reads the value of field i back from a key.
func keyValue(by []Field, parts []part, key []uint64, i int, zone *zone) Value {
	v := Value{Field: by[i]}
	for _, p := range parts {
		switch {
		case p.field != i:
		case p.wide:
			w := wide{key[p.word], key[p.word+1]}
			v.None = w == absent
			v.Addr = w.addr()
			v.Bits = v.Field.bits6
			if v.Addr.Is4() {
				v.Bits = v.Field.bits4
			}
		default:
			n := key[p.word] >> p.shift & (^uint64(0) >> (64 - p.bits))
			if v.Field.kind == KindNet {
				v.Bits = uint8(n)
				break
			}
			if v.Field.kind == KindTime {
				if v.None = n == 0; !v.None && v.Field.bin != 0 {
					n = uint64(zone.begin(n, v.Field.bin))
				}
			}
			v.Num = n
			v.None = v.None || v.Field.kind == KindMAC && n == 0
		}
	}
	return v
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
