package query

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"
)

// Result is the answer to a Query.
type Result struct {
	Query Query
	// Total counts every selected flow once, in whatever number of groups it is.
	Total Counters
	// Distinct is how many groups there are, of which Len were kept.
	Distinct int
	// Saturated tells that some sum was too large and stands at the largest number instead.
	Saturated bool
	// Rows is how many rows the chunks have, Skipped how many of them were ruled out without being read.
	Rows, Skipped int64

	run  *aggregation
	zone *zone
	refs []ref
}

// Group is the flows that have a value in common for each field of the query.
type Group struct {
	Key []Value // one for each field
	Counters
}

// Len returns how many groups were kept: all, or the first Query.N.
func (r *Result) Len() int { return len(r.refs) }

// Group returns group i in the order asked for.
func (r *Result) Group(i int) Group {
	words := r.run.words(r.refs[i])
	g := Group{Key: make([]Value, len(r.Query.By)), Counters: r.run.layout.counters(words[r.run.layout.keys:])}
	for i := range g.Key {
		g.Key[i] = r.run.keyValue(words, i, r.zone)
	}
	return g
}

// ref points to a group's entry. A larger rank comes earlier.
type ref struct {
	rank      uint64
	entry     uint32
	partition uint32
}

func (a *aggregation) words(r ref) []uint64 {
	return a.tables[r.partition].entry(r.entry, a.layout.width())
}

// compareRefs orders two groups: by rank, then by key.
func (a *aggregation) compareRefs(x, y ref) int {
	if x.rank != y.rank {
		return cmp.Compare(y.rank, x.rank)
	}
	keys := a.compareKeys(a.words(x), a.words(y))
	if a.Sort == ByKey && a.Reverse {
		return -keys
	}
	return keys
}

// rank is the order's rank, turned round if asked for.
func (a *aggregation) rank(words []uint64) uint64 {
	if a.Sort == ByKey {
		if a.Reverse {
			return a.keyRank(words)
		}
		return ^a.keyRank(words)
	}
	var rank uint64
	if a.rankAt > 0 {
		rank = words[a.rankAt]
	} else {
		c := a.layout.counters(words[a.layout.keys:])
		rank = a.Sort.rank(&c)
	}
	if a.Reverse {
		return ^rank
	}
	return rank
}

func newResult(a *aggregation, all []*worker) *Result {
	r := &Result{Query: a.Query, run: a, zone: newZone(a.Location)}
	total := make([]uint64, a.layout.sums+a.layout.times)
	var full uint64
	places := a.layout.positions(a.layout)
	for _, w := range all {
		a.layout.merge(total, w.total, places[:len(total)], &full)
		full |= w.full
		r.Rows += w.rows
		r.Skipped += w.skipped
	}
	r.Total = a.layout.counters(total)
	for i := range a.tables {
		r.Distinct += a.tables[i].n
		full |= a.tables[i].full
		a.tables[i].slots = nil // looked up no more
	}
	r.Saturated = full != 0
	r.refs = a.top(len(all))
	return r
}

// top returns the first N groups in order, or all.
func (a *aggregation) top(n int) []ref {
	found := make([][]ref, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for p := i; p < partitions; p += n {
				found[i] = a.topOf(uint32(p), found[i])
			}
		})
	}
	wg.Wait()
	refs := slices.Concat(found...)
	slices.SortFunc(refs, a.compareRefs)
	if a.N > 0 && len(refs) > a.N {
		refs = slices.Clip(refs[:a.N])
	}
	return refs
}

// topOf adds the groups of a partition to refs, which holds no more than the first N so far, as a heap when it is full.
func (a *aggregation) topOf(p uint32, refs []ref) []ref {
	t := &a.tables[p]
	h := &worstFirst{a, refs}
	for i := range t.n {
		r := ref{entry: uint32(i), partition: p}
		r.rank = a.rank(a.words(r))
		switch {
		case a.N <= 0 || len(h.refs) < a.N:
			if h.refs = append(h.refs, r); len(h.refs) == a.N {
				heap.Init(h)
			}
		case a.compareRefs(r, h.refs[0]) < 0:
			h.refs[0] = r
			heap.Fix(h, 0)
		}
	}
	return h.refs
}

// worstFirst is a heap whose root comes last in the order.
type worstFirst struct {
	a    *aggregation
	refs []ref
}

func (h *worstFirst) Len() int           { return len(h.refs) }
func (h *worstFirst) Less(i, j int) bool { return h.a.compareRefs(h.refs[i], h.refs[j]) > 0 }
func (h *worstFirst) Swap(i, j int)      { h.refs[i], h.refs[j] = h.refs[j], h.refs[i] }
func (h *worstFirst) Push(any)           { panic("query: the heap does not grow") }
func (h *worstFirst) Pop() any           { panic("query: the heap does not shrink") }
