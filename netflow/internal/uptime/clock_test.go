package uptime

import (
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// date decodes as RFC 3954 says, and as a strict collector insists: first <= last <= header uptime, all differences
// below 2^31.
func date(t *testing.T, seconds, uptime, first, last uint32) (start, end int64) {
	t.Helper()
	if first > last || last > uptime || uptime-first >= 1<<31 {
		t.Errorf("uptimes %d, %d in a header of %d: a strict collector is misled", first, last, uptime)
	}
	unix := int64(seconds) * 1000
	return unix - int64(int32(uptime-first)), unix - int64(int32(uptime-last))
}

func at(s string) netflow.Timestamp {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return netflow.TimestampOf(t)
}

func TestTimesOfFlowsAreExact(t *testing.T) {
	const hour, day = 3600e6, 86400e6
	now := at("2026-11-21T16:00:00.789123Z")
	old := at("2014-03-04T05:06:07.891Z")
	tests := []struct {
		name            string
		now, start, end netflow.Timestamp
	}{
		{"live", now, now - 20e6, now - 15e6},
		{"ends after the second of now", now, now - 1000, now},
		{"ends after now", now, now, now + 2.5e6},
		{"began long before", now, now - 7*hour, now - 1e6},
		{"an old capture", old, old - 3e6, old - 1e6},
		{"an old capture sent now", now, old - 3e6, old - 1e6},
		{"back to the present", now, now - 5, now},
		{"25 days on", now + 25*day, now + 25*day - 9e6, now + 25*day - 1e6},
		{"25 days on, began before", now + 25*day, now + 25*day - 5*hour, now + 25*day},
		{"60 days on", now + 60*day, now + 60*day, now + 60*day},
		{"1970", 2e6, 1e6, 1.5e6},
		{"2106", at("2106-02-07T06:28:14Z"), at("2106-02-07T06:28:13Z"), at("2106-02-07T06:28:14Z")},
	}
	var c Clock
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := SpanOf(test.now, test.start, test.end)
			if !c.Holds(s) {
				c.Rebase(s)
			}
			if !c.Holds(s) {
				t.Fatal("not held after Rebase")
			}
			first, last := c.Uptimes(s)
			seconds, uptime := c.Header(test.now)
			start, end := date(t, seconds, uptime, first, last)
			if start != int64(test.start)/1000 || end != int64(test.end)/1000 {
				t.Errorf("got %d to %d, want %d to %d", start, end, test.start/1000, test.end/1000)
			}
		})
	}
}

func TestTimesThatAreNotTold(t *testing.T) {
	tests := []struct {
		name            string
		now, start, end netflow.Timestamp
		want            Span
	}{
		{"no start", 9e6, 0, 5e6, Span{5000, 5000}},
		{"no end", 9e6, 5e6, 0, Span{5000, 5000}},
		{"neither", 9e6, 0, 0, Span{9000, 9000}},
		{"before 1970", 9e6, -7, -3, Span{9000, 9000}},
		{"no clock at all", -1, 0, 0, Span{0, 0}},
		{"backwards", 9e6, 5e6, 4e6, Span{5000, 5000}},
		{"longer than can be told", 1, 1e6, 1e6 + 2*MaxDuration, Span{1000 + longest, 1000 + 2*longest}},
		{"beyond 2106", 1, 1 << 62, 1<<62 + 1, Span{maxUnix, maxUnix}},
	}
	for _, test := range tests {
		if got := SpanOf(test.now, test.start, test.end); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestHeaderNeverGoesBack(t *testing.T) {
	now := at("2026-11-21T16:00:00.5Z")
	var c Clock
	c.Rebase(SpanOf(now, now, now))
	c.Uptimes(SpanOf(now, now, now+700_000)) // needs the second of 16:00:02
	ahead, _ := c.Header(now)
	c.Uptimes(SpanOf(now, now-1, now))
	again, _ := c.Header(now)
	if ahead != uint32(now/1e6)+2 || again != ahead {
		t.Errorf("headers %d, then %d, want both %d", ahead, again, now/1e6+2)
	}
}

func FuzzTimesOfFlowsAreExact(f *testing.F) {
	f.Add(int64(1e15), int64(1e15), int64(1e15), int64(1e15), int64(5), int64(1e9))
	f.Add(int64(1e15), int64(1e15), int64(1e15), int64(1e15), int64(5), int64(1<<62))
	f.Fuzz(func(t *testing.T, now1, start1, end1, now2, start2, end2 int64) {
		var c Clock
		for _, v := range [][3]int64{{now1, start1, end1}, {now2, start2, end2}, {now2, start1, end2}} {
			now, start, end := netflow.Timestamp(v[0]), netflow.Timestamp(v[1]), netflow.Timestamp(v[2])
			s := SpanOf(now, start, end)
			if !c.Holds(s) {
				c.Rebase(s)
			}
			first, last := c.Uptimes(s)
			seconds, uptime := c.Header(now)
			if gotStart, gotEnd := date(t, seconds, uptime, first, last); gotStart != s.start || gotEnd != s.end {
				t.Errorf("got %d to %d, want %v", gotStart, gotEnd, s)
			}
		}
	})
}
