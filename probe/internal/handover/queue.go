// Package handover has the queue through which goroutines that must not wait long, those with the packets, hand on what they
// have filled to the one that sends or writes it.
package handover

import "sync"

// Queue is a bounded queue of Ts that are used again. It is its own free list, last in first out, so that as few Ts exist,
// and as warm ones, as the load needs. All methods may be called at any time by any goroutine.
type Queue[T any] struct {
	fresh    func() *T
	empty    func(*T)
	mu       sync.Mutex
	notEmpty sync.Cond
	notFull  sync.Cond
	full     []*T // in order
	free     []*T
	made     int
	most     int
	patient  int
	closed   bool
}

// New makes a queue of at most so many Ts, and no more than patient of them for those who can wait. fresh makes one, and empty
// empties it for the next who gets it.
func New[T any](fresh func() *T, empty func(*T), most, patient int) *Queue[T] {
	q := &Queue[T]{fresh: fresh, empty: empty, most: most, patient: patient}
	q.notEmpty.L, q.notFull.L = &q.mu, &q.mu
	return q
}

// Grow allows for one T more, for a goroutine more that may keep one it has not filled while the others wait.
func (q *Queue[T]) Grow() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.patient++
	q.most = max(q.most, q.patient)
}

// Get returns an empty T. When as many as may exist are in use it waits for one, or returns nil; nil too when the queue is
// closed meanwhile.
func (q *Queue[T]) Get(wait bool) *T {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := q.most
	if wait {
		limit = q.patient
	}
	for {
		if n := len(q.free); n > 0 {
			x := q.free[n-1]
			q.free = q.free[:n-1]
			return x
		}
		if q.made < limit {
			q.made++
			return q.fresh()
		}
		if !wait || q.closed {
			return nil
		}
		q.notEmpty.Signal() // for what PutMore has left
		q.notFull.Wait()
	}
}

// PutMore hands on a T behind which others come soon, or Put: who waits for some is woken for several at a time.
func (q *Queue[T]) PutMore(x *T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = append(q.full, x)
	if len(q.full) >= q.patient/2 {
		q.notEmpty.Signal()
	}
}

// Put hands Ts on.
func (q *Queue[T]) Put(xs ...*T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = append(q.full, xs...)
	q.notEmpty.Signal()
}

// PutIfOpen hands on a T that need not come from Get, behind those in the queue. It is false, and nothing is done, when the
// queue is closed.
func (q *Queue[T]) PutIfOpen(x *T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.full = append(q.full, x)
	q.notEmpty.Signal()
	return true
}

// Take waits for Ts, and returns all that were put, in their order, using the slice into for them; none after Close, when
// there are no more.
func (q *Queue[T]) Take(into []*T) []*T {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.full) == 0 && !q.closed {
		q.notEmpty.Wait()
	}
	taken := q.full
	q.full = into[:0]
	return taken
}

// Release gives back a T that came from Get.
func (q *Queue[T]) Release(x *T) {
	q.empty(x)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free = append(q.free, x)
	q.notFull.Signal()
}

// Close lets Take return what is left, and then nothing.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.notEmpty.Signal()
	q.notFull.Broadcast()
}
