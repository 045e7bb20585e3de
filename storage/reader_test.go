package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage"
	"github.com/caprock-net/caprock/storage/stream"
)

// TestReadersSeeEachFlowOnceWhileTheWriterWorks reads all the time, through appends, parts, rotations and rewrites: the
// folder, and the open slot by the names that a shell would have expanded a moment ago.
func TestReadersSeeEachFlowOnceWhileTheWriterWorks(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Rotate = time.Minute
	cfg.RowGroup = 100
	cfg.Nesting = 1
	w := run(t, cfg)
	var stop atomic.Bool
	var reads atomic.Int64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				before := w.Stats().Flows
				flows, err := readFlows([]string{dir}, storage.Range{})
				if err == nil {
					err = checkOnce(flows, -1)
				}
				if err == nil && uint64(len(flows)) < before {
					err = fmt.Errorf("%d flows when %d were in the journal", len(flows), before)
				}
				if err != nil {
					t.Error(err)
					return
				}
				reads.Add(1)
				time.Sleep(time.Millisecond) // two busy readers would leave the writer no processor
			}
		})
	}
	readers.Go(func() {
		for !stop.Load() {
			names, err := filepath.Glob(filepath.Join(dir, "*", "*flows.*"))
			if err != nil {
				t.Error(err)
			}
			if len(names) == 0 {
				continue
			}
			flows, err := readFlows(names, storage.Range{})
			if errors.Is(err, fs.ErrNotExist) {
				continue // a slot was finished since: its open name means nothing any more
			}
			seen := map[uint64]bool{}
			for _, f := range flows {
				if seen[f.id] {
					err = fmt.Errorf("flow %d is there twice", f.id)
				}
				seen[f.id] = true
			}
			if err != nil {
				t.Errorf("%v: %v", names, err)
				return
			}
			reads.Add(1)
			time.Sleep(time.Millisecond)
		}
	})
	at := slot0
	end := time.Now().Add(2 * time.Second)
	if testing.Short() {
		end = time.Now().Add(time.Second / 2)
	}
	for time.Now().Before(end) {
		w.write(40, at)
		at = at.Add(2 * time.Second)
		time.Sleep(200 * time.Microsecond)
	}
	st := w.close()
	stop.Store(true)
	readers.Wait()
	flows, err := readFlows([]string{dir}, storage.Range{})
	if err == nil {
		err = checkOnce(flows, int(w.next-1))
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d reads, %d appends, %d files, %d flows", reads.Load(), st.Appends, st.Files, st.Flows)
}

func TestOpenSlotIsReadWithItsJournal(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Nesting = 0
	w := run(t, cfg)
	w.write(1500, slot0)
	for w.Stats().Stored == 0 {
		time.Sleep(time.Millisecond)
	}
	w.write(100, slot0)
	w.settle()
	parquet, journal := filepath.Join(dir, "tmp-flows.2026-11-21.160000Z.parquet"), filepath.Join(dir, "tmp-flows.2026-11-21.160000Z.journal")
	for _, paths := range [][]string{{dir}, {parquet}, {parquet, journal}, {journal, parquet, parquet}} {
		flows, err := readFlows(paths, storage.Range{})
		if err == nil {
			err = checkOnce(flows, 1600)
		}
		if err != nil {
			t.Errorf("%v: %v", paths, err)
		}
	}
	w.close()
	// The name of the open file goes on to mean its flows.
	flows, err := readFlows([]string{parquet}, storage.Range{})
	if err == nil {
		err = checkOnce(flows, 1600)
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := readFlows([]string{filepath.Join(dir, "tmp-flows.2026-11-21.170000Z.parquet")}, storage.Range{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a slot that never was: %v", err)
	}
}

func TestRangePassesOverFilesAndRowGroups(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	w := run(t, cfg)
	for i := range 72 {
		w.write(1000, slot0.Add(time.Duration(i)*10*time.Minute)) // a row group each, more or less
		w.settle()
		for w.Stats().Stored < uint64(i+1)*1000 {
			time.Sleep(time.Millisecond / 4)
		}
	}
	defer w.close()
	for _, c := range []struct {
		from, to    time.Duration
		first, last uint64 // flows that must be there
		most        int    // rows that may be read
	}{
		{0, 0, 1, 72000, 72000},
		{0, 10 * time.Minute, 1, 1000, 1000},
		{70 * time.Minute, 80 * time.Minute, 7001, 8000, 1000},
		{11 * time.Hour, 0, 66001, 72000, 6000},
		{-48 * time.Hour, -24 * time.Hour, 1, 0, 0},
	} {
		r := storage.Range{From: slot0.Add(c.from), To: slot0.Add(c.to)}
		if c.to == 0 {
			r.To = time.Time{}
		}
		if c.from == 0 {
			r.From = time.Time{}
		}
		flows, err := readFlows([]string{dir}, r)
		if err != nil {
			t.Fatal(err)
		}
		in := 0
		for _, f := range flows {
			if f.id >= c.first && f.id <= c.last {
				in++
			}
		}
		if in != int(c.last-c.first+1) || len(flows) > c.most {
			t.Errorf("from %v to %v: %d flows read, %d of %d wanted among them", c.from, c.to, len(flows), in, c.last-c.first+1)
		}
	}
}

func TestFlowStreamsAreRead(t *testing.T) {
	b := netflow.NewBatch(100)
	fill(b, 1, 51, slot0)
	var buf bytes.Buffer
	out := stream.NewWriter(&buf)
	for range 2 {
		if err := out.Write(b); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		fill(b, 51, 101, slot0.Add(time.Hour))
	}
	name := filepath.Join(t.TempDir(), "some.flows")
	if err := os.WriteFile(name, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := storage.OpenSnapshot([]string{name}, storage.Range{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a file, unlike a pipe, can be read again
		flows, err := flowsOf(s)
		if err == nil {
			err = checkOnce(flows, 100)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	// Damage is never silent, and costs nothing but what it hit.
	torn := filepath.Join(t.TempDir(), "torn.flows")
	if err := os.WriteFile(torn, buf.Bytes()[:buf.Len()-1], 0o644); err != nil {
		t.Fatal(err)
	}
	s, err = storage.OpenSnapshot([]string{torn, name}, storage.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, errs := countRows(s)
	if rows != 150 || len(errs) != 1 || !errors.Is(errs[0], stream.ErrTorn) || !strings.Contains(errs[0].Error(), torn) {
		t.Errorf("%d rows and %v", rows, errs)
	}
}

// TestFewFilesAreOpenAtATime: a folder has 8,760 files a year, and a shell's * may name as many.
func TestFewFilesAreOpenAtATime(t *testing.T) {
	const each, most = 300, 20
	descriptors := func() int {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skip("no list of open files: ", err)
		}
		return len(entries)
	}
	dir, streams := t.TempDir(), t.TempDir()
	cfg := config(dir)
	cfg.Nesting = 0
	w := run(t, cfg)
	w.write(10, slot0)
	w.close()
	first := filepath.Join(dir, "flows.2026-11-21.160000Z.parquet")
	data := stream.AppendHeader(nil)
	b := netflow.NewBatch(10)
	fill(b, 1, 11, slot0)
	data = stream.AppendFrame(data, 1, b)
	paths := []string{dir}
	for i := 1; i <= each; i++ {
		slot := slot0.Add(time.Duration(i) * time.Hour).Format("2006-01-02.150405Z")
		if err := os.Link(first, filepath.Join(dir, "flows."+slot+".parquet")); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(streams, fmt.Sprint(i))
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	before := descriptors()
	s, err := storage.OpenSnapshot(paths, storage.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := descriptors() - before; n > most {
		t.Errorf("%d files are open before anything is read", n)
	}
	rows, open := 0, 0
	for c, err := range s.Chunks() {
		if err != nil {
			t.Fatal(err)
		}
		rows += c.Rows()
		open = max(open, descriptors()-before)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if rows != (2*each+1)*10 || open > most {
		t.Errorf("%d flows with up to %d open files, want %d and %d", rows, open, (2*each+1)*10, most)
	}
}

func TestDamagedFileIsNamedAndOthersAreRead(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Nesting = 0
	w := run(t, cfg)
	for i := range 3 {
		w.write(100, slot0.Add(time.Duration(i)*time.Hour))
	}
	w.close()
	damaged := filepath.Join(dir, "flows.2026-11-21.170000Z.parquet")
	data, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"cut", data[:len(data)-3]},
		{"empty", nil},
		{"something else", []byte(strings.Repeat("PAR2", 1000))},
	} {
		if err := os.WriteFile(damaged, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := storage.OpenSnapshot([]string{dir}, storage.Range{})
		if err != nil {
			t.Fatal(err)
		}
		rows, errs := countRows(s)
		if rows != 200 || len(errs) != 1 || !strings.Contains(errs[0].Error(), damaged) {
			t.Errorf("%s: %d rows and %v", c.name, rows, errs)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	w := run(t, cfg)
	w.write(100, slot0)
	w.write(200, slot0.Add(time.Hour))
	w.write(300, slot0.Add(time.Hour+time.Minute))
	w.settle()
	for w.Stats().Files == 0 {
		time.Sleep(time.Millisecond)
	}
	// Neither of these is a file of a slot.
	for _, name := range []string{"flows.parquet", "flows.2026-11-21.250000Z.parquet", "tmp-flows.2026-11-21.160000Z.parquet.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := storage.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range list {
		rows, err := f.Rows()
		if err != nil {
			t.Error(err)
		}
		size, err := f.Size()
		if err != nil || size == 0 {
			t.Errorf("%s: size %d, %v", f.Path, size, err)
		}
		got = append(got, fmt.Sprintf("%s %d %v %d", f.Slot.Format("15:04"), f.Part, f.State, rows))
	}
	if want := "[16:00 0 finished 100 17:00 0 journal 500]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	w.close()
}

// countRows reads all that can be read.
func countRows(s *storage.Snapshot) (rows int, errs []error) {
	for c, err := range s.Chunks() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows += c.Rows()
		c.Close()
	}
	return rows, errs
}
