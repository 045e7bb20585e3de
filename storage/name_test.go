package storage

import (
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name fileName
		want string
	}{
		{fileName{slot: testSlot}, "flows.2026-11-21.160000Z.parquet"},
		{fileName{slot: testSlot, kind: kindOpen}, "tmp-flows.2026-11-21.160000Z.parquet"},
		{fileName{slot: testSlot, kind: kindJournal}, "tmp-flows.2026-11-21.160000Z.journal"},
		{fileName{slot: testSlot, part: 1}, "flows.2026-11-21.160000Z.0001.parquet"},
		{fileName{slot: testSlot, part: 12345, kind: kindOpen}, "tmp-flows.2026-11-21.160000Z.12345.parquet"},
	} {
		if got := c.name.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		if got, ok := parseName(c.want); !ok || got != c.name {
			t.Errorf("%s is taken apart as %+v, %v", c.want, got, ok)
		}
	}
	for _, s := range []string{
		"", "flows", "flows.parquet", "flows.2026-11-21.160000Z", "flows.2026-11-21.160000Z.journal",
		"flows.2026-11-21.160000Z.1.parquet", "flows.2026-11-21.160000Z.0000.parquet", "flows.2026-11-21.160000Z.-001.parquet",
		"flows.2026-13-21.160000Z.parquet", "flows.2026-11-21.160000Z.parquet.gz", "damaged-flows.2026-11-21.160000Z.parquet",
		"tmp-flows.2026-11-21.160000Z.0001.journal", "flows.2026-11-21.160000+0100.parquet", "tmp-tmp-flows.2026-11-21.160000Z.parquet",
	} {
		if n, ok := parseName(s); ok {
			t.Errorf("%q is taken for %+v", s, n)
		}
	}
	if n, ok := parseName("tmp-flows.2026-11-21.160000Z.journal.new"); !ok || n.kind != kindUnborn {
		t.Errorf("a half-made journal is taken for %+v, %v", n, ok)
	}
}

// TestSlotsAreCutInUTC, whatever the zone of the process and its summer time.
func TestSlotsAreCutInUTC(t *testing.T) {
	nepal := time.FixedZone("+0545", 5*3600+45*60)
	for _, c := range []struct {
		at     time.Time
		rotate time.Duration
		want   string
	}{
		{time.Date(2026, 11, 21, 22, 0, 0, 0, nepal), time.Hour, "2026-11-21T16:00:00Z"},
		{time.Date(2026, 11, 22, 5, 44, 59, 0, nepal), day, "2026-11-21T00:00:00Z"},
		{time.Date(2026, 3, 29, 1, 59, 59, 0, time.UTC), 15 * time.Minute, "2026-03-29T01:45:00Z"},
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), day, "1970-01-01T00:00:00Z"},
		{time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), time.Hour, "1969-12-31T23:00:00Z"},
	} {
		if got := slotOf(c.at, c.rotate).Format(time.RFC3339); got != c.want {
			t.Errorf("slot of %v: %s, want %s", c.at, got, c.want)
		}
	}
	// The table of flow-capture's -N.
	for nesting, want := range []string{".", "2026", "2026/2026-11", "2026/2026-11/2026-11-21"} {
		if got := slotFolder(testSlot, nesting); got != want {
			t.Errorf("nesting %d: %s, want %s", nesting, got, want)
		}
	}
}

// FuzzName: a name that is understood is the one that its parts give.
func FuzzName(f *testing.F) {
	f.Add("tmp-flows.2026-11-21.160000Z.0001.parquet")
	f.Add("tmp-flows.2026-11-21.160000Z.journal.new")
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseName(s)
		if ok && n.kind != kindUnborn && n.String() != s {
			t.Errorf("%q is understood as %q", s, n)
		}
	})
}
