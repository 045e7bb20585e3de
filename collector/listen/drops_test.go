package listen

import "testing"

func TestDropCounterWraps(t *testing.T) {
	var c dropCounter
	for _, step := range []struct {
		reading uint32
		total   uint64
	}{
		{3, 3}, {3, 3}, {2, 3}, {1 << 30, 1 << 30}, {1<<31 + 5, 1<<31 + 5}, {1<<32 - 1, 1<<32 - 1}, {4, 1<<32 + 4}, {1<<32 - 2, 1<<32 + 4}, {10, 1<<32 + 10},
	} {
		if c.saw(step.reading); c.total.Load() != step.total {
			t.Errorf("after %d: total %d, want %d", step.reading, c.total.Load(), step.total)
		}
	}
}
