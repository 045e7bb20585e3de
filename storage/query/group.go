package query

import (
	"sync"

	"golang.org/x/sync/errgroup"
)

// blockRows is how many rows are turned to keys at once.
const blockRows = 1024

// cellCount returns how many combinations of codes there are, or 0 if some part of the key has no codes or if there
// are more combinations than rows, so that summing by combination does not pay.
func (w *worker) cellCount() int {
	n := 1
	for i := range w.keys {
		if w.keys[i].codes == nil {
			return 0
		}
		if n *= max(1, w.keys[i].values()); n > max(w.selection.n, blockRows) {
			return 0
		}
	}
	return n
}

// addCells sums the selected rows by their combined code, in an array, and sends each combination that occurs to the
// tables once.
func (w *worker) addCells(n int) error {
	l := w.layout
	stride := l.sums + l.times
	cells := resize(&w.cells, n*stride)
	clear(cells)
	cell := w.keys[0].codes
	if len(w.keys) > 1 {
		cell = resize(&w.cell, w.selection.n)
		copy(cell, w.keys[0].codes)
		for i := 1; i < len(w.keys); i++ {
			size := uint32(w.keys[i].values())
			for row, code := range w.keys[i].codes {
				cell[row] = cell[row]*size + code
			}
		}
	}
	w.sumCells(cell, cells, stride)

	key := make([]uint64, l.keys)
	for c := range n {
		sums := cells[c*stride : (c+1)*stride]
		if sums[0] == 0 {
			continue
		}
		clear(key)
		for i, rest := len(w.keys)-1, c; i >= 0; i-- {
			k := &w.keys[i]
			code := rest % k.values()
			rest /= k.values()
			w.parts[i].put(key, k, code)
		}
		hash := hashKey(key)
		e, err := w.stage(hash)
		if err != nil {
			return err
		}
		copy(e, key)
		copy(e[len(key):], sums)
	}
	return nil
}

// put sets a part of a key to value number i of its column.
func (p *part) put(key []uint64, k *keyColumn, i int) {
	if p.wide {
		key[p.word], key[p.word+1] = k.addrs[i].hi, k.addrs[i].lo
	} else {
		key[p.word] |= k.nums[i] << p.shift
	}
}

// sumCells adds each row to its cell.
func (w *worker) sumCells(cell []uint32, cells []uint64, stride int) {
	full := uint64(0)
	if w.layout.counts == CountPackets|CountBytes { // the usual question
		packets, bytes := w.counts[0][:len(cell)], w.counts[1][:len(cell)]
		for i, c := range cell {
			sums := cells[int(c)*3 : int(c)*3+3 : int(c)*3+3]
			sums[0]++
			sums[1] = addSaturating(sums[1], packets[i], &full)
			sums[2] = addSaturating(sums[2], bytes[i], &full)
		}
		w.full |= full
		return
	}
	for _, c := range cell {
		cells[int(c)*stride]++
	}
	at := 1
	for bit := range w.counts {
		if w.layout.counts>>bit&1 == 0 {
			continue
		}
		values := w.counts[bit][:len(cell)]
		for i, c := range cell {
			sum := &cells[int(c)*stride+at]
			switch CounterSet(1 << bit) {
			case CountFirst:
				*sum = earliest(*sum, values[i])
			case CountLast:
				*sum = latest(*sum, values[i])
			default:
				*sum = addSaturating(*sum, values[i], &full)
			}
		}
		at++
	}
	w.full |= full
}

// addRows sends each selected row to the tables.
func (w *worker) addRows() error {
	l := w.layout
	block := resize(&w.block, l.keys*blockRows)
	hashes := resize(&w.hashes, blockRows)
	var counts [len(counterColumns)][]uint64
	for from := 0; from < w.selection.n; from += blockRows {
		n := min(blockRows, w.selection.n-from)
		clear(block)
		for i := range w.keys {
			w.parts[i].putRows(block, &w.keys[i], from, n)
		}
		for i := range n {
			hashes[i] = hashSeeds[len(hashSeeds)-1]
		}
		for word := range l.keys {
			seed := hashSeeds[word]
			for i, v := range block[word*blockRows:][:n] {
				hashes[i] = mix(hashes[i], v, seed)
			}
		}
		columns := counts[:0]
		for bit := range w.counts {
			if l.counts>>bit&1 != 0 {
				columns = append(columns, w.counts[bit][from:from+n])
			}
		}
		for i, hash := range hashes[:n] {
			e, err := w.stage(hash)
			if err != nil {
				return err
			}
			for word := range e[:l.keys] {
				e[word] = block[word*blockRows+i]
			}
			e = e[l.keys:]
			e[0] = 1
			e = e[1:]
			for at, values := range columns {
				e[at] = values[i]
			}
		}
	}
	return nil
}

// putRows sets a part of the keys of n rows.
func (p *part) putRows(block []uint64, k *keyColumn, from, n int) {
	words := block[p.word*blockRows:][:n]
	switch {
	case p.wide:
		second := block[(p.word+1)*blockRows:][:n]
		if k.codes == nil {
			for i, a := range k.addrs[from : from+n] {
				words[i], second[i] = a.hi, a.lo
			}
			return
		}
		for i, code := range k.codes[from : from+n] {
			a := k.addrs[code]
			words[i], second[i] = a.hi, a.lo
		}
	case k.codes != nil:
		for i, code := range k.codes[from : from+n] {
			words[i] |= k.nums[code] << p.shift
		}
	default:
		for i, v := range k.nums[from : from+n] {
			words[i] |= v << p.shift
		}
	}
}

// stage returns room for an entry on its way to the table of its hash, to be filled at once.
func (w *worker) stage(hash uint64) ([]uint64, error) {
	p := partitionOf(hash)
	s := w.staged[p]
	n, width := len(s), 1+w.layout.width()
	if n+width > cap(s) {
		if n > 0 {
			if err := w.send(p, s); err != nil {
				return nil, err
			}
		}
		s, n = w.blocks.take(), 0
	}
	s = s[:n+width]
	w.staged[p] = s
	s[n] = hash
	return s[n+1:], nil
}

// flush sends all that is staged.
func (w *worker) flush() error {
	for p, s := range w.staged {
		if len(s) > 0 {
			if err := w.send(p, s); err != nil {
				return err
			}
		}
		w.staged[p] = nil
	}
	return nil
}

// send hands a block of entries to partition p, and merges what waits there when it is worth the way: a table that
// does not fit the cache is walked for many entries at a time. What waits is at most half as large as the groups, or 64 MB.
func (a *aggregation) send(p int, block []uint64) error {
	t := &a.tables[p]
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, block)
	if len(t.waiting) < max(waitingBlocks, t.n*a.layout.width()/(2*blockWords)) {
		return nil
	}
	return a.drain(t)
}

// drain merges what waits into the table, whose lock is held.
func (a *aggregation) drain(t *table) error {
	added := 0
	for i, block := range t.waiting {
		added += t.add(a.layout, block)
		a.blocks.give(block)
		t.waiting[i] = nil
	}
	t.waiting = t.waiting[:0]
	if n := a.groups.Add(int64(added)); a.MaxGroups > 0 && n > int64(a.MaxGroups) {
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

// blockWords is the length of the blocks in which entries travel from workers to tables. A worker has one for each
// partition at hand; together they should fit its processor's cache.
const blockWords = 512

// waitingBlocks is how many blocks may wait for any table, however small. Merging all at the end took a quarter less time
// than 8 blocks at a time, at a price in memory.
const waitingBlocks = 64

// blockPool keeps blocks for reuse.
type blockPool struct {
	mu   sync.Mutex
	free [][]uint64
}

func (p *blockPool) take() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b[:0]
	}
	return make([]uint64, 0, blockWords)
}

func (p *blockPool) give(b []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, b)
}
