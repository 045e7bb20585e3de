package query

import (
	"strings"
	"time"
)

// ParseTime reads a point in time, YYYY-MM-DDThh:mm:ss.ffffff with the tail cut at any place, and returns what it covers:
// the year, month, day, hour, minute, second or fraction from <= t < to. The date may be written with slashes, the
// T as a blank or a dot after a date with slashes (nfdump's YYYY/MM/dd.hh:mm:ss). The time is taken in loc unless it
// ends in Z or an offset such as +01:00, which may follow an hour or anything finer.
func ParseTime(text string, loc *time.Location) (from, to time.Time, ok bool) {
	r := &timeReader{rest: strings.ToUpper(text), loc: loc}
	return r.read()
}

// timeReader reads ParseTime's format from the left.
type timeReader struct {
	rest string
	loc  *time.Location
}

func (r *timeReader) read() (from, to time.Time, ok bool) {
	// The parts: year, month, day, hour, minute, second; given counts those that are there.
	part := [6]int{0, 1, 1, 0, 0, 0}
	year, ok := r.digits(4)
	if !ok {
		return from, to, false
	}
	part[0] = year
	given := 1
	separators := [6]string{1: "-", 2: "-", 3: "T", 4: ":", 5: ":"}
	slashes := false
parts:
	for given < 6 && r.rest != "" {
		switch {
		case r.skip(separators[given]):
		case given == 1 && r.skip("/"):
			slashes = true
			separators[2], separators[3] = "/", "."
		case given == 3 && (r.skip(" ") || slashes && r.skip("T")):
		default:
			break parts
		}
		if part[given], ok = r.digits(2); !ok {
			return from, to, false
		}
		given++
	}
	fraction, unit := time.Duration(0), time.Second
	if given == 6 && r.skip(".") {
		if fraction, unit, ok = r.fraction(); !ok {
			return from, to, false
		}
	}
	if given >= 4 && r.rest != "" {
		if !r.zone() {
			return from, to, false
		}
	}
	if r.rest != "" {
		return from, to, false
	}
	date := func(p [6]int) time.Time {
		return time.Date(p[0], time.Month(p[1]), p[2], p[3], p[4], p[5], 0, r.loc)
	}
	if part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > daysIn(part[0], part[1]) ||
		part[3] > 23 || part[4] > 59 || part[5] > 59 {
		return from, to, false
	}
	from = date(part)
	switch given {
	case 6:
		from = from.Add(fraction)
		return from, from.Add(unit), true
	case 5:
		return from, from.Add(time.Minute), true
	case 4:
		return from, from.Add(time.Hour), true
	}
	part[given-1]++
	return from, date(part), true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func (r *timeReader) skip(s string) bool {
	if s == "" || !strings.HasPrefix(r.rest, s) {
		return false
	}
	r.rest = r.rest[len(s):]
	return true
}

func (r *timeReader) digits(n int) (v int, ok bool) {
	if len(r.rest) < n {
		return 0, false
	}
	for i := range n {
		c := r.rest[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	r.rest = r.rest[n:]
	return v, true
}

// fraction reads one to nine digits; what is finer than a microsecond counts as that microsecond.
func (r *timeReader) fraction() (value, unit time.Duration, ok bool) {
	unit = time.Second
	for n := 0; r.rest != "" && r.rest[0] >= '0' && r.rest[0] <= '9'; n++ {
		if n == 9 {
			return 0, 0, false
		}
		unit /= 10
		value += time.Duration(r.rest[0]-'0') * unit
		r.rest = r.rest[1:]
		ok = true
	}
	return value.Truncate(time.Microsecond), max(unit, time.Microsecond), ok
}

// zone reads Z, +hh, +hhmm or +hh:mm to the end.
func (r *timeReader) zone() bool {
	if r.skip("Z") {
		r.loc = time.UTC
		return r.rest == ""
	}
	sign := 1
	if r.skip("-") {
		sign = -1
	} else if !r.skip("+") {
		return false
	}
	hours, ok := r.digits(2)
	if !ok || hours > 14 {
		return false
	}
	minutes := 0
	if r.rest != "" {
		r.skip(":")
		if minutes, ok = r.digits(2); !ok || minutes > 59 {
			return false
		}
	}
	r.loc = time.FixedZone("", sign*(hours*3600+minutes*60))
	return r.rest == ""
}
