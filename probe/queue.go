package probe

import (
	"sync"

	"github.com/caprock-net/caprock/netflow"
)

// chunkFlows is how many flows go through the queue at a time.
const chunkFlows = 256

// QueueFlows bounds the flows that wait for the exporter, in each Probe. They take 216 bytes each.
const QueueFlows = 1 << 16

// patientChunks is how many chunks there may be when the meter can wait, beside one for each worker of a file: so few
// that they stay in the processor's cache.
const patientChunks = 16

// chunk carries flows from a meter to the exporter.
type chunk struct {
	now   netflow.Timestamp // packet time when it was handed on
	flows []netflow.Record
	do    func(now netflow.Timestamp) // to be called in its turn, instead
}

// queue is a bounded queue of chunks that are used again. It is its own free list, last in first out, so that as few
// chunks exist, and as warm ones, as the load needs.
type queue struct {
	mu       sync.Mutex
	notEmpty sync.Cond
	notFull  sync.Cond
	full     []*chunk // in order
	free     []*chunk
	made     int // chunks in existence
	patient  int // as many of them when meters can wait
	closed   bool
}

func newQueue() *queue {
	q := &queue{patient: patientChunks}
	q.notEmpty.L, q.notFull.L = &q.mu, &q.mu
	return q
}

// get returns an empty chunk. When as many as may exist are in use it waits for one, or returns nil.
func (q *queue) get(wait bool) *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if n := len(q.free); n > 0 {
			c := q.free[n-1]
			q.free = q.free[:n-1]
			return c
		}
		if q.made < QueueFlows/chunkFlows && (!wait || q.made < q.patient) {
			q.made++
			return &chunk{flows: make([]netflow.Record, 0, chunkFlows)}
		}
		if !wait {
			return nil
		}
		q.notFull.Wait()
	}
}

// grow allows for a meter more, which may keep a chunk that it has not filled while the others wait for one.
func (q *queue) grow() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.patient++
}

// put hands a chunk to the exporter.
func (q *queue) put(c *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = append(q.full, c)
	q.notEmpty.Signal()
}

// take returns all chunks that were put, in their order, using the slice into for them; none after close, when there are
// no more.
func (q *queue) take(into []*chunk) []*chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.full) == 0 && !q.closed {
		q.notEmpty.Wait()
	}
	taken := q.full
	q.full = into[:0]
	return taken
}

// release returns a chunk that was taken.
func (q *queue) release(c *chunk) {
	c.flows = c.flows[:0]
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free = append(q.free, c)
	q.notFull.Signal()
}

// close lets take return what is left, and then nothing.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.notEmpty.Signal()
}

// call has f called, with the time of the packets, by the exporter's goroutine, behind the flows that are in the queue, and
// waits for that. It is false when the queue is closed.
func (q *queue) call(f func(now netflow.Timestamp)) bool {
	done := make(chan struct{})
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.full = append(q.full, &chunk{do: func(now netflow.Timestamp) { f(now); close(done) }})
	q.notEmpty.Signal()
	q.mu.Unlock()
	<-done
	return true
}
