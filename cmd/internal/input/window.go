package input

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// layouts are the spellings of a time that --from and --to take, apart from RFC 3339 with its offset. A tail may be
// left out.
var layouts = []string{
	"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15",
	"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02 15",
	"2006-01-02", "2006-01", "2006",
	"2006/01/02.15:04:05", "2006/01/02.15:04", "2006/01/02.15", "2006/01/02",
}

// clockLayouts are times of today.
var clockLayouts = []string{"15:04:05", "15:04"}

// ParseTime reads a time as a person types it. One without an offset is in the zone of now.
func ParseTime(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "now") {
		return now, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range clockLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2006-01-02T15:04:05 (a tail may be left out), 15:04 for today, or RFC 3339 with its offset", text)
}

// ParseSpan reads a duration as a person types it: what time.ParseDuration takes, and days (2d) and weeks (1w).
func ParseSpan(text string) (time.Duration, error) {
	unit := time.Duration(0)
	switch {
	case strings.HasSuffix(text, "d"):
		unit = 24 * time.Hour
	case strings.HasSuffix(text, "w"):
		unit = 7 * 24 * time.Hour
	}
	var d time.Duration
	var err error
	if unit > 0 {
		var n float64
		if n, err = strconv.ParseFloat(text[:len(text)-1], 64); err == nil {
			d = time.Duration(n * float64(unit))
		}
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no duration: write 90s, 15m, 1h, 2d or 1w", text)
	}
	return d, nil
}
