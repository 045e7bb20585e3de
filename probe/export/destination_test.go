package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// script is a socket whose writes fail as written down: one entry for each call, then success.
type script struct {
	errs  []error
	sent  [][]byte
	times []time.Time
	block bool // as a full socket buffer does
	calls int
}

func (s *script) Write(p []byte) (int, error) {
	s.calls++
	if s.block {
		time.Sleep(blockedFor)
		return 0, os.ErrDeadlineExceeded
	}
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		if err != nil {
			return 0, &os.SyscallError{Syscall: "write", Err: err}
		}
	}
	s.sent = append(s.sent, bytes.Clone(p))
	s.times = append(s.times, time.Now())
	return len(p), nil
}

// WriteMany is many calls of Write, but what fails is left to the next call.
func (s *script) WriteMany(ps [][]byte) (int, error) {
	for i, p := range ps {
		if i > 0 && len(s.errs) > 0 && s.errs[0] != nil {
			return i, nil
		}
		if _, err := s.Write(p); err != nil {
			return i, err
		}
	}
	return len(ps), nil
}

func (s *script) LocalAddr() net.Addr  { return nil }
func (s *script) RemoteAddr() net.Addr { return nil }
func (s *script) Close() error         { return nil }

const second = netflow.Timestamp(1e6)

func scripted(s *script, cfg Config) *destination {
	cfg = cfg.withDefaults()
	return newDestination("test", newEncoder(&cfg), s, &cfg)
}

// sendOne sends a datagram of one flow.
func (d *destination) sendOne() {
	r := netflow.Record{IPVersion: 4, Packets: 2, Bytes: 99, Start: second, End: second}
	d.add(second, &r, tallyOf(&r))
	d.flush(second)
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name    string
		errs    []error
		errors  int64 // counted
		fault   Fault
		sent    bool
		atMost  time.Duration
		atLeast time.Duration
	}{
		{"refused once: an earlier datagram's fate", repeat(syscall.ECONNREFUSED, 1), 1, FaultRefused, true, 0, 0},
		{"refused twice", repeat(syscall.ECONNREFUSED, 2), 2, FaultRefused, false, 0, 0},
		{"no buffers for a moment", repeat(syscall.ENOBUFS, 3), 3, FaultNoBuffers, true, 10 * time.Millisecond, 7 * time.Millisecond},
		{"no buffers", repeat(syscall.ENOBUFS, 99), 6, FaultNoBuffers, false, 50 * time.Millisecond, 0},
		{"no route", repeat(syscall.ENETUNREACH, 1), 1, FaultUnreachable, false, 0, 0},
		{"too long", repeat(syscall.EMSGSIZE, 1), 1, FaultTooLong, false, 0, 0},
		{"firewall", repeat(syscall.EPERM, 1), 1, FaultOther, false, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{errs: test.errs}
				d := scripted(s, Config{})
				began := time.Now()
				d.sendOne()
				if took := time.Since(began); took > test.atMost || took < test.atLeast {
					t.Errorf("took %v, want %v to %v", took, test.atLeast, test.atMost)
				}
				lost, exported := d.stats.Lost[test.fault], d.stats.Exported
				want := Tally{1, 2, 99}
				if test.sent && (exported != want || lost.Datagrams != 0) || !test.sent && (lost.Tally != want || lost.Datagrams != 1) {
					t.Errorf("exported %+v, lost %+v", exported, lost)
				}
				if d.stats.Errors[test.fault] != test.errors {
					t.Errorf("%d errors counted, want %d", d.stats.Errors[test.fault], test.errors)
				}
			})
		})
	}
}

func TestABlockedSocketIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{block: true}
		d := scripted(s, Config{})
		began := time.Now()
		for range 3 {
			d.sendOne()
		}
		if took := time.Since(began); took > 3*blockedFor || s.calls != 3 {
			t.Errorf("3 datagrams took %v in %d tries", took, s.calls)
		}
		if got := d.stats.Lost[FaultBlocked]; got.Datagrams != 3 || got.Flows != 3 {
			t.Errorf("lost %+v, want 3 datagrams with 3 flows", got)
		}
		s.block = false
		time.Sleep(time.Hour)
		d.sendOne()
		if len(s.sent) != 1 {
			t.Errorf("%d datagrams sent after an hour", len(s.sent))
		}
	})
}

// The sequence counts what was lost, so that a collector sees the gap; and templates follow a refusal.
func TestLossLeavesAGap(t *testing.T) {
	tests := []struct {
		protocol string
		at       int // offset of the sequence number
	}{{"ipfix", 8}, {"v9", 12}, {"v5", 16}}
	for _, test := range tests {
		s := &script{errs: []error{nil, syscall.ENETUNREACH, nil, nil}}
		d := scripted(s, Config{Protocol: test.protocol})
		for range 3 {
			d.sendOne()
		}
		first, last := binary.BigEndian.Uint32(s.sent[0][test.at:]), binary.BigEndian.Uint32(s.sent[1][test.at:])
		if len(s.sent) != 2 || last != first+2 {
			t.Errorf("%s: sequences %d, then %d after a loss, want a gap of one", test.protocol, first, last)
		}
	}
}

func TestComplaintsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &script{errs: repeat(syscall.ENETUNREACH, 1000)}
		d := scripted(s, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 180 {
			d.sendOne()
			time.Sleep(time.Second)
		}
		if n := strings.Count(log.String(), "\n"); n != 3 {
			t.Errorf("%d lines in three minutes, want 3:\n%s", n, &log)
		}
		for _, want := range []string{"destination=test", "fault=unreachable", "network is unreachable"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q: %s", want, &log)
			}
		}
	})
}

func TestPacing(t *testing.T) {
	for _, rate := range []int{1, 7, 100, 5000, 30000} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{}
			d := scripted(s, Config{MaxRate: rate})
			const seconds = 10
			n := min(rate*seconds, 20000)
			began := time.Now()
			for range n {
				d.sendOne()
			}
			took := time.Since(began)
			want := time.Duration(float64(n) / float64(rate) * float64(time.Second))
			if took < want-time.Second/time.Duration(rate)-burst-d.pacer.credit || took > want+time.Millisecond {
				t.Errorf("%d a second: %d datagrams took %v, want %v", rate, n, took, want)
			}
			within := func(window time.Duration) (most int) {
				for i := range s.times {
					j := i
					for j < len(s.times) && s.times[j].Sub(s.times[i]) < window {
						j++
					}
					most = max(most, j-i)
				}
				return most
			}
			const window = 10 * time.Millisecond
			if got, most := within(window), int(float64(rate)*(window+burst+d.pacer.credit).Seconds())+2; got > most {
				t.Errorf("%d a second: %d datagrams within %v, want at most %d", rate, got, window, most)
			}
			time.Sleep(time.Minute)
			idle := time.Now()
			s.times = nil
			for range 50 {
				d.sendOne()
			}
			if got, most := within(time.Microsecond), 2+int(float64(rate)*(burst+d.pacer.credit).Seconds()); got > most {
				t.Errorf("%d a second: a burst of %d after idling since %v, want at most %d", rate, got, idle, most)
			}
		})
	}
}

func TestUnlimitedDoesNotSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := scripted(&script{}, Config{})
		began := time.Now()
		for range 1000 {
			d.sendOne()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("slept %v", took)
		}
	})
}

func TestFaultNames(t *testing.T) {
	if faultOf(errors.New("?")) != FaultOther {
		t.Error("an unknown error is not other")
	}
	for f := range Fault(NumFaults) {
		if f.String() == "" {
			t.Errorf("fault %d has no name", f)
		}
	}
}
