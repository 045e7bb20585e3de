package input_test

import (
	"testing"
	"time"

	"github.com/caprock-net/caprock/cmd/internal/input"
)

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2026, 11, 21, 16, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"2026-11-20T15:04:05":       "2026-11-20T15:04:05+02:00",
		"2026-11-20T15:04:05Z":      "2026-11-20T15:04:05Z",
		"2026-11-20T15:04:05-05:00": "2026-11-20T15:04:05-05:00",
		"2026-11-20 15:04":          "2026-11-20T15:04:00+02:00",
		"2026-11-20":                "2026-11-20T00:00:00+02:00",
		"2026/11/20.15":             "2026-11-20T15:00:00+02:00",
		"09:15":                     "2026-11-21T09:15:00+02:00",
		"now":                       "2026-11-21T16:30:00+02:00",
	} {
		got, err := input.ParseTime(text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-13-01", "25:00"} {
		if got, err := input.ParseTime(text, now); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h": time.Hour, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1.5d": 36 * time.Hour, "1w": 168 * time.Hour,
	} {
		if got, err := input.ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0s", "-1h", "1", "d", "an hour", "1dd"} {
		if got, err := input.ParseSpan(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}
