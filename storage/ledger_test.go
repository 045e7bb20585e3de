package storage

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/storage/parquet"
)

// Runs that crash one after the other in the same slot leave their ledgers to the next one, which keeps them beside its
// own: each is in one file, in the order of the runs.
func TestLedgersOfRunsThatCrashedStay(t *testing.T) {
	const runs, rows = 2*maxLedgers + 3, 80
	m := newMemFolder()
	for r := 1; r <= runs; r++ {
		cfg := memConfig(rows / 4)
		cfg.Ledger = func() []byte { return fmt.Appendf(nil, `{"run":%d}`, r) }
		w, end := memRun(t, m, cfg, func(w *Writer) { w.maxGroups = maxGroups })
		memWrite(t, w, uint64(r*rows), 1, rows, testSlot, 0)
		for w.Stats().Stored < rows {
			time.Sleep(100 * time.Microsecond)
		}
		m.mu.Lock()
		left := m.image()
		m.mu.Unlock()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if r == runs {
			break
		}
		m = newMemFolder()
		_ = m.MkdirAll(slotFolder(testSlot, cfg.Nesting))
		for p, data := range left {
			m.entries[p] = &memFile{name: p, data: slices.Clone(data), durable: slices.Clone(data)}
		}
	}
	image := m.image()
	var got []string
	files := slices.SortedFunc(maps.Keys(image), func(a, b string) int {
		na, _ := parseName(path.Base(a))
		nb, _ := parseName(path.Base(b))
		return na.part - nb.part
	})
	for _, p := range files {
		f, err := parquet.Open(bytes.NewReader(image[p]), int64(len(image[p])))
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		meta := f.Meta()
		for n := 1; meta[fmt.Sprintf("%s.%d", keyLedger, n)] != ""; n++ {
			got = append(got, meta[fmt.Sprintf("%s.%d", keyLedger, n)])
		}
		got = append(got, meta[keyLedger])
	}
	var want []string
	for r := 1; r <= runs; r++ {
		want = append(want, fmt.Sprintf(`{"run":%d}`, r))
	}
	if !slices.Equal(got, want) {
		t.Errorf("ledgers in %d files:\n%s\nwant\n%s", len(files), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(files) != 3 {
		t.Errorf("%d files, want 3: one takes %d ledgers", len(files), maxLedgers)
	}
}
