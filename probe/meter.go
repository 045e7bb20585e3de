package probe

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/export"
	"github.com/caprock-net/caprock/probe/filter"
	"github.com/caprock-net/caprock/probe/flowcache"
	"github.com/caprock-net/caprock/probe/fragment"
)

const (
	second = netflow.Timestamp(1e6)

	// commitFrames bounds the frames that are not yet counted when few of them are IP.
	commitFrames = 2 * flowcache.BatchSize

	// watchEvery is how often the kernel's counters of drops are looked at, for the log.
	watchEvery = time.Minute
)

// meter makes flows of the packets of a source. One goroutine runs it; what mu guards others may read.
type meter struct {
	live   bool
	queue  *queue  // nil: flows are counted and forgotten
	outlet *outlet // of flows that need no queue; nil: they go by it
	log    *slog.Logger

	batch   [flowcache.BatchSize]flowcache.Packet
	n       int      // packets in batch
	pending verdicts // frames not yet counted
	now     netflow.Timestamp
	ticked  netflow.Timestamp // when a chunk was last handed on
	chunk   *chunk            // being filled, or nil
	emit    func(*netflow.Record)
	unknown map[dissect.LinkType]bool // link types that have been complained of

	recorder *archive.Recorder // nil: packets are not kept
	tap      *capture.TapPort  // nil: packets are not sent on
	matcher  *filter.Matcher   // of files; nil: every packet is metered
	sampler  *sampler          // of frames; nil: all are metered
	flows    *flowSampler      // nil: all flows are metered
	workers  *workers          // they get the packets; nil: cache does

	decap     dissect.Tunnels // to look into
	outers    []dissect.Outer // what was around the packets of batch; nil: nobody wants to know
	fragments *fragment.Table // nil: later fragments have no ports

	watched time.Time
	told    capture.Stats // as of watched

	ignored atomic.Uint64 // packets dropped or malformed, as the exporter was told last

	mu      sync.Mutex
	cache   *flowcache.Cache // nil: workers have the flows
	sources []*sourceState   // the last one is being read
	tapped  capture.TapCounts
	refused export.Tally // flows that found the queue full
	passed  uint64       // packets given to the workers
	taken   uint64       // packets that this one has taken as a worker
}

// verdicts counts frames by what became of them.
type verdicts struct {
	frames, bytes, nonIP, malformed, unsupported, filtered, unsampled uint64

	tunnelled, notFollowed, portless uint64 // of those metered
}

func (v *verdicts) add(w verdicts) {
	v.frames += w.frames
	v.bytes += w.bytes
	v.nonIP += w.nonIP
	v.malformed += w.malformed
	v.unsupported += w.unsupported
	v.filtered += w.filtered
	v.tunnelled += w.tunnelled
	v.notFollowed += w.notFollowed
	v.portless += w.portless
	v.unsampled += w.unsampled
}

// newMeter makes a meter with a table of flows.
func newMeter(cfg *Config, q *queue) (*meter, error) {
	cache, err := flowcache.New(cfg.cacheConfig())
	if err != nil {
		return nil, err
	}
	m := newReader(cfg)
	m.cache, m.queue = cache, q
	return m, nil
}

// newReader makes a meter without, for workers.
func newReader(cfg *Config) *meter {
	m := &meter{live: len(cfg.Interfaces) > 0, log: cfg.Logger, unknown: map[dissect.LinkType]bool{}}
	m.emit = m.hand
	m.decap, m.fragments = cfg.Decap, cfg.newFragments()
	if cfg.cacheConfig().Outers {
		m.outers = make([]dissect.Outer, len(m.batch))
	}
	m.sampler, m.flows = newSampler(&cfg.Sample), newFlowSampler(&cfg.Sample)
	if cfg.Filter != nil && !m.live {
		m.matcher = filter.NewMatcher(cfg.Filter)
	}
	return m
}

// run meters a source to its end. The error is the one that ended it, if it was not its end.
func (m *meter) run(s *sourceState) error {
	var err error
	for frame := new(capture.Frame); ; {
		if err = s.source.Next(frame); err == nil {
			wanted := true
			if m.matcher != nil {
				wanted, err = m.wants(s, frame)
			}
			if wanted {
				if m.sampler == nil || m.sampler.next() {
					m.take(s, frame)
				} else {
					m.leave(s, frame)
				}
			}
			if err == nil {
				continue
			}
		}
		if !errors.Is(err, capture.ErrIdle) {
			break
		}
		m.idle(s)
	}
	m.commit(s)
	m.mu.Lock() // others may ask for its counters
	defer m.mu.Unlock()
	stats := s.source.Stats()
	errClose := s.source.Close()
	if err == io.EOF {
		err = errClose
	}
	s.source, s.stats, s.err = nil, stats, err
	return err
}

// take dissects a frame into the batch.
func (m *meter) take(s *sourceState, f *capture.Frame) {
	m.see(f)
	p := &m.batch[m.n]
	verdict := dissect.Dissect(f.Link, f.Data, f.WireLen, &p.Packet)
	if m.decap != 0 || p.Fragment != dissect.Whole {
		verdict = m.lookInto(f, verdict, &p.Packet)
	}
	switch verdict {
	case dissect.OK:
		if m.flows != nil && !m.flows.takes(&p.Packet) {
			m.pending.unsampled++
			break
		}
		p.Time, p.Input = f.Time, f.Interface
		m.n++
	case dissect.NonIP:
		m.pending.nonIP++
	case dissect.Malformed:
		m.pending.malformed++
	default:
		m.pending.unsupported++
		if !m.unknown[f.Link] {
			m.unknown[f.Link] = true
			m.log.Warn("frames of this link type are counted, but not metered", "source", s.name, "link", int(f.Link))
		}
	}
	m.keep(s, f)
}

// see counts a frame. All that come from a source are counted here, whatever becomes of them.
func (m *meter) see(f *capture.Frame) {
	m.now = f.Time
	m.pending.frames++
	m.pending.bytes += uint64(f.WireLen)
}

// keep gives archive and tap a frame, metered or not, and settles when there is reason to.
func (m *meter) keep(s *sourceState, f *capture.Frame) {
	due := m.recorder != nil && m.recorder.Add(f.Link, f.Time, f.WireLen, f.Data)
	if m.tap != nil && m.send(s, f) {
		due = true
	}
	if m.n == len(m.batch) || m.pending.frames == commitFrames || due || m.now-m.ticked >= second {
		m.settle(s)
	}
}

// settle counts what has been read, and lets time go on.
func (m *meter) settle(s *sourceState) {
	m.commit(s)
	if m.now-m.ticked >= second || m.now < m.ticked {
		m.tick(s)
	}
}

// commit gives the batch to the cache.
func (m *meter) commit(s *sourceState) {
	if s.feed != nil {
		s.feed.Add(m.batch[:m.n])
	}
	m.sendNow()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.counts.add(m.pending)
	m.pending = verdicts{}
	if m.tap != nil {
		m.tapped.Add(m.tap.Take())
	}
	if m.recorder != nil {
		m.recorder.Commit(m.now)
	}
	if m.workers != nil {
		m.workers.share(s, m.now, m.batch[:m.n], m.outers)
		m.passed += uint64(m.n)
	} else {
		m.cache.AddTunnelled(m.batch[:m.n], m.outers, m.emit)
	}
	m.n = 0
}

// idle lets the machine's clock run in place of the packets'.
func (m *meter) idle(s *sourceState) {
	m.now = netflow.TimestampOf(time.Now())
	m.commit(s)
	m.expire()
	if m.now-m.ticked >= second || m.now < m.ticked {
		m.tick(s)
	}
}

// expire lets the cache know the time. Packets tell it too, but there may be none, or none that it gets.
func (m *meter) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cache.Expire(m.now, m.emit)
}

// tick is called about once a second of packet time. Flows must not wait longer for their chunk to fill, and the exporter
// looks at the time only when a chunk comes.
func (m *meter) tick(s *sourceState) {
	m.ticked = m.now
	if m.workers != nil {
		m.workers.handOver()
	}
	if m.live {
		m.expire()
		m.watch(s)
	}
	m.pass()
}

// pass hands the chunk on, be it empty.
func (m *meter) pass() {
	if m.queue == nil {
		return
	}
	if m.chunk == nil {
		if m.chunk = m.queue.Get(!m.live); m.chunk == nil {
			return
		}
	}
	m.chunk.now = m.now
	if m.outlet != nil {
		m.outlet.send(m.chunk)
		m.chunk.flows = m.chunk.flows[:0]
		return
	}
	if len(m.chunk.flows) == cap(m.chunk.flows) {
		m.queue.PutMore(m.chunk) // each second one goes that is not full
	} else {
		m.queue.Put(m.chunk)
	}
	m.chunk = nil
}

// hand puts a flow into the chunk; it is what the cache emits to.
func (m *meter) hand(r *netflow.Record) {
	if m.queue == nil {
		return
	}
	if m.chunk == nil {
		if m.chunk = m.queue.Get(!m.live); m.chunk == nil {
			m.refused.Flows++
			m.refused.Packets += r.Packets + r.ReversePackets
			m.refused.Bytes += r.Bytes + r.ReverseBytes
			return
		}
	}
	m.chunk.flows = append(m.chunk.flows, *r)
	if len(m.chunk.flows) == cap(m.chunk.flows) {
		m.pass()
	}
}

// flush ends all flows. No packets come any more, so that waiting for the exporter costs none.
func (m *meter) flush() {
	m.live = false
	if m.workers != nil {
		m.workers.end()
	}
	m.mu.Lock()
	if m.cache != nil {
		m.cache.Flush(m.emit)
	}
	if m.recorder != nil {
		m.recorder.Flush()
	}
	m.mu.Unlock()
	m.pass()
}

// watch logs what an operator should know while it happens.
func (m *meter) watch(s *sourceState) {
	if now := time.Now(); now.Sub(m.watched) >= watchEvery {
		m.watched = now
	} else {
		return
	}
	stats := s.source.Stats()
	if n := stats.Dropped - m.told.Dropped; n > 0 {
		m.log.Warn("the kernel dropped packets: the ring was full (--ring-size makes it larger)", "interface", s.name, "packets", n)
	}
	if n := stats.Downs - m.told.Downs; n > 0 && s.ring == 0 {
		m.log.Warn("the interface was down", "interface", s.name, "times", n)
	}
	m.told = stats
}
