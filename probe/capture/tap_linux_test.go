package capture

import (
	"maps"
	"slices"
	"testing"
)

// TestPasses: where frames come by that are sent on an interface.
func TestPasses(t *testing.T) {
	all := []Interface{
		{Name: "eth0", Index: 2, master: 5}, {Name: "eth1", Index: 3, master: 5}, {Name: "eth2", Index: 4},
		{Name: "bond0", Index: 5}, {Name: "bond0.7", Index: 6, lower: 5}, {Name: "near", Index: 7, lower: 8}, {Name: "far", Index: 8, lower: 7},
	}
	for index, want := range map[int][]int{
		2: {2}, 4: {4}, 5: {2, 3, 5}, 6: {2, 3, 5, 6}, 7: {7, 8}, 8: {7, 8},
	} {
		if got := slices.Sorted(maps.Keys(passes(all, index))); !slices.Equal(got, want) {
			t.Errorf("interface %d: %v, want %v", index, got, want)
		}
	}
}

// TestTapPort: what is not a whole frame of the right kind is not sent.
func TestTapPort(t *testing.T) {
	p := (&Tap{fd: -1}).NewPort()
	p.Add(&Frame{Data: []byte{1}, WireLen: 2})
	p.Add(&Frame{Data: []byte{1}, WireLen: 1, Link: 99})
	p.Add(&Frame{})
	p.Add(&Frame{Data: make([]byte, 2*tapBytes), WireLen: 2 * tapBytes}) // grows
	p.Flush()                                                            // to no socket
	if c := p.Take(); c != (TapCounts{Cut: 1, OtherLink: 1, Refused: 2}) {
		t.Errorf("%+v", c)
	}
	if c := p.Take(); c != (TapCounts{}) {
		t.Errorf("taken twice: %+v", c)
	}
	f := &Frame{Data: make([]byte, 1500), WireLen: 1500}
	if n := testing.AllocsPerRun(1000, func() { p.Add(f) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
