package export

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// DefaultQueueFlows bounds the flows that wait for a connection, at each destination. They take 240 bytes each.
const DefaultQueueFlows = 1 << 16

// patience is how long a stream waits for what.
type patience struct {
	connect   time.Duration // for a connection, and then for the TLS handshake
	settle    time.Duration // at least, for a collector that accepts connections only to close them
	settleTLS time.Duration // the same, with a certificate to verify
	write     time.Duration // for room to write one message
	backoff   time.Duration // after the first failure to connect; doubled with each one more
	longest   time.Duration // bound of backoff
	lived     time.Duration // a connection that lasted so long was none of the failures
	drain     time.Duration // at the end, for what is queued to be sent
	goodbye   time.Duration // at the end, for the collector to close
	complain  time.Duration // between lines in the log
}

var usualPatience = patience{
	connect: 10 * time.Second, settle: 50 * time.Millisecond, settleTLS: 250 * time.Millisecond, write: 30 * time.Second, backoff: 500 * time.Millisecond, longest: 30 * time.Second,
	lived: 10 * time.Second, drain: 5 * time.Second, goodbye: 2 * time.Second, complain: complainEvery,
}

// stream sends one collector its flows over TCP or TLS. Flows wait in a bounded queue, as they are; a goroutine makes
// messages of them, so that sequence numbers and templates are the connection's. A flow leaves the queue when the kernel
// has taken the whole message: a connection that breaks costs only what kernels held then. What was in ours is counted
// (DestinationStats.Unconfirmed); what the collector's had received and the collector not read, only the collector knows.
type stream struct {
	cfg      Config
	tls      *tls.Config // nil: TCP
	resolver *resolver
	patience patience
	log      *slog.Logger
	cancel   context.CancelFunc
	wake     chan struct{} // there is something to send, or the end
	room     chan struct{} // flows have left the queue
	done     chan struct{} // the goroutine has ended

	mu      sync.Mutex
	queue   flowRing
	now     netflow.Timestamp // of the flows
	held    int               // of the queue's first flows, those that are in the message at hand
	in, out uint64            // flows that came into the queue, and that left it
	mark    uint64            // flows up to this one are to be sent in messages that are not full, too
	flying  inFlight          // of this connection
	idle    bool              // the goroutine waits to be woken
	open    bool              // there is a connection
	started bool
	closing bool
	stuck   time.Time // since when the queue has been full without any progress; zero: it is not
	silent  time.Time // errors are not logged before
	stats   DestinationStats

	announcer announcer
}

// newStream looks up the name; start connects.
func newStream(name string, e endpoint, cfg *Config, tlsConfig *tls.Config) (*stream, error) {
	r, err := newResolver(e, cfg)
	if err != nil {
		return nil, err
	}
	s := &stream{
		cfg: *cfg, resolver: r, patience: usualPatience, log: cfg.Logger.With("destination", name),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{}), queue: flowRing{bound: cfg.QueueFlows},
		stats:     DestinationStats{Destination: name, Remote: r.addresses()[0].String(), Stream: true},
		announcer: newAnnouncer(cfg),
	}
	if e.transport == "tls" {
		s.tls = serverConfig(tlsConfig, e.host)
	}
	return s, nil
}

func (s *stream) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.started = cancel, true
	s.resolver.start()
	go s.run(ctx)
}

// add queues a flow. When the queue is full it waits for room, as long as Config.Wait allows, and else counts the flow as lost.
func (s *stream) add(now netflow.Timestamp, r *netflow.Record, t Tally) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
	if s.queue.full() && !s.waitForRoom() {
		s.lose(FaultQueueFull, t)
		return false
	}
	s.queue.push(r)
	s.in++
	s.stats.Buffered.add(t)
	if s.idle && s.queue.len()-s.held >= s.enough() {
		s.wakeUp()
	}
	return false
}

// enough flows surely fill a message, or the queue.
func (s *stream) enough() int { return min(s.cfg.MTU/64+1, s.queue.bound) }

// waitForRoom reports whether the queue has room now. The patience is the queue's, not each flow's: as long as nothing
// leaves, it is not asked for twice.
func (s *stream) waitForRoom() bool {
	if s.cfg.Wait <= 0 {
		return false
	}
	if s.stuck.IsZero() {
		s.stuck = time.Now()
	}
	s.wakeUp()
	for s.queue.full() {
		left := s.cfg.Wait - time.Since(s.stuck)
		if left <= 0 {
			return false
		}
		t := time.NewTimer(left)
		s.mu.Unlock()
		select {
		case <-s.room:
		case <-t.C:
		}
		t.Stop()
		s.mu.Lock()
		if s.stuck.IsZero() {
			s.stuck = time.Now() // there was progress: patience begins anew
		}
	}
	s.stuck = time.Time{}
	return true
}

// lose counts flows that are not sent.
func (s *stream) lose(f Fault, t Tally) {
	s.stats.Lost[f].add(t)
	s.announcer.lost(s.now)
	if now := time.Now(); now.After(s.silent) {
		s.silent = now.Add(s.patience.complain)
		s.log.Warn("flows are lost", "fault", f.String(), "flows", s.stats.Lost[f].Flows)
	}
}

// flush has everything queued sent soon, in messages that are not full too.
func (s *stream) flush(now netflow.Timestamp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.mark = now, s.in
	if s.queue.len() > 0 {
		s.wakeUp()
	}
}

func (s *stream) wakeUp() { signal(s.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *stream) snapshot() DestinationStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// end lets the goroutine send what is queued, and end.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		close(s.done)
		return
	}
	s.closing = true
	drain := s.patience.drain
	if s.stuck.IsZero() || time.Since(s.stuck) < s.cfg.Wait { // else it was waited for already
		drain = max(drain, s.cfg.Wait)
	}
	if s.queue.len() == 0 && !s.open {
		drain = 0
	}
	s.wakeUp()
	time.AfterFunc(drain, s.cancel)
}

// close waits for that, for a bounded time. What could not be sent is counted.
func (s *stream) close() error {
	<-s.done
	s.resolver.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.stats.Buffered; left.Flows > 0 {
		s.stats.Buffered = Tally{}
		s.silent = time.Time{}
		s.lose(FaultUnsent, left)
	}
	return nil
}
