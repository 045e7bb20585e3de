package query

import (
	"math/bits"

	"github.com/caprock-net/caprock/netflow"
)

// counts is the counters of a chunk's selected rows.
type counts struct {
	layout // of an entry with them: without those that are 0 in the whole chunk

	columns [len(counterColumns)][]uint64
	// large tells that the sum of some column over all rows does not fit 64 bits. If it does, no sum over some of the
	// rows can overflow.
	large bool

	buffers [len(counterColumns)][]uint64 // for columns
	scaled  [4][]uint64
}

// loadCounts reads the counters of the selected rows.
func (w *worker) loadCounts() error {
	c := &w.counts
	var present CounterSet
	for bit, col := range counterColumns {
		if w.layout.counts>>bit&1 == 0 {
			continue
		}
		if lo, hi, ok := w.view.chunk.Bounds(col); ok && lo == 0 && hi == 0 {
			continue
		}
		values, err := w.view.gather(&w.selection, col, &c.buffers[bit])
		if err != nil {
			return err
		}
		present |= 1 << bit
		c.columns[bit] = values
	}
	c.layout = newLayout(w.layout.keys, present)
	if w.Scale && present&(CountFirst-1) != 0 {
		return w.scaleCounts()
	}
	return nil
}

// scaleCounts multiplies the counters by the sampling rate of their row.
func (w *worker) scaleCounts() error {
	if _, hi, ok := w.view.chunk.Bounds(netflow.SamplingRate); ok && hi <= 1 {
		return nil
	}
	rates, err := w.view.numbers(netflow.SamplingRate)
	if err != nil {
		return err
	}
	c := &w.counts
	for bit := range c.scaled {
		if c.counts>>bit&1 == 0 {
			continue
		}
		in, out := c.columns[bit], resize(&c.scaled[bit], w.selection.n)
		for i := range out {
			out[i] = mulSaturating(in[i], max(1, rates[w.selection.row(i)]), &w.full)
		}
		c.columns[bit] = out
	}
	return nil
}

// sumTotal adds the selected rows to the total.
func (w *worker) sumTotal() {
	c := &w.counts
	sums := append(w.sums[:0], uint64(w.selection.n))
	c.large = false
	for bit, column := range c.columns {
		if c.counts>>bit&1 == 0 {
			continue
		}
		var sum uint64
		switch CounterSet(1 << bit) {
		case CountFirst:
			for _, v := range column {
				sum = earliest(sum, v)
			}
		case CountLast:
			for _, v := range column {
				sum = latest(sum, v)
			}
		default:
			var high uint64
			if sum, high = sumOf(column); high != 0 {
				sum, c.large, w.full = 1<<64-1, true, 1
			}
		}
		sums = append(sums, sum)
	}
	w.sums = sums
	to := w.layout.positions(c.layout)
	w.layout.merge(w.total, sums, to[:len(sums)], &w.full)
}

// sumOf returns the sum of the values in 128 bits.
func sumOf(values []uint64) (low, high uint64) {
	for _, v := range values {
		var carry uint64
		low, carry = bits.Add64(low, v, 0)
		high += carry
	}
	return low, high
}
