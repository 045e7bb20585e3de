package query

import "slices"

// blockRows is how many rows are turned to keys at once.
const blockRows = 1024

// addSelected adds the selected rows to the groups of their keys.
func (w *worker) addSelected() error {
	if w.oneAddr() {
		return w.addAddrs()
	}
	if n := w.cellCount(); n > 0 {
		return w.addCells(n)
	}
	return w.addRows()
}

// cellCount returns how many combinations of codes there are, or 0 if some part of the key has no codes or if there
// are more combinations than rows, so that summing by combination does not pay.
func (w *worker) cellCount() int {
	n := 1
	for i := range w.keys {
		if w.keys[i].codes == nil {
			return 0
		}
		if n *= max(1, len(w.keys[i].nums)); n > max(w.selection.n, blockRows) {
			return 0
		}
	}
	return n
}

// addCells sums the selected rows by their combined code, in an array, and sends each combination that occurs to the
// tables once.
func (w *worker) addCells(n int) error {
	if err := w.startStaging(block{layout: w.counts.layout}); err != nil {
		return err
	}
	stride := w.counts.sums + w.counts.times
	cells := resize(&w.cells, n*stride)
	clear(cells)
	cell := w.keys[0].codes
	if len(w.keys) > 1 {
		cell = resize(&w.cell, w.selection.n)
		copy(cell, w.keys[0].codes)
		for i := 1; i < len(w.keys); i++ {
			size := uint32(len(w.keys[i].nums))
			for row, code := range w.keys[i].codes {
				cell[row] = cell[row]*size + code
			}
		}
	}
	w.sumCells(cell, cells, stride)

	key, width := w.key, w.counts.width()
	for c := range n {
		sums := cells[c*stride : (c+1)*stride]
		if sums[0] == 0 {
			continue
		}
		clear(key)
		for i, rest := len(w.keys)-1, c; i >= 0; i-- {
			nums, p := w.keys[i].nums, &w.parts[i]
			key[p.word] |= nums[rest%len(nums)] << p.shift
			rest /= len(nums)
		}
		p := partitionOf(hashKey(key))
		at := w.staging.stage(p, width)
		if at < 0 {
			if err := w.send(p); err != nil {
				return err
			}
			at = w.staging.stage(p, width)
		}
		entry := w.staging.words[at : at+width]
		copy(entry, key)
		copy(entry[len(key):], sums)
	}
	return nil
}

// oneAddr tells that flows are grouped by one address and nothing else. The address's number then says where its group is:
// tables are those of the addresses' shards.
func (a *aggregation) oneAddr() bool { return len(a.By) == 1 && a.By[0].kind == KindAddr }

// addAddrs sums the selected rows by address and adds the sums to the groups.
func (w *worker) addAddrs() error {
	l, part := w.layout, w.counts.layout
	stride := part.sums + part.times
	k := &w.keys[0]
	codes := k.codes
	if codes == nil { // each row is a cell
		codes = resize(&w.cell, w.selection.n)
		for i := range codes {
			codes[i] = uint32(i)
		}
	}
	cells := resize(&w.cells, len(k.addrs)*stride)
	clear(cells)
	w.sumCells(codes, cells, stride)
	wanted := w.addrList.begin(k.addrs)
	for i := range wanted {
		wanted[i] = uint8(min(cells[i*stride], 1))
	}
	w.addrList.sort()
	positions := l.positions(part)
	to := positions[:stride]
	return w.addrList.visit(&w.addrs, func(shard int, list, places []uint32) error {
		t := &w.tables[shard]
		before := t.n
		for last := int(slices.Max(places)); t.n <= last; {
			entry := t.allocate(l.width())
			entry[0] = addrNumber(shard, t.n-1) << w.parts[0].shift
		}
		for j, i := range list {
			l.merge(t.entry(places[j], l.width())[l.keys:], cells[int(i)*stride:], to, &t.full)
		}
		return w.addGroups(t.n - before)
	})
}

// sumCells adds each row to its cell.
func (w *worker) sumCells(cell []uint32, cells []uint64, stride int) {
	c := &w.counts
	if c.counts == CountPackets|CountBytes && !c.large { // the usual question
		packets, bytes := c.columns[0][:len(cell)], c.columns[1][:len(cell)]
		for i, at := range cell {
			sums := cells[int(at)*3:][:3:3]
			sums[0]++
			sums[1] += packets[i]
			sums[2] += bytes[i]
		}
		return
	}
	for _, at := range cell {
		cells[int(at)*stride]++
	}
	offset := 1
	for bit, values := range c.columns {
		if c.counts>>bit&1 == 0 {
			continue
		}
		values = values[:len(cell)]
		switch CounterSet(1 << bit) {
		case CountFirst:
			for i, at := range cell {
				sum := &cells[int(at)*stride+offset]
				*sum = earliest(*sum, values[i])
			}
		case CountLast:
			for i, at := range cell {
				sum := &cells[int(at)*stride+offset]
				*sum = latest(*sum, values[i])
			}
		default:
			for i, at := range cell {
				sum := &cells[int(at)*stride+offset]
				*sum = addSaturating(*sum, values[i], &w.full)
			}
		}
		offset++
	}
}

// rowBlock is what addRows works on: some rows, column by column.
type rowBlock struct {
	keys   []uint64 // blockRows for each word of the key
	hashes [blockRows]uint64
	places [blockRows]uint32 // in the staged words
}

// addRows sends each selected row to the tables.
func (w *worker) addRows() error {
	if err := w.startStaging(block{layout: w.counts.layout, single: true}); err != nil {
		return err
	}
	r := &w.block
	resize(&r.keys, w.layout.keys*blockRows)
	width := w.staging.width()
	for from := 0; from < w.selection.n; from += blockRows {
		n := min(blockRows, w.selection.n-from)
		w.makeKeys(from, n)
		for done := 0; done < n; {
			// Rows get their places until a block is full; then they are written there.
			i, full := done, -1
			for ; i < n; i++ {
				p := partitionOf(r.hashes[i])
				at := w.staging.stage(p, width)
				if at < 0 {
					full = p
					break
				}
				r.places[i] = uint32(at)
			}
			w.writeRows(from, done, i)
			done = i
			if full >= 0 {
				if err := w.send(full); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// makeKeys sets the keys of n rows and their hashes.
func (w *worker) makeKeys(from, n int) {
	r := &w.block
	clear(r.keys)
	for i, p := range w.parts {
		words := r.keys[p.word*blockRows:][:n]
		nums := w.keys[i].nums
		if codes := w.keys[i].codes; codes != nil {
			for i, code := range codes[from : from+n] {
				words[i] |= nums[code] << p.shift
			}
		} else {
			for i, v := range nums[from : from+n] {
				words[i] |= v << p.shift
			}
		}
	}
	hashes := r.hashes[:n]
	for i := range hashes {
		hashes[i] = firstHash
	}
	for word := range w.layout.keys {
		seed := hashSeeds[word]
		for i, v := range r.keys[word*blockRows:][:n] {
			hashes[i] = mix(hashes[i], v, seed)
		}
	}
}

// writeRows writes rows done to end of the block that begins at row from to their places.
func (w *worker) writeRows(from, done, end int) {
	r, c, staged := &w.block, &w.counts, w.staging.words
	places := r.places[done:end]
	offset := uint32(0)
	for word := range w.layout.keys {
		values := r.keys[word*blockRows+done:][:len(places)]
		for i, at := range places {
			staged[at+offset] = values[i]
		}
		offset++
	}
	for bit, values := range c.columns {
		if c.counts>>bit&1 == 0 {
			continue
		}
		values = values[from+done:][:len(places)]
		for i, at := range places {
			staged[at+offset] = values[i]
		}
		offset++
	}
}
