package storage

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
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
func memRun(t testing.TB, m *memFolder, cfg Config) (*Writer, func() error) {
	t.Helper()
	w, err := newWriter(cfg.withDefaults(), m, noLock{})
	if err != nil {
		t.Fatal(err)
	}
	w.firstRetry = time.Millisecond
	w.maxGroups = 8
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
		row := b.Extend(rows, netflow.SetOf(netflow.Bytes, netflow.Received))
		for j := range rows {
			b.Bytes[row+j] = first
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

// recovered returns what a writer that takes up the image finishes.
func recovered(t testing.TB, image map[string][]byte, cfg Config) map[string][]byte {
	t.Helper()
	m := newMemFolder()
	for p, data := range image {
		f := &memFile{name: p, data: data, durable: data}
		m.entries[p], m.durable[p] = f, f
		if dir := slotFolder(testSlot, cfg.Nesting); dir != "." {
			_ = m.MkdirAll(dir)
		}
	}
	w, end := memRun(t, m, cfg)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if st := w.Stats(); st.Pending != 0 || st.Lost.Total() != 0 || st.Stored != st.Recovered.Flows {
		t.Errorf("recovery: %+v", st)
	}
	for p := range m.entries {
		if n, ok := parseName(slotBase(p)); !ok || n.kind != kindFinished {
			t.Errorf("recovery leaves %s", p)
		}
	}
	return m.image(false)
}

func slotBase(p string) string { return p[max(0, len(p)-len(p[lastSlash(p)+1:])):] }

func lastSlash(p string) int {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return i
		}
	}
	return -1
}

type crashImage struct {
	op        string
	files     map[string][]byte
	journaled uint64 // flows that were in the journal before
}

// TestCrashAtAnyOperation takes what a dead process, and what a power loss, would leave before and in the middle of every
// operation of a writer on its folder, through appends, parts, rotations and rewrites.
func TestCrashAtAnyOperation(t *testing.T) {
	for _, c := range []struct {
		name     string
		rowGroup int
		step     time.Duration // between batches of 50 flows
		rows     int
	}{
		{"slots", 400, 2 * time.Second, 50},
		{"parts", 20, time.Millisecond, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := memConfig(c.rowGroup)
			cfg.Nesting = 2
			m := newMemFolder()
			var w *Writer
			var killed, cut []crashImage
			rnd := rand.New(rand.NewPCG(1, 2))
			keep := 0.1
			if testing.Short() {
				keep = 0.03
			}
			m.before = func(op, name string) error {
				if w == nil || op == "write" && isJournal(name) && rnd.IntN(4) > 0 || rnd.Float64() > keep {
					return nil
				}
				op += " " + name
				killed = append(killed, crashImage{op, m.image(false), w.Stats().Flows})
				cut = append(cut, crashImage{op, m.image(true), 0})
				return nil
			}
			var end func() error
			w, end = memRun(t, m, cfg)
			memWrite(t, w, 1, 250, c.rows, testSlot, c.step)
			if err := end(); err != nil {
				t.Fatal(err)
			}
			total := uint64(250 * c.rows)
			m.mu.Lock()
			m.before = nil
			killed = append(killed, crashImage{"the end", m.image(false), total})
			cut = append(cut, crashImage{"the end", m.image(true), total})
			m.mu.Unlock()

			for _, k := range killed {
				before, err := idsIn(lay(t, k.files))
				if err != nil {
					t.Fatalf("killed at %s: %v", k.op, err)
				}
				after, err := idsIn(lay(t, recovered(t, maps.Clone(k.files), cfg)))
				if err != nil {
					t.Fatalf("killed at %s, recovered: %v", k.op, err)
				}
				if err := wantFirst(after, k.journaled); err != nil {
					t.Fatalf("killed at %s: %v", k.op, err)
				}
				if !maps.Equal(before, after) {
					t.Fatalf("killed at %s: %d flows could be read, %d after recovery", k.op, len(before), len(after))
				}
			}
			var durable map[uint64]bool
			for _, k := range cut {
				ids, err := idsIn(lay(t, recovered(t, k.files, cfg)))
				if err != nil {
					t.Fatalf("power lost at %s: %v", k.op, err)
				}
				for id := range durable {
					if !ids[id] {
						t.Fatalf("power lost at %s: flow %d was durable before", k.op, id)
					}
				}
				durable = ids
			}
			if uint64(len(durable)) != total {
				t.Errorf("%d flows are durable at the end, want %d", len(durable), total)
			}
			if st := w.Stats(); c.name == "parts" && st.Files < 4 {
				t.Errorf("only %d files", st.Files)
			}
			t.Logf("%d crashes of each kind, %d operations, %d files", len(killed), m.ops, w.Stats().Files)
		})
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
			w, end := memRun(t, m, cfg)
			memWrite(t, w, 1, 200, 40, testSlot, time.Second)
			m.mu.Lock()
			failing = false
			m.mu.Unlock()
			for w.Stats().Failing != "" || w.Stats().Queued > 0 {
				time.Sleep(time.Millisecond)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			st := w.Stats()
			if st.Flows != 8000 || st.Stored != 8000 || st.Lost.Total() != 0 {
				t.Errorf("%+v", st)
			}
			t.Log(failed, st.Failures, "failures,", len(m.entries), "files")
			ids, err := idsIn(lay(t, m.image(false)))
			if err != nil {
				t.Fatal(err)
			}
			if err := wantFirst(ids, 8000); err != nil {
				t.Error(err)
			}
			ids, err = idsIn(lay(t, m.image(true)))
			if err != nil {
				t.Fatal(err)
			}
			if err := wantFirst(ids, 8000); err != nil {
				t.Errorf("power lost afterwards: %v", err)
			}
		})
	}
}
