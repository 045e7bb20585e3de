package storage

import (
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// TestAppendsComeAsOftenAsFootersAllow: after MaxInterval, or later while one more footer is more than the file bears.
func TestAppendsComeAsOftenAsFootersAllow(t *testing.T) {
	cfg := memConfig(1000)
	cfg.MaxInterval = time.Minute
	m := newMemFolder()
	h, err := createHot(m, ".", fileName{slot: testSlot, kind: kindOpen})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		rows   int
		age    time.Duration
		footer int64
		retry  time.Duration
		want   bool
	}{
		{"nothing to append", 0, time.Hour, 0, 0, false},
		{"full row group", 1000, 0, 1 << 20, 0, true},
		{"full row group after a failure", 1000, 0, 0, time.Second, false},
		{"young", 999, time.Minute - 1, 0, 0, false},
		{"old enough", 1, time.Minute, deadFloor / 2, 0, true},
		{"too dear", 1, time.Minute, deadFloor + 1, 0, false},
		{"dear, but waited for long", 1, patience * time.Minute, deadFloor + 1, 0, true},
	} {
		now := time.Now()
		s := &slot{hot: h, rows: c.rows, retry: now.Add(c.retry)}
		if c.rows > 0 {
			s.spans = []span{{rows: c.rows, born: now.Add(-c.age)}}
		}
		h.footer = c.footer
		if got := s.due(&cfg, now); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

// TestMemoryOfWaitingFlowsIsBounded: what is beyond the bound stays in the journal and is read from there.
func TestMemoryOfWaitingFlowsIsBounded(t *testing.T) {
	cfg := memConfig(1000)
	mem := newMemory(&cfg)
	mem.max = 3 * BatchRows
	m := newMemFolder()
	journal, err := createJournal(m, "journal", 1)
	if err != nil {
		t.Fatal(err)
	}
	s := &slot{journal: journal, lo: netflow.TimestampOf(testSlot)}
	id := uint64(0)
	for range 100 {
		b := netflow.NewBatch(BatchRows)
		for n := b.Extend(int(1000+id%7000), netflow.SetOf(netflow.Bytes)); n < b.Len(); n++ {
			id++
			b.Bytes[n] = id
		}
		if _, err := s.add(mem, b, 0, b.Len(), true); err != nil {
			t.Fatal(err)
		}
		if mem.held > mem.max {
			t.Fatalf("%d rows are held, bound %d", mem.held, mem.max)
		}
	}
	if s.rows != int(id) {
		t.Errorf("%d rows wait, want %d", s.rows, id)
	}
	want := uint64(0)
	for len(s.spans) > 0 {
		j := &job{slot: s, spans: s.take(20000)}
		batches, err := j.batches()
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			for _, got := range b.Bytes[:b.Len()] {
				if want++; got != want {
					t.Fatalf("flow %d in the place of %d", got, want)
				}
			}
		}
		s.taken(mem)
	}
	if want != id || mem.held != 0 || s.rows != 0 {
		t.Errorf("%d flows came back of %d; %d rows are still held, %d wait", want, id, mem.held, s.rows)
	}
}
