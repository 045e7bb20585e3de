package export

import "github.com/caprock-net/caprock/netflow"

// flowRing is a bounded queue of flows. It grows as it fills, up to its bound, and stays so.
type flowRing struct {
	slots []netflow.Record // a power of two of them
	first int
	n     int
	bound int
}

const leastRing = 256

func (q *flowRing) len() int   { return q.n }
func (q *flowRing) full() bool { return q.n == q.bound }

// push appends a flow; the ring must not be full.
func (q *flowRing) push(r *netflow.Record) {
	if q.n == len(q.slots) {
		slots := make([]netflow.Record, max(2*len(q.slots), leastRing))
		for i := range q.n {
			slots[i] = *q.at(i)
		}
		q.slots, q.first = slots, 0
	}
	*q.at(q.n) = *r
	q.n++
}

// at returns flow number i, 0 being the oldest.
func (q *flowRing) at(i int) *netflow.Record { return &q.slots[(q.first+i)&(len(q.slots)-1)] }

// drop removes the n oldest flows.
func (q *flowRing) drop(n int) {
	q.first = (q.first + n) & (len(q.slots) - 1)
	q.n -= n
}
