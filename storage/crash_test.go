package storage

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

func memConfig(rowGroup int) Config {
	cfg := DefaultConfig()
	cfg.Dir = "memory"
	cfg.Rotate = time.Minute
	cfg.RowGroup = rowGroup
	cfg.Sync = 2 * time.Millisecond
	cfg.Now = func() time.Time { return testSlot }
	return cfg
}

type noLock struct{}

func (noLock) Close() error { return nil }

// memRun runs a writer on m until the function it returns is called.
func memRun(t testing.TB, m folder, cfg Config, more ...func(*Writer)) (*Writer, func() error) {
	t.Helper()
	w, err := newWriter(cfg.withDefaults(), m, noLock{})
	if err != nil {
		t.Fatal(err)
	}
	w.firstRetry = time.Millisecond
	w.maxGroups = 8
	w.cutAfter = 1000
	for _, f := range more {
		f(w)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return w, func() error { end(); return <-done }
}

// memWrite hands over batches of rows flows with numbers in bytes, from first on; step lies between two.
func memWrite(t testing.TB, w *Writer, first uint64, batches, rows int, at time.Time, step time.Duration) {
	t.Helper()
	b := w.Batch()
	for i := range batches {
		row := b.Extend(rows, netflow.SetOf(netflow.Bytes, netflow.Packets, netflow.Received))
		for j := range rows {
			b.Bytes[row+j] = first
			b.Packets[row+j] = first * 0x9e3779b97f4a7c15 // so that a frame is not too small to be torn
			b.Received[row+j] = netflow.TimestampOf(at.Add(time.Duration(i) * step))
			first++
		}
		var err error
		if b, err = w.WriteWait(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			time.Sleep(500 * time.Microsecond) // let appends and syncs fall in between
		}
	}
}

// idsIn reads a folder and wants each flow at most once.
func idsIn(dir string) (map[uint64]bool, error) {
	s, err := OpenSnapshot([]string{dir}, Range{})
	if err != nil {
		return nil, err
	}
	return idsOf(s)
}

func idsOf(s *Snapshot) (map[uint64]bool, error) {
	defer s.Close()
	ids := map[uint64]bool{}
	var v column.Vector
	for c, err := range s.Chunks() {
		if err != nil {
			return nil, err
		}
		if err := c.Read(netflow.Bytes, &v); err != nil {
			return nil, err
		}
		for i := range c.Rows() {
			id := v.Num[i%len(v.Num)]
			if v.Coded {
				id = v.Num[v.Codes[i]]
			}
			if ids[id] {
				return nil, fmt.Errorf("flow %d is there twice", id)
			}
			ids[id] = true
		}
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// wantFirst wants the flows 1 to at least n, and no others than 1 to len.
func wantFirst(ids map[uint64]bool, n uint64) error {
	for id := uint64(1); id <= max(n, uint64(len(ids))); id++ {
		if !ids[id] {
			return fmt.Errorf("flow %d of %d is missing; at least %d must be there", id, len(ids), n)
		}
	}
	return nil
}

const (
	extraFirst = 1 << 40 // numbers of the flows that recovered adds
	extraFlows = 1
)

// recovered takes up the image, writes a few more flows into the slot that is going on, and returns what a reader finds
// then, and after the writer has finished everything.
func recovered(t testing.TB, image map[string][]byte, cfg Config, now time.Time) (open, finished map[uint64]bool, err error) {
	t.Helper()
	m := newMemFolder()
	dir := slotFolder(testSlot, cfg.Nesting)
	_ = m.MkdirAll(dir)
	for p, data := range image {
		m.entries[p] = &memFile{name: p, data: slices.Clone(data), durable: slices.Clone(data)}
	}
	_ = m.SyncDir(dir)
	cfg.Now = func() time.Time { return now }
	w, end := memRun(t, m, cfg)
	memWrite(t, w, extraFirst, extraFlows, 1, now, 0)
	for st := w.Stats(); st.Flows < st.Recovered.Flows+extraFlows; st = w.Stats() {
		time.Sleep(50 * time.Microsecond)
	}
	m.mu.Lock()
	half := m.image()
	m.mu.Unlock()
	if err := end(); err != nil {
		return nil, nil, err
	}
	if st := w.Stats(); st.Pending != 0 || st.Lost.Total() != 0 || st.Stored != st.Recovered.Flows+extraFlows || st.Durable != st.Stored {
		t.Errorf("recovery: %+v", st)
	}
	for p := range m.entries {
		if n, ok := parseName(path.Base(p)); !ok || n.kind != kindFinished {
			t.Errorf("recovery leaves %s", p)
		}
	}
	if open, err = idsIn(lay(t, half)); err != nil {
		return nil, nil, fmt.Errorf("while it is open: %w", err)
	}
	finished, err = idsIn(lay(t, m.image()))
	if err != nil {
		return nil, nil, err
	}
	for _, ids := range []map[uint64]bool{open, finished} {
		for i := range uint64(extraFlows) {
			if !ids[extraFirst+i] {
				return nil, nil, fmt.Errorf("flow %d written after recovery is missing", i+1)
			}
			delete(ids, extraFirst+i)
		}
	}
	return open, finished, nil
}

type crashImage struct {
	op    string
	files map[string][]byte
	least uint64 // flows that must be there
	now   time.Time
}

// TestCrashAtAnyOperation takes what a dead process, and what a power loss, would leave before and in the middle of every
// operation of a writer on its folder, through appends, parts, rotations and rewrites.
func TestCrashAtAnyOperation(t *testing.T) {
	for _, c := range []struct {
		name     string
		rowGroup int
		step     time.Duration // between batches of 50 flows
		rows     int
		fail     float64
		slow     time.Duration
	}{
		{"slots", 400, 2 * time.Second, 50, 0, 0},
		{"parts", 20, time.Millisecond, 20, 0, 0},
		{"slow disk", 500, time.Second / 2, 50, 0, 20 * time.Millisecond},
		{"failing disk", 500, time.Second / 2, 50, 0.1, 10 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := memConfig(c.rowGroup)
			cfg.Nesting = 2
			m := newMemFolder()
			w, end := memRun(t, m, cfg)
			var killed, cut []crashImage
			rnd := rand.New(rand.NewPCG(1, 2))
			keep, cutting := 0.06, false
			if testing.Short() {
				keep = 0.03
			}
			m.mu.Lock()
			m.slow = c.slow
			m.before = func(op, name string) error {
				var fail error
				if rnd.Float64() < c.fail {
					fail = errIO
				}
				if !cutting && rnd.Float64() > keep { // a journal that was just replaced is worth a look
					cutting = op == "rename" && isJournal(name) && rnd.IntN(4) == 0
					return fail
				}
				cutting = false
				op += " " + name
				st := w.Stats()
				now := testSlot.Add(c.step * time.Duration(st.Flows) / time.Duration(c.rows))
				killed = append(killed, crashImage{op, m.image(), st.Flows, now})
				cut = append(cut, crashImage{op, m.powerLoss(nil), st.Durable, now}, crashImage{op, m.powerLoss(rnd), st.Durable, now})
				return fail
			}
			m.mu.Unlock()
			memWrite(t, w, 1, 250, c.rows, testSlot, c.step)
			m.mu.Lock()
			c.fail = 0
			m.mu.Unlock()
			if err := end(); err != nil {
				t.Fatal(err)
			}
			total := uint64(250 * c.rows)
			m.mu.Lock()
			m.before = nil
			after := testSlot.Add(time.Hour)
			killed = append(killed, crashImage{"the end", m.image(), total, after})
			cut = append(cut, crashImage{"the end", m.powerLoss(nil), total, after})
			m.mu.Unlock()

			for _, k := range killed {
				before, err := idsIn(lay(t, k.files))
				if err != nil {
					t.Fatalf("killed at %s: %v", k.op, err)
				}
				open, finished, err := recovered(t, k.files, cfg, k.now)
				if err == nil {
					err = wantFirst(finished, k.least)
				}
				if err != nil {
					t.Fatalf("killed at %s: %v", k.op, err)
				}
				if !maps.Equal(before, finished) || !maps.Equal(open, finished) {
					t.Fatalf("killed at %s: %d flows could be read, %d after recovery, %d in the end", k.op, len(before), len(open), len(finished))
				}
			}
			for _, k := range cut {
				open, finished, err := recovered(t, k.files, cfg, k.now)
				if err != nil {
					t.Fatalf("power lost at %s: %v", k.op, err)
				}
				if !maps.Equal(open, finished) {
					t.Fatalf("power lost at %s: %d flows after recovery, %d in the end", k.op, len(open), len(finished))
				}
				for id := range k.least {
					if !finished[id+1] {
						t.Fatalf("power lost at %s: flow %d of %d durable ones is missing", k.op, id+1, k.least)
					}
				}
			}
			if st := w.Stats(); c.name == "parts" && st.Files < 4 {
				t.Errorf("only %d files", st.Files)
			}
			t.Logf("%d crashes of each kind, %d operations, %d files", len(killed), m.ops, w.Stats().Files)
		})
	}
}

// TestListingIsTakenAgain lets the writer finish parts and cut its journal between the listing and the opening.
func TestListingIsTakenAgain(t *testing.T) {
	cfg := memConfig(10)
	cfg.Dir = t.TempDir()
	f, err := openFolder(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	w, end := memRun(t, f, cfg, func(w *Writer) { w.maxGroups = 1 })
	next := uint64(1)
	write := func() {
		memWrite(t, w, next, 1, 20, testSlot, 0)
		next += 20
		for w.Stats().Stored < next-1 {
			time.Sleep(time.Millisecond)
		}
	}
	write()
	listings := 0
	sources, err := openSlots(Range{}, func() ([]File, error) {
		files, err := List(cfg.Dir)
		if listings++; listings == 1 {
			write()
			time.Sleep(20 * time.Millisecond) // the journal is cut after the append
		}
		return files, err
	})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := idsOf(&Snapshot{sources: sources})
	if err == nil {
		err = wantFirst(ids, 40)
	}
	if err != nil {
		t.Error(err)
	}
	if listings != 4 {
		t.Errorf("%d listings, want two that differ and two that do not", listings)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// TestFailingDisk makes operations of every kind fail at random, syncs included, and wants every flow once in the end.
func TestFailingDisk(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			cfg := memConfig(100)
			m := newMemFolder()
			rnd := rand.New(rand.NewPCG(seed, 7))
			failed := map[string]int{}
			failing := true
			w, end := memRun(t, m, cfg)
			m.mu.Lock()
			m.before = func(op, name string) error {
				if !failing || rnd.Float64() > 0.1 {
					return nil
				}
				failed[op]++
				if op == "sync" {
					return errIO
				}
				return errNoSpace
			}
			m.mu.Unlock()
			memWrite(t, w, 1, 200, 40, testSlot, time.Second)
			m.mu.Lock()
			failing = false
			m.mu.Unlock()
			for deadline := time.Now().Add(30 * time.Second); w.Stats().Failing != "" || w.Stats().Queued > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the disk works again, the writer does not: %+v", w.Stats())
				}
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			st := w.Stats()
			if st.Flows != 8000 || st.Stored != 8000 || st.Lost.Total() != 0 {
				t.Errorf("%+v", st)
			}
			t.Log(failed, st.Failures, "failures,", len(m.entries), "files")
			ids, err := idsIn(lay(t, m.image()))
			if err != nil {
				t.Fatal(err)
			}
			if err := wantFirst(ids, 8000); err != nil {
				t.Error(err)
			}
			ids, err = idsIn(lay(t, m.powerLoss(nil)))
			if err != nil {
				t.Fatal(err)
			}
			if err := wantFirst(ids, 8000); err != nil {
				t.Errorf("power lost afterwards: %v", err)
			}
		})
	}
}

// TestPatience stops a writer whose Parquet is far behind: the rest stays in the journal, durable, and the next one has it.
func TestPatience(t *testing.T) {
	const flows = 20000
	cfg := memConfig(100)
	cfg.Patience = 100 * time.Millisecond
	m := newMemFolder()
	m.slow = 50 * time.Millisecond
	w, end := memRun(t, m, cfg)
	memWrite(t, w, 1, flows/100, 100, testSlot, time.Second)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	st := w.Stats()
	if st.Flows != flows || st.Pending == 0 || st.Stored == 0 || st.Durable != flows || st.Lost.Total() != 0 {
		t.Errorf("%+v", st)
	}
	for what, image := range map[string]map[string][]byte{"process": m.image(), "machine": m.powerLoss(nil)} {
		ids, err := idsIn(lay(t, image))
		if err == nil {
			err = wantFirst(ids, flows)
		}
		if err != nil {
			t.Errorf("end of the %s: %v", what, err)
		}
		cfg.Patience = 0
		if _, ids, err = recovered(t, image, cfg, testSlot.Add(time.Hour)); err == nil {
			err = wantFirst(ids, flows)
		}
		if err != nil {
			t.Errorf("end of the %s, next start: %v", what, err)
		}
	}
}
