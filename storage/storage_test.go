package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage"
	"github.com/caprock-net/caprock/storage/column"
)

var slot0 = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)

// fill puts flows with the numbers from <= id < to into b, all received at the same time. The number is in bytes.
func fill(b *netflow.Batch, from, to uint64, received time.Time) {
	at := b.Extend(int(to-from), netflow.SetOf(netflow.Bytes, netflow.Packets, netflow.Received, netflow.SrcAddr, netflow.IPVersion))
	for id := from; id < to; id++ {
		i := at + int(id-from)
		b.Bytes[i], b.Packets[i] = id, 1
		b.Received[i] = netflow.TimestampOf(received)
		b.SrcAddr[i] = netflow.AddrFrom4([4]byte{10, 0, byte(id >> 8), byte(id)})
		b.IPVersion[i] = 4
	}
}

// flow is what a test wants back.
type flow struct {
	id       uint64
	received netflow.Timestamp
}

// readFlows returns the flows of paths in the order in which they are read.
func readFlows(paths []string, r storage.Range) ([]flow, error) {
	s, err := storage.OpenSnapshot(paths, r)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return flowsOf(s)
}

func flowsOf(s *storage.Snapshot) ([]flow, error) {
	var flows []flow
	var ids, times column.Vector
	for c, err := range s.Chunks() {
		if err != nil {
			return nil, err
		}
		if err := c.Read(netflow.Bytes, &ids); err != nil {
			return nil, err
		}
		if err := c.Read(netflow.Received, &times); err != nil {
			return nil, err
		}
		for i := range c.Rows() {
			flows = append(flows, flow{value(&ids, i), netflow.Timestamp(value(&times, i))})
		}
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return flows, nil
}

func value(v *column.Vector, i int) uint64 {
	if v.Coded {
		return v.Num[v.Codes[i]]
	}
	return v.Num[i]
}

// checkOnce wants the flows to be those with the numbers 1 to n, each once. n < 0: whatever the largest is.
func checkOnce(flows []flow, n int) error {
	seen := make([]bool, len(flows)+1)
	for _, f := range flows {
		if f.id == 0 || f.id > uint64(len(flows)) {
			return fmt.Errorf("flow %d among %d: others are missing", f.id, len(flows))
		}
		if seen[f.id] {
			return fmt.Errorf("flow %d is there twice (of %d)", f.id, len(flows))
		}
		seen[f.id] = true
	}
	if n >= 0 && len(flows) != n {
		return fmt.Errorf("%d flows, want %d", len(flows), n)
	}
	return nil
}

// running is a Writer that runs.
type running struct {
	*storage.Writer
	t    testing.TB
	end  context.CancelFunc
	done chan error
	b    *netflow.Batch
	next uint64 // number of the next flow
}

func run(t testing.TB, cfg storage.Config) *running {
	t.Helper()
	w, err := storage.NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	r := &running{Writer: w, t: t, end: end, done: make(chan error, 1), b: w.Batch(), next: 1}
	go func() { r.done <- w.Run(ctx) }()
	return r
}

// write hands over n flows.
func (r *running) write(n int, received time.Time) {
	r.t.Helper()
	fill(r.b, r.next, r.next+uint64(n), received)
	b, err := r.WriteWait(context.Background(), r.b)
	if err != nil {
		r.t.Fatal(err)
	}
	r.b, r.next = b, r.next+uint64(n)
}

// close ends the writer and waits for it.
func (r *running) close() storage.WriterStats {
	r.t.Helper()
	r.end()
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
	return r.Stats()
}

// settle waits until the flows written so far are in the journal.
func (r *running) settle() {
	r.t.Helper()
	for range 2000 {
		s := r.Stats()
		if s.Flows-s.Recovered.Flows == r.next-1 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.t.Fatalf("flows do not reach the journal: %+v", r.Stats())
}

func config(dir string) storage.Config {
	cfg := storage.DefaultConfig()
	cfg.Dir = dir
	cfg.RowGroup = 1000
	cfg.Sync = 20 * time.Millisecond
	cfg.Now = func() time.Time { return slot0 }
	return cfg
}

// files lists all files below dir but the lock.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "caprock.lock" {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestEachFlowLiesInTheFileOfItsSlot(t *testing.T) {
	for nesting, sub := range []string{".", "2026", "2026/2026-11", "2026/2026-11/2026-11-21"} {
		dir := t.TempDir()
		cfg := config(dir)
		cfg.Nesting = nesting
		w := run(t, cfg)
		for i := range 60 {
			w.write(100, slot0.Add(time.Duration(i)*5*time.Minute))
		}
		st := w.close()
		if st.Flows != 6000 || st.Stored != 6000 || st.Pending != 0 || st.Lost.Total() != 0 || st.Failures != 0 || st.Files != 5 {
			t.Errorf("nesting %d: %+v", nesting, st)
		}
		var want []string
		for h := range 5 {
			name := filepath.Join(sub, fmt.Sprintf("flows.2026-11-21.%d0000Z.parquet", 16+h))
			want = append(want, name)
			flows, err := readFlows([]string{filepath.Join(dir, name)}, storage.Range{})
			if err != nil {
				t.Fatal(err)
			}
			if len(flows) != 1200 {
				t.Errorf("%s: %d flows", name, len(flows))
			}
			for _, f := range flows {
				if got := f.received.Time().Truncate(time.Hour); !got.Equal(slot0.Add(time.Duration(h) * time.Hour)) {
					t.Fatalf("%s holds a flow received at %v", name, f.received.Time())
				}
			}
		}
		if got := files(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("files %v, want %v", got, want)
		}
		flows, err := readFlows([]string{dir}, storage.Range{})
		if err != nil {
			t.Fatal(err)
		}
		if err := checkOnce(flows, 6000); err != nil {
			t.Error(err)
		}
		for i := range flows {
			if flows[i].id != uint64(i+1) {
				t.Fatalf("flow %d is read in place %d", flows[i].id, i+1)
			}
		}
	}
}
