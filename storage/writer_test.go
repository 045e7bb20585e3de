package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/storage/storagetest"
)

func TestFolderHasOneWriter(t *testing.T) {
	dir := t.TempDir()
	w := run(t, config(dir))
	if _, err := storage.NewWriter(config(dir)); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second writer: %v", err)
	}
	w.close()
	second, err := storage.NewWriter(config(dir)) // the lock file alone is no obstacle
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := storage.NewWriter(storage.Config{Rotate: 7 * time.Minute, Nesting: 4, RowGroup: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"folder", "rotation of 7m", "nesting of 4", "row group of -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if _, err := storage.NewWriter(storage.Config{Dir: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}

func TestRestartInsideASlotAddsAPart(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Nesting = 0
	next := uint64(1)
	for i := range 3 {
		w := run(t, cfg)
		w.next = next
		w.write(500, slot0.Add(time.Minute))
		for w.Stats().Flows < 500 {
			time.Sleep(time.Millisecond)
		}
		next += 500
		for _, when := range []string{"open", "finished"} {
			if when == "finished" {
				w.close()
			}
			flows, err := readFlows([]string{dir}, storage.Range{})
			if err == nil {
				err = checkOnce(flows, 500*(i+1))
			}
			if err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	want := "[flows.2026-11-21.160000Z.0001.parquet flows.2026-11-21.160000Z.0002.parquet flows.2026-11-21.160000Z.parquet]"
	if got := fmt.Sprint(files(t, dir)); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

func TestManyRowGroupsMakeParts(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.RowGroup = 10
	cfg.Nesting = 0
	w := run(t, cfg)
	for i := range 160 {
		w.write(20, slot0.Add(time.Duration(i)*time.Second))
		for w.Stats().Stored < uint64(i+1)*20 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if st := w.Stats(); st.Appends < 150 || st.Files != 1 {
		t.Errorf("%+v", st)
	}
	w.close()
	if got, want := fmt.Sprint(files(t, dir)), "[flows.2026-11-21.160000Z.0001.parquet flows.2026-11-21.160000Z.parquet]"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	flows, err := readFlows([]string{dir}, storage.Range{})
	if err == nil {
		err = checkOnce(flows, 3200)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestTinyRowGroupsAreMergedAtTheEnd also looks at what is in the footer.
func TestTinyRowGroupsAreMergedAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Nesting = 0
	cfg.MaxInterval = time.Millisecond
	cfg.Ledger = func() []byte { return []byte(`{"exporters":[]}`) }
	w := run(t, cfg)
	for i := range 20 {
		w.write(10, slot0)
		for w.Stats().Stored < uint64(i+1)*10 {
			time.Sleep(time.Millisecond)
		}
	}
	st := w.close()
	if st.Appends != 20 {
		t.Errorf("%d appends", st.Appends)
	}
	f, err := os.Open(filepath.Join(dir, "flows.2026-11-21.160000Z.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parquet.Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	if p.NumRowGroups() != 1 || p.Rows() != 200 {
		t.Errorf("%d row groups, %d rows", p.NumRowGroups(), p.Rows())
	}
	if m := p.Meta(); m["caprock.journal_seq"] != "20" || m["caprock.ledger"] != `{"exporters":[]}` {
		t.Errorf("metadata %v", m)
	}
}

// TestLateFlows: two seconds of disorder are put right; a clock that was set back does not open an old slot again.
func TestLateFlows(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Nesting = 0
	w := run(t, cfg)
	hour := slot0.Add(time.Hour)
	w.write(10, hour.Add(-time.Second))
	w.write(10, hour.Add(time.Second))
	w.write(10, hour.Add(-time.Millisecond)) // another socket's batch
	w.write(10, hour.Add(3*time.Second))
	w.write(10, hour.Add(-time.Millisecond)) // too late
	w.write(10, hour.Add(-20*time.Hour))     // the clock was set back
	w.close()
	for name, want := range map[string][]uint64{
		"flows.2026-11-21.160000Z.parquet": {1, 21},
		"flows.2026-11-21.170000Z.parquet": {11, 31, 41, 51},
	} {
		flows, err := readFlows([]string{filepath.Join(dir, name)}, storage.Range{})
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for i, f := range flows {
			if i%10 == 0 {
				got = append(got, f.id)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(flows) != 10*len(want) {
			t.Errorf("%s: tens of flows that begin with %v, want %v", name, got, want)
		}
	}
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("files %v", got)
	}
}

// TestBatchOverSlots has rows of many slots in one batch, and a jump of the clock over a month: no empty files.
func TestBatchOverSlots(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Rotate = time.Minute
	cfg.Nesting = 0
	w := run(t, cfg)
	for id := uint64(1); id <= 20; id++ {
		fill(w.b, id, id+1, slot0.Add(time.Duration(id-1)*15*time.Second))
	}
	fill(w.b, 21, 22, slot0.AddDate(0, 1, 0))
	w.next = 22
	w.write(0, slot0)
	if st := w.close(); st.Files != 6 || st.Stored != 21 {
		t.Errorf("%+v", st)
	}
	if got, want := files(t, dir)[5], "flows.2026-12-21.160000Z.parquet"; got != want {
		t.Errorf("last file %s, want %s", got, want)
	}
	flows, err := readFlows([]string{dir}, storage.Range{})
	if err == nil {
		err = checkOnce(flows, 21)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestSlotEndsByTheClock: a file is finished when its time is over, though no flow comes any more.
func TestSlotEndsByTheClock(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Nesting = 0
	var seconds atomic.Int64
	cfg.Now = func() time.Time { return slot0.Add(time.Duration(seconds.Load()) * time.Second) }
	w := run(t, cfg)
	w.write(10, slot0)
	w.settle()
	seconds.Store(3601)
	time.Sleep(50 * time.Millisecond)
	if got := files(t, dir); len(got) != 1 || !strings.HasPrefix(got[0], "tmp-") {
		t.Errorf("a second after its end: %v", got)
	}
	seconds.Store(3602)
	for w.Stats().Files == 0 {
		time.Sleep(time.Millisecond)
	}
	w.write(10, slot0.Add(2*time.Hour))
	w.close()
	if got, want := fmt.Sprint(files(t, dir)), "[flows.2026-11-21.160000Z.parquet flows.2026-11-21.180000Z.parquet]"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

// TestQueueIsBounded: without Run nothing is taken off the queue, as with a disk that hangs.
func TestQueueIsBounded(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Queue = 3
	w, err := storage.NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := w.Batch()
	for i := range uint64(5) {
		b.Reset()
		fill(b, i+1, i+2, slot0)
		next, err := w.Write(b)
		if i < 3 && (err != nil || next == b || next.Len() != 0) {
			t.Errorf("batch %d: %v", i, err)
		}
		if i >= 3 && (!errors.Is(err, storage.ErrFull) || next != b || b.Len() != 1) {
			t.Errorf("batch %d: %v, want ErrFull and the batch back", i, err)
		}
		b = next
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.WriteWait(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting write: %v", err)
	}
	if st := w.Stats(); st.Refused != 2 || st.Queued != 3 {
		t.Errorf("%+v", st)
	}
	// What was accepted is stored even when the end comes first.
	done, end := context.WithCancel(context.Background())
	end()
	if err := w.Run(done); err != nil {
		t.Fatal(err)
	}
	if st := w.Stats(); st.Stored != 3 {
		t.Errorf("%+v", st)
	}
	if _, err := w.Write(b); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestManyProducers hand over full, small and large batches at once.
func TestManyProducers(t *testing.T) {
	dir := t.TempDir()
	w := run(t, config(dir))
	done := make(chan error)
	var last atomic.Uint64
	for p := range 4 {
		go func() {
			b := w.Batch()
			if p == 3 {
				b = netflow.NewBatch(20000) // more than a frame
			}
			var err error
			for range 20 {
				n := uint64([]int{1, 100, b.Cap(), b.Cap() - 7}[p])
				to := last.Add(n)
				fill(b, to-n+1, to+1, slot0)
				if b, err = w.WriteWait(context.Background(), b); err != nil {
					break
				}
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if st := w.close(); st.Stored != last.Load() {
		t.Errorf("%+v, want %d flows", st, last.Load())
	}
	flows, err := readFlows([]string{dir}, storage.Range{})
	if err == nil {
		err = checkOnce(flows, int(last.Load()))
	}
	if err != nil {
		t.Error(err)
	}
}

// BenchmarkWriter stores realistic flows. Its first figure is what goes into the journal as long as that absorbs, the
// second what goes through to finished Parquet.
func BenchmarkWriter(b *testing.B) {
	cfg := storage.DefaultConfig()
	cfg.Dir = b.TempDir()
	w := run(b, cfg)
	src := storagetest.Generate(1, 500_000)
	flows := 0
	begin := time.Now()
	for b.Loop() {
		next := src[flows/storage.BatchRows%len(src)]
		w.b.AppendRows(next, 0, next.Len())
		flows += w.b.Len()
		next, err := w.WriteWait(context.Background(), w.b)
		if err != nil {
			b.Fatal(err)
		}
		w.b = next
	}
	b.ReportMetric(float64(flows)/time.Since(begin).Seconds(), "flows/s-journal")
	st := w.close()
	b.ReportMetric(float64(flows)/time.Since(begin).Seconds(), "flows/s-parquet")
	b.ReportMetric(float64(st.Journal)/float64(flows), "B/flow-journal")
	b.ReportMetric(float64(st.Parquet)/float64(flows), "B/flow-parquet")
}
