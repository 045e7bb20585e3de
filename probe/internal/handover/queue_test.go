package handover_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/caprock-net/caprock/probe/internal/handover"
)

func newQueue(most, patient int) *handover.Queue[int] {
	return handover.New(func() *int { return new(int) }, func(x *int) { *x = 0 }, most, patient)
}

func TestBounds(t *testing.T) {
	q := newQueue(3, 2)
	get := func(wait bool) bool { return q.Get(wait) != nil }
	if got := []bool{get(true), get(true), get(false), get(false)}; !slices.Equal(got, []bool{true, true, true, false}) {
		t.Errorf("got %v, want two for those who can wait, three in all", got)
	}
	q.Grow()
	if get(false) {
		t.Error("a T beyond the most, though the patient may have as many now")
	}
	q.Grow()
	if !get(false) || get(false) {
		t.Error("want one T more")
	}
}

// TestWaiting: who waits gets what is released, empty; or nil at the end.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 1)
		x := q.Get(false)
		*x = 7
		got := make(chan *int)
		go func() { got <- q.Get(true); got <- q.Get(true) }()
		synctest.Wait()
		q.Release(x)
		if y := <-got; y != x || *y != 0 {
			t.Errorf("got %p of %d, want %p, emptied", y, *y, x)
		}
		synctest.Wait()
		q.Close()
		if y := <-got; y != nil {
			t.Errorf("got %p after Close", y)
		}
	})
}

func TestOrder(t *testing.T) {
	q := newQueue(3, 3)
	a, b, c, d := new(int), new(int), new(int), new(int)
	q.Put(a, b)
	if !q.PutIfOpen(c) {
		t.Error("it is open")
	}
	taken := q.Take(nil)
	if !slices.Equal(taken, []*int{a, b, c}) {
		t.Errorf("took %v, want %v", taken, []*int{a, b, c})
	}
	q.Put(d)
	q.Close()
	if q.PutIfOpen(a) {
		t.Error("it is closed")
	}
	if taken = q.Take(taken); !slices.Equal(taken, []*int{d}) {
		t.Errorf("took %v after Close, want what was put before", taken)
	}
	if taken = q.Take(taken); len(taken) != 0 {
		t.Errorf("took %v at the end", taken)
	}
}

// TestPutMore: who waits is woken for half of what may exist, for what Put hands on, and when nobody can go on otherwise.
func TestPutMore(t *testing.T) {
	for name, wake := range map[string]func(*handover.Queue[int]){
		"half":   func(q *handover.Queue[int]) { q.PutMore(q.Get(true)) },
		"put":    func(q *handover.Queue[int]) { q.Put(q.Get(true)) },
		"closed": (*handover.Queue[int]).Close,
		"all used": func(q *handover.Queue[int]) { // by those that have not filled theirs
			for range 5 {
				q.Get(true)
			}
			q.Release(q.Get(true))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(8, 8)
				var taken []*int
				go func() {
					taken = q.Take(nil)
					for _, x := range taken {
						q.Release(x)
					}
				}()
				synctest.Wait() // it waits
				for range 3 {
					q.PutMore(q.Get(true))
				}
				synctest.Wait()
				if taken != nil {
					t.Fatalf("woken for %d", len(taken))
				}
				wake(q)
				synctest.Wait()
				if len(taken) < 3 {
					t.Errorf("took %d", len(taken))
				}
			})
		})
	}
}
