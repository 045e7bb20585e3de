package export

import (
	"encoding/binary"
	"syscall"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

// fillDatagrams gives the destination flows until it has made so many datagrams full, and returns how many flows it took.
func (d *destination) fillDatagrams(n int) (flows uint64) {
	r := netflow.Record{IPVersion: 4, Packets: 2, Bytes: 99, Start: second, End: second}
	for full := 0; ; flows++ {
		before := d.encoder.Len()
		if d.add(second, &r, tallyOf(&r)); d.encoder.Len() <= before {
			if full++; full == n {
				return flows + 1
			}
		}
	}
}

func TestDatagramsLeaveTogether(t *testing.T) {
	s := &script{}
	d := scripted(s, Config{})
	flows := d.fillDatagrams(outboxLen - 1)
	if len(s.sent) != 0 {
		t.Fatalf("%d datagrams left before there were %d", len(s.sent), outboxLen)
	}
	flows += d.fillDatagrams(1)
	if len(s.sent) != outboxLen {
		t.Fatalf("%d datagrams left, want %d", len(s.sent), outboxLen)
	}
	flows += d.fillDatagrams(2)
	if got := d.stats.Given(); got.Flows != flows || d.stats.Exported.Flows+d.stats.Buffered.Flows != flows {
		t.Errorf("given %+v, %d flows; exported %+v, buffered %+v", got, flows, d.stats.Exported, d.stats.Buffered)
	}
	d.flush(second)
	if len(s.sent) != outboxLen+3 || d.stats.Exported.Flows != flows || d.stats.Buffered != (Tally{}) {
		t.Errorf("%d datagrams after the flush, exported %+v of %d flows, buffered %+v", len(s.sent), d.stats.Exported, flows, d.stats.Buffered)
	}
	for i := range s.sent[1:] { // RFC 7011 section 3.1: what the messages before had
		if binary.BigEndian.Uint32(s.sent[i+1][8:]) <= binary.BigEndian.Uint32(s.sent[i][8:]) {
			t.Errorf("datagram %d: sequence number %d after %d", i+1, binary.BigEndian.Uint32(s.sent[i+1][8:]), binary.BigEndian.Uint32(s.sent[i][8:]))
		}
	}
}

// With a rate each leaves when it is its time.
func TestPacedDatagramsLeaveOneByOne(t *testing.T) {
	s := &script{}
	d := scripted(s, Config{MaxRate: 1e6})
	d.fillDatagrams(3)
	if len(s.sent) != 3 {
		t.Errorf("%d datagrams left, want 3", len(s.sent))
	}
}

// A fault costs the datagrams that meet it, and none of those around them.
func TestFaultsAmongMany(t *testing.T) {
	tooLong, none, refused := error(syscall.EMSGSIZE), error(nil), error(syscall.ECONNREFUSED)
	tests := []struct {
		name string
		errs []error // of the writes, one after the other
		lost uint64
	}{
		{"the first", []error{tooLong}, 1},
		{"one in the middle", []error{none, none, tooLong}, 1},
		{"two in a row", []error{none, tooLong, tooLong}, 2},
		{"the last", append(make([]error, outboxLen-1), tooLong), 1},
		{"one that a second try repairs", []error{none, none, refused}, 0},
		{"refused for long", repeat(refused, 4), 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &script{errs: test.errs}
			d := scripted(s, Config{})
			flows := d.fillDatagrams(outboxLen)
			d.flush(second)
			lost := d.stats.TotalLost()
			if lost.Datagrams != test.lost || (lost.Flows == 0) != (test.lost == 0) || uint64(len(s.sent)) != outboxLen+1-test.lost {
				t.Errorf("lost %+v, sent %d datagrams", lost, len(s.sent))
			}
			if d.stats.Datagrams != uint64(len(s.sent)) || d.stats.Exported.Flows+lost.Flows != flows || d.stats.Buffered != (Tally{}) {
				t.Errorf("of %d flows: %+v", flows, d.stats)
			}
		})
	}
}
