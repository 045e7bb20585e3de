package parquet

import "math/bits"

// ranks puts the values of a dictionary into the order of their frequency, roughly: by the power of two of how often they
// come. The codes of what comes often are then small, and their upper bytes compress.
type ranks struct {
	counts, perm, inverse []uint32
}

// order rewrites the codes, of n values, and returns the code before of each new code, or nil when nothing has changed:
// with up to 256 values a code is a byte, and the order does not matter to an entropy coder.
func (r *ranks) order(codes []uint32, n int) []uint32 {
	if n <= 256 {
		return nil
	}
	r.counts, r.perm, r.inverse = room(r.counts, n), room(r.perm, n), room(r.inverse, n)
	clear(r.counts)
	for _, c := range codes {
		r.counts[c]++
	}
	var at [34]uint32 // where the values of a class begin; the most frequent class is the first
	for i, c := range r.counts {
		class := 32 - uint32(bits.Len32(c))
		r.inverse[i] = class
		at[class+1]++
	}
	for i := range at[1:] {
		at[i+1] += at[i]
	}
	for i, class := range r.inverse {
		r.perm[at[class]] = uint32(i)
		r.inverse[i] = at[class]
		at[class]++
	}
	for i, c := range codes {
		codes[i] = r.inverse[c]
	}
	return r.perm
}

// times is a dictionary, in the order of time, of times that have no more than milliseconds, as most exporters send them.
// Differences of such times waste ten bits in each.
type times struct {
	table  []uint32 // by milliseconds from the earliest: code+1
	values []uint64
}

// encode writes codes and returns the values. It gives up, with false, when times are not whole milliseconds apart, lie
// too far from each other or seldom come twice.
func (d *times) encode(codes []uint32, v []uint64, lo, hi uint64) ([]uint64, bool) {
	const unit = 1000
	span := (hi - lo) / unit
	if span >= uint64(4*len(v))+1<<16 {
		return nil, false
	}
	d.table = room(d.table, int(span)+1)
	clear(d.table)
	for i, x := range v {
		ms := (x - lo) / unit
		if ms*unit != x-lo {
			return nil, false
		}
		d.table[ms] = 1
		codes[i] = uint32(ms)
	}
	d.values = d.values[:0]
	for ms, seen := range d.table {
		if seen != 0 {
			d.table[ms] = uint32(len(d.values))
			d.values = append(d.values, lo+uint64(ms)*unit)
		}
	}
	if len(d.values) > len(v)/2 {
		return nil, false
	}
	for i, ms := range codes {
		codes[i] = d.table[ms]
	}
	return d.values, true
}
