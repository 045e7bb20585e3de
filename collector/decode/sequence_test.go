package decode

import (
	"math/rand/v2"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

// step is a datagram, and how the counters differ after it.
type step struct {
	number, units uint32
	want          Counters
}

var (
	fine      = Counters{}
	reordered = Counters{Reordered: 1}
	duplicate = Counters{Duplicates: 1}
	reset     = Counters{Resets: 1}
)

func lost(n uint64) Counters { return Counters{Lost: n, Gaps: 1} }

// found is a late datagram with n units.
func found(n uint64) Counters { return Counters{Lost: -n, Reordered: 1} }

func TestSequence(t *testing.T) {
	const max = 1<<32 - 1
	tests := []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{100, 30, fine}, {130, 7, fine}, {137, 0, fine}, {137, 1, fine}}},
		{"begins anywhere", []step{{4_000_000_000, 30, fine}, {4_000_000_030, 1, fine}}},
		{"wraps", []step{{max - 9, 10, fine}, {0, 10, fine}, {10, 1, fine}}},
		{"wraps inside a datagram", []step{{max - 4, 10, fine}, {5, 10, fine}}},
		{"loss", []step{{0, 30, fine}, {90, 30, lost(60)}, {120, 30, fine}}},
		{"loss at the wrap", []step{{max - 9, 5, fine}, {5, 5, lost(10)}}},
		{"late", []step{{0, 10, fine}, {20, 10, lost(10)}, {10, 10, found(10)}, {30, 10, fine}}},
		{"late by two", []step{{0, 10, fine}, {30, 10, lost(20)}, {20, 10, found(10)}, {10, 10, found(10)}, {40, 1, fine}}},
		{"late from the middle of a gap", []step{{0, 10, fine}, {40, 10, lost(30)}, {20, 10, found(10)}, {10, 10, found(10)}, {30, 10, found(10)}}},
		{"late at the wrap", []step{{max - 9, 5, fine}, {5, 5, lost(10)}, {max - 4, 10, found(10)}, {10, 1, fine}}},
		{"late twice", []step{{0, 10, fine}, {20, 10, lost(10)}, {10, 10, found(10)}, {10, 10, duplicate}}},
		{"duplicate", []step{{0, 10, fine}, {10, 10, fine}, {10, 10, duplicate}, {0, 10, duplicate}, {20, 10, fine}}},
		{"late without records", []step{{0, 10, fine}, {10, 10, fine}, {10, 0, reordered}, {20, 1, fine}}},
		{"restart", []step{{1_000_000, 30, fine}, {1_000_030, 30, fine}, {0, 30, reset}, {30, 30, fine}}},
		{"restart from the upper half", []step{{3_500_000_000, 30, fine}, {0, 30, reset}, {30, 30, fine}}},
		{"restart from the lower half", []step{{2_000_000_000, 30, fine}, {0, 30, reset}, {30, 30, fine}}},
		{"leap", []step{{0, 30, fine}, {1 << 30, 30, reset}, {1<<30 + 30, 1, fine}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s sequence
			var c Counters
			for i, st := range tt.steps {
				before := c
				s.follow(arrival{number: st.number, units: st.units, exact: true}, &c)
				before.add(&st.want)
				if c != before {
					t.Fatalf("datagram %d (%d, %d units): got %+v, want %+v", i, st.number, st.units, c, before)
				}
			}
		})
	}
}

func TestSequenceLateWindow(t *testing.T) {
	for _, late := range []int{1, 31, 32, 33, 100} {
		var s sequence
		var c Counters
		n := uint32(0)
		next := func() {
			s.follow(arrival{number: n, units: 10, exact: true}, &c)
			n += 10
		}
		for range 200 {
			next()
		}
		missing := n
		n += 10
		for range late {
			next()
		}
		s.follow(arrival{number: missing, units: 10, exact: true}, &c)
		var want Counters
		switch {
		case late <= 32:
			want = Counters{Gaps: 1, Reordered: 1}
		case late < 100:
			want = Counters{Gaps: 1, Lost: 10, Duplicates: 1} // too late to tell from a duplicate
		default:
			want = Counters{Gaps: 1, Lost: 10, Resets: 1}
		}
		if c != want {
			t.Errorf("late by %d: got %+v, want %+v", late, c, want)
		}
	}
}

func TestSequenceRestartByUptime(t *testing.T) {
	var s sequence
	var c Counters
	for i := range uint32(10) {
		s.follow(arrival{number: i, units: 1, exact: true, uptime: 10_000_000 + i, hasUptime: true}, &c)
	}
	s.follow(arrival{number: 5, units: 1, exact: true, uptime: 10_000_005, hasUptime: true}, &c)
	if c != (Counters{Duplicates: 1}) {
		t.Errorf("an old number with an old uptime: %+v", c)
	}
	s.follow(arrival{number: 0, units: 1, exact: true, uptime: 1000, hasUptime: true}, &c)
	s.follow(arrival{number: 1, units: 1, exact: true, uptime: 2000, hasUptime: true}, &c)
	if c != (Counters{Duplicates: 1, Resets: 1}) {
		t.Errorf("after a restart that the uptime shows: %+v", c)
	}
	// The uptime wraps after 49.7 days; the sequence goes on.
	s = sequence{}
	c = Counters{}
	s.follow(arrival{number: 7, units: 1, exact: true, uptime: 1<<32 - 5, hasUptime: true}, &c)
	s.follow(arrival{number: 8, units: 1, exact: true, uptime: 10, hasUptime: true}, &c)
	s.follow(arrival{number: 10, units: 1, exact: true, uptime: 20, hasUptime: true}, &c)
	if c != (Counters{Gaps: 1, Lost: 1}) {
		t.Errorf("across a wrap of the uptime: %+v", c)
	}
}

func TestSequenceAfterRecordsThatCouldNotBeCounted(t *testing.T) {
	var s sequence
	var c Counters
	s.follow(arrival{number: 100, units: 3, exact: false}, &c) // a set without template: 3 records or more
	s.follow(arrival{number: 120, units: 5, exact: true}, &c)
	s.follow(arrival{number: 125, units: 5, exact: true}, &c)
	if c != (Counters{}) {
		t.Errorf("got %+v, want nothing lost", c)
	}
}

func TestSequenceLongSilence(t *testing.T) {
	const day = netflow.Timestamp(86400e6)
	var s sequence
	var c Counters
	s.follow(arrival{number: 0, units: 1, exact: true, received: day}, &c)
	s.follow(arrival{number: 800_000_000, units: 1, exact: true, received: 2 * day}, &c)
	if c != (Counters{Gaps: 1, Lost: 799_999_999}) {
		t.Errorf("a day of silence at 10,000 flows a second: got %+v, want it lost", c)
	}
}

// TestSequenceOfAnUnreliableNetwork sends datagrams through a network that loses some, delays some by up to ten, and
// repeats none, and wants the exact number of lost units.
func TestSequenceOfAnUnreliableNetwork(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		type datagram struct{ at, number, units uint32 }
		number := rnd.Uint32()
		var sent []datagram
		var want uint64
		for i := range uint32(5000) {
			units := rnd.Uint32N(30) + 1
			d := datagram{at: i, number: number, units: units}
			number += units
			switch {
			case i > 50 && i < 4900 && rnd.IntN(50) == 0:
				want += uint64(units)
				continue
			case i > 50 && i < 4900 && rnd.IntN(50) == 0:
				d.at += rnd.Uint32N(10)
			}
			sent = append(sent, d)
		}
		for at := range sent { // insertion sort, stable, by time of arrival
			for i := at; i > 0 && sent[i].at < sent[i-1].at; i-- {
				sent[i], sent[i-1] = sent[i-1], sent[i]
			}
		}
		var s sequence
		var c Counters
		for _, d := range sent {
			s.follow(arrival{number: d.number, units: d.units, exact: true}, &c)
		}
		if c.Lost != want || c.Duplicates != 0 || c.Resets != 0 {
			t.Errorf("seed %d: %d units lost, want %d; %+v", seed, c.Lost, want, c)
		}
	}
}
