package storage

import (
	"context"
	"sync"

	"github.com/caprock-net/caprock/netflow"
)

// queue holds the batches between Write and the journal. It is bounded; a channel would do but for closing, which must
// not lose a batch that was accepted.
type queue struct {
	mu     sync.Mutex
	space  sync.Cond // somebody took a batch, or the queue was closed
	ring   []*netflow.Batch
	first  int
	n      int
	closed bool
	ready  chan struct{} // holds one token when there may be a batch
}

func newQueue(capacity int) *queue {
	q := &queue{ring: make([]*netflow.Batch, capacity), ready: make(chan struct{}, 1)}
	q.space.L = &q.mu
	return q
}

// push adds b or returns ErrFull or ErrClosed.
func (q *queue) push(b *netflow.Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.add(b)
}

// pushWait waits for room.
func (q *queue) pushWait(ctx context.Context, b *netflow.Batch) error {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.space.Broadcast()
	})()
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if err := q.add(b); err != ErrFull {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		q.space.Wait()
	}
}

func (q *queue) add(b *netflow.Batch) error {
	if q.closed {
		return ErrClosed
	}
	if q.n == len(q.ring) {
		return ErrFull
	}
	q.ring[(q.first+q.n)%len(q.ring)] = b
	q.n++
	q.signal()
	return nil
}

// pop returns the oldest batch, or nil.
func (q *queue) pop() *netflow.Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		return nil
	}
	b := q.ring[q.first]
	q.ring[q.first] = nil
	q.first = (q.first + 1) % len(q.ring)
	q.n--
	if q.n > 0 {
		q.signal()
	}
	q.space.Signal()
	return b
}

// signal puts the token back; the lock is held.
func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// close refuses further batches. Those inside stay.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.space.Broadcast()
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}
