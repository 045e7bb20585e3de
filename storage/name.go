package storage

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	day        = 24 * time.Hour
	slotLayout = "2006-01-02.150405Z"

	openPrefix    = "tmp-" // of every file that is not finished
	flowsPrefix   = "flows."
	parquetSuffix = ".parquet"
	journalSuffix = ".journal"
	newSuffix     = ".new" // behind one of the above: being made, not yet anything; readers ignore it
)

// slotOf returns the slot that t lies in: the last multiple of rotate since midnight UTC.
func slotOf(t time.Time, rotate time.Duration) time.Time {
	return t.UTC().Truncate(rotate) // Truncate counts from the zero time, which is a midnight
}

// fileKind is what a file of a slot is.
type fileKind uint8

const (
	kindFinished fileKind = iota // flows.*.parquet
	kindOpen                     // tmp-flows.*.parquet
	kindJournal                  // tmp-flows.*.journal
	kindUnborn                   // *.new: left behind by a crash
)

// fileName is the name of a file of a slot, taken apart.
type fileName struct {
	slot time.Time // UTC, whole seconds
	part int       // 0 for the first; journals have no part
	kind fileKind
}

// String puts the name together, without folders.
func (n fileName) String() string {
	base := flowsPrefix + n.slot.UTC().Format(slotLayout)
	if n.kind == kindJournal {
		return openPrefix + base + journalSuffix
	}
	if n.part > 0 {
		base += fmt.Sprintf(".%04d", n.part)
	}
	base += parquetSuffix
	if n.kind == kindOpen {
		base = openPrefix + base
	}
	return base
}

// parseName is the inverse of fileName.String; it also knows kindUnborn. Names that String does not give are refused.
func parseName(s string) (fileName, bool) {
	var n fileName
	whole := s
	s, unborn := strings.CutSuffix(s, newSuffix)
	s, open := strings.CutPrefix(s, openPrefix)
	s, ok := strings.CutPrefix(s, flowsPrefix)
	if !ok || len(s) < len(slotLayout) {
		return n, false
	}
	slot, err := time.Parse(slotLayout, s[:len(slotLayout)])
	if err != nil {
		return n, false
	}
	n.slot = slot.UTC()
	switch s = s[len(slotLayout):]; {
	case s == journalSuffix:
		n.kind = kindJournal
	case strings.HasSuffix(s, parquetSuffix):
		if open {
			n.kind = kindOpen
		}
		if digits := strings.TrimSuffix(s, parquetSuffix); digits != "" {
			if n.part, err = strconv.Atoi(strings.TrimPrefix(digits, ".")); err != nil {
				return n, false
			}
		}
	default:
		return n, false
	}
	if n.String() != strings.TrimSuffix(whole, newSuffix) {
		return n, false
	}
	if unborn {
		n.kind = kindUnborn
	}
	return n, true
}

// slotFolder returns the folder of a slot below the top, "." for none.
func slotFolder(slot time.Time, nesting int) string {
	slot = slot.UTC()
	return path.Join([]string{".", slot.Format("2006"), slot.Format("2006-01"), slot.Format("2006-01-02")}[:nesting+1]...)
}
