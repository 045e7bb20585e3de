package query

// blockRows is how many rows are turned to keys at once.
const blockRows = 1024

// stagedWords is how large the buffer for a partition grows before it goes to the table, in words.
const stagedWords = 4096

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
		p := partitionOf(hash)
		s := append(w.staged[p], hash)
		s = append(s, key...)
		if err := w.stage(p, append(s, sums...)); err != nil {
			return err
		}
	}
	return nil
}

// put sets a part of a key to value number i of its column.
func (p *part) put(key []uint64, k *keyColumn, i int) {
	if p.wide {
		key[p.word], key[p.word+1] = k.hi[i], k.lo[i]
	} else {
		key[p.word] |= k.lo[i] << p.shift
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
			p := partitionOf(hash)
			s := append(w.staged[p], hash)
			for word := range l.keys {
				s = append(s, block[word*blockRows+i])
			}
			s = append(s, 1)
			for _, values := range columns {
				s = append(s, values[i])
			}
			if err := w.stage(p, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// putRows sets a part of the keys of n rows.
func (p *part) putRows(block []uint64, k *keyColumn, from, n int) {
	words := block[p.word*blockRows:][:n]
	switch {
	case p.wide && k.codes != nil:
		second := block[(p.word+1)*blockRows:][:n]
		for i, code := range k.codes[from : from+n] {
			words[i], second[i] = k.hi[code], k.lo[code]
		}
	case p.wide:
		copy(words, k.hi[from:])
		copy(block[(p.word+1)*blockRows:][:n], k.lo[from:])
	case k.codes != nil:
		for i, code := range k.codes[from : from+n] {
			words[i] |= k.lo[code] << p.shift
		}
	default:
		for i, v := range k.lo[from : from+n] {
			words[i] |= v << p.shift
		}
	}
}

// stage keeps the entries for partition p, and sends them to its table when there are many.
func (w *worker) stage(p int, entries []uint64) error {
	w.staged[p] = entries
	if len(entries) < stagedWords {
		return nil
	}
	return w.send(p)
}

// send merges what is staged for partition p into its table.
func (w *worker) send(p int) error {
	t := &w.tables[p]
	t.mu.Lock()
	added := t.add(w.layout, w.staged[p])
	t.mu.Unlock()
	w.staged[p] = w.staged[p][:0]
	if n := w.groups.Add(int64(added)); w.MaxGroups > 0 && n > int64(w.MaxGroups) {
		return ErrTooManyGroups
	}
	return nil
}

// flush sends all that is staged.
func (w *worker) flush() error {
	for p := range w.staged {
		if len(w.staged[p]) > 0 {
			if err := w.send(p); err != nil {
				return err
			}
		}
	}
	return nil
}
