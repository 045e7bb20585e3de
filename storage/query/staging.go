package query

import (
	"sync"

	"golang.org/x/sync/errgroup"
)

// blockWords is the length of the blocks in which entries travel from workers to tables. A worker fills one for each
// partition; together they should fit its processor's cache.
const blockWords = 512

// block is entries on their way to a table.
type block struct {
	layout
	single bool // each is of one flow, and leaves the number of flows out
	words  []uint64
}

// width returns the words of an entry.
func (b block) width() int {
	if b.single {
		return b.layout.width() - 1
	}
	return b.layout.width()
}

// staging is the blocks that a worker fills, side by side.
type staging struct {
	block                   // with blockWords for each partition
	fill  [partitions]int32 // words in each
}

// startStaging makes the entries to come like those of b.
func (w *worker) startStaging(b block) error {
	s := &w.staging
	if s.layout == b.layout && s.single == b.single {
		return nil
	}
	err := w.flush()
	s.layout, s.single = b.layout, b.single
	resize(&s.words, partitions*blockWords)
	return err
}

// stage returns the place in the staged words for one more entry of partition p, or a negative number if its block must be
// sent first.
func (s *staging) stage(p, width int) int {
	at := int(s.fill[p])
	if at+width > blockWords {
		return -1
	}
	s.fill[p] = int32(at + width)
	return p*blockWords + at
}

// flush sends all that is staged.
func (w *worker) flush() error {
	for p := range partitions {
		if err := w.send(p); err != nil {
			return err
		}
	}
	return nil
}

// send hands what is staged for partition p to its table, and merges what waits there when it is worth the way: a table
// that does not fit the cache is walked for many entries at a time. What waits is at most half as large as the groups, or
// 64 MB.
func (w *worker) send(p int) error {
	s := &w.staging
	n := int(s.fill[p])
	if n == 0 {
		return nil
	}
	s.fill[p] = 0
	b := s.block
	b.words = append(w.blocks.take(), s.words[p*blockWords:][:n]...)
	t := &w.tables[p]
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, b)
	if len(t.waiting) < max(waitingBlocks, t.n*w.layout.width()/(2*blockWords)) {
		return nil
	}
	return w.drain(t)
}

// drain merges what waits into the table, whose lock is held.
func (a *aggregation) drain(t *table) error {
	added := 0
	for i, b := range t.waiting {
		added += t.add(a.layout, b)
		a.blocks.give(b.words)
		t.waiting[i] = block{}
	}
	t.waiting = t.waiting[:0]
	return a.addGroups(added)
}

// addGroups counts new groups.
func (a *aggregation) addGroups(n int) error {
	if n := a.groups.Add(int64(n)); a.MaxGroups > 0 && n > int64(a.MaxGroups) {
		return ErrTooManyGroups
	}
	return nil
}

// drainAll merges what waits in all tables, n at a time.
func (a *aggregation) drainAll(n int) error {
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			for p := i; p < partitions; p += n {
				if err := a.drain(&a.tables[p]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// waitingBlocks is how many blocks may wait for any table, however small. Merging all at the end took a quarter less time
// than 8 blocks at a time, at a price in memory.
const waitingBlocks = 64

// blockPool keeps blocks for reuse.
type blockPool struct {
	mu   sync.Mutex
	free [][]uint64
}

// poolBlocks is how many blocks are allocated at once.
const poolBlocks = 64

// take returns an empty block.
func (p *blockPool) take() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		words := make([]uint64, poolBlocks*blockWords)
		for ; len(words) > 0; words = words[blockWords:] {
			p.free = append(p.free, words[:0:blockWords])
		}
	}
	last := len(p.free) - 1
	b := p.free[last]
	p.free = p.free[:last]
	return b
}

func (p *blockPool) give(b []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, b[:0])
}
