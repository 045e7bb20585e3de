package test

import (
	"encoding/json"
	"testing"
)

type tally struct{ Flows, Packets, Bytes uint64 }

func (t tally) plus(u tally) tally {
	return tally{t.Flows + u.Flows, t.Packets + u.Packets, t.Bytes + u.Bytes}
}

// summary is what probe --summary json prints.
type summary struct {
	Packets struct {
		Read, Metered, Malformed uint64
		Filtered                 uint64
		NonIP                    uint64 `json:"non_ip"`
		UnknownLink              uint64 `json:"unknown_link"`
		IPBytes                  uint64 `json:"ip_bytes"`
		Dropped                  uint64
	}
	Flows  struct{ Ended, Held tally }
	Export struct {
		Given, IPv6, Cut tally
		NoAddress        tally `json:"no_address"`
		QueueFull        tally `json:"queue_full"`
		Underway         tally
		Collectors       []struct {
			Exported, Buffered tally
			Lost               map[string]tally
		}
	}
}

// checkSummary wants a probe that has ended to account for every packet down to the collector, which stored sums.
func checkSummary(t *testing.T, stdout, stderr string, stored sums) summary {
	t.Helper()
	var s summary
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		t.Fatalf("no summary (%v)\n%s%s", err, stdout, stderr)
	}
	if p := s.Packets; p.Read != p.Metered+p.NonIP+p.Malformed+p.UnknownLink+p.Filtered {
		t.Errorf("packets read do not add up: %+v", p)
	}
	if got, want := s.Flows.Ended.plus(s.Flows.Held), (tally{s.Flows.Ended.Flows, s.Packets.Metered, s.Packets.IPBytes}); got != want {
		t.Errorf("%+v in flows, %+v metered", got, want)
	}
	if s.Flows.Held != (tally{}) || s.Export.Underway != (tally{}) {
		t.Errorf("the probe ended with %+v in its table and %+v on the way", s.Flows.Held, s.Export.Underway)
	}
	if got := s.Export.Given.plus(s.Export.QueueFull); got != s.Flows.Ended {
		t.Errorf("%+v given to the exporter, %+v ended", got, s.Flows.Ended)
	}
	for _, c := range s.Export.Collectors {
		sum := c.Exported.plus(s.Export.IPv6).plus(s.Export.NoAddress).plus(s.Export.Cut)
		for _, l := range c.Lost {
			sum = sum.plus(l)
		}
		sum.Flows -= s.Export.Cut.Flows // sent, but not whole
		if sum != s.Export.Given || c.Buffered != (tally{}) {
			t.Errorf("%+v exported or counted, %+v given, %+v kept back", sum, s.Export.Given, c.Buffered)
		}
		if got := (tally{stored.Flows, stored.Packets, stored.Bytes}); got != c.Exported {
			t.Errorf("%+v stored, %+v exported", got, c.Exported)
		}
	}
	return s
}
