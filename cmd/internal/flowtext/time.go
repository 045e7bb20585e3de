package flowtext

import (
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Clock writes timestamps in one time zone. It remembers the last second it wrote, since flows come in time order. It
// must not be used from two goroutines at once.
type Clock struct {
	zone   *time.Location
	second int64
	text   []byte // of second, with a blank between date and time
}

// NewClock returns a clock for a time zone.
func NewClock(zone *time.Location) *Clock { return &Clock{zone: zone, second: -1 << 62} }

// AppendMillis appends 2006-01-02 15:04:05.000 in the clock's zone, or a dash when t is zero.
func (c *Clock) AppendMillis(dst []byte, t netflow.Timestamp) []byte {
	if t == 0 {
		return append(dst, '-')
	}
	second, micros := split(t)
	if second != c.second {
		c.second = second
		c.text = time.Unix(second, 0).In(c.zone).AppendFormat(c.text[:0], time.DateTime)
	}
	dst = append(dst, c.text...)
	return appendPadded(append(dst, '.'), micros/1000, 3)
}

// AppendISO appends the ISO 8601 time in UTC with microseconds, 2006-01-02T15:04:05.000000Z, the form of all
// machine-readable output, or nothing when t is zero.
func (c *Clock) AppendISO(dst []byte, t netflow.Timestamp) []byte {
	if t == 0 {
		return dst
	}
	second, micros := split(t)
	if second != c.second {
		c.second = second
		c.text = time.Unix(second, 0).UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05")
	}
	dst = append(dst, c.text...)
	return append(appendPadded(append(dst, '.'), micros, 6), 'Z')
}

func split(t netflow.Timestamp) (second, micros int64) {
	second, micros = int64(t)/1e6, int64(t)%1e6
	if micros < 0 {
		return second - 1, micros + 1e6
	}
	return second, micros
}

func appendPadded(dst []byte, v int64, digits int) []byte {
	var b [8]byte
	for i := digits - 1; i >= 0; i-- {
		b[i] = '0' + byte(v%10)
		v /= 10
	}
	return append(dst, b[:digits]...)
}

// AppendDuration appends a duration in seconds with milliseconds, 12.345. A negative one, from an exporter whose clocks
// disagree, is written as it is.
func AppendDuration(dst []byte, from, to netflow.Timestamp) []byte {
	d := int64(to - from)
	if d < 0 {
		dst, d = append(dst, '-'), -d
	}
	d = d / 1000
	dst = appendUint(dst, uint64(d/1000))
	return appendPadded(append(dst, '.'), d%1000, 3)
}
