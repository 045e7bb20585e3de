package probe

import (
	"sync"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

const (
	parcelPackets = 256 // go to a worker at a time
	parcels       = 4   // for each worker: one is filled, one worked on, the others wait
)

// workers keep the flows of files when there are several. One goroutine reads the file and does all that depends on the
// packets before (filter, sampling, fragments, archive, accounting), so that it does not depend on how many workers there
// are; what costs most, the table of flows, is shared out by a hash of the flow. The workers go by the clock of the whole
// file: the reader tells each of them of the packets of others that matter (see flowcache.Clock). So the same flows come
// out as from one table, whose order alone differs; but for a full table, since each worker has a part of the flows only.
type workers struct {
	split   *flowcache.Split
	clock   flowcache.Clock
	shows   netflow.Timestamp // clock, but for the packet being shared out
	running bool              // there has been a packet
	now     netflow.Timestamp // of the reader
	all     []*worker
	working sync.WaitGroup
}

// worker is a goroutine with a table.
type worker struct {
	meter  *meter
	parcel *parcel // being filled
	full   chan *parcel
	free   chan *parcel
}

// parcel is what a worker gets at a time.
type parcel struct {
	source  *sourceState
	packets []flowcache.Packet
	outers  []dissect.Outer   // that packets name
	marks   []mark            // in order
	clock   netflow.Timestamp // behind them
	running bool              // clock has been set
	now     netflow.Timestamp
}

// mark is a time of the clock that the worker cannot know from its own packets.
type mark struct {
	at   int // before this packet
	time netflow.Timestamp
}

func newWorker(m *meter) *worker {
	w := &worker{meter: m, full: make(chan *parcel, parcels), free: make(chan *parcel, parcels)}
	for range parcels {
		w.free <- &parcel{packets: make([]flowcache.Packet, 0, parcelPackets), marks: make([]mark, 0, 2*parcelPackets)}
	}
	w.parcel = <-w.free
	return w
}

// start lets the workers work until end.
func (w *workers) start() {
	for _, to := range w.all {
		w.working.Go(to.run)
	}
}

// end returns when all flows have ended.
func (w *workers) end() {
	w.handOver()
	for _, to := range w.all {
		close(to.full)
	}
	w.working.Wait()
}

// share gives each packet, with what was around it, to the worker that has its flow. It waits for workers that are too slow.
func (w *workers) share(s *sourceState, now netflow.Timestamp, packets []flowcache.Packet, outers []dissect.Outer) {
	w.now = now
	for i := range packets {
		p := &packets[i]
		to := w.all[w.split.Of(p)]
		if to.parcel.source != s {
			if len(to.parcel.packets) > 0 {
				w.hand(to)
			}
			to.parcel.source = s
		}
		before, kind := w.clock.Take(p.Time)
		switch kind {
		case flowcache.Behind:
			w.mark(to, before)
		case flowcache.Step:
			w.step(to, before, p.Time)
		}
		if p.Outer != 0 {
			to.parcel.outers = append(to.parcel.outers, outers[p.Outer-1])
			p.Outer = uint32(len(to.parcel.outers))
		}
		to.parcel.packets = append(to.parcel.packets, *p)
		w.shows, w.running = w.clock.Now(), true
		if len(to.parcel.packets) == parcelPackets {
			w.hand(to)
		}
	}
}

// step tells all workers of a packet that sets the clock back, but for its own one, which will see.
func (w *workers) step(own *worker, before, t netflow.Timestamp) {
	for _, to := range w.all {
		w.mark(to, before)
		if to != own {
			w.mark(to, t)
		}
	}
}

func (w *workers) mark(to *worker, t netflow.Timestamp) {
	if len(to.parcel.marks) >= cap(to.parcel.marks)-1 {
		w.hand(to)
	}
	to.parcel.marks = append(to.parcel.marks, mark{len(to.parcel.packets), t})
}

// handOver gives the workers what there is, and the time, be there nothing.
func (w *workers) handOver() {
	for _, to := range w.all {
		w.hand(to)
	}
}

// hand gives a worker its parcel.
func (w *workers) hand(to *worker) {
	b := to.parcel
	b.clock, b.running, b.now = w.shows, w.running, w.now
	to.full <- b
	to.parcel = <-to.free
	to.parcel.source = b.source
}

// run works until there are no more parcels, and ends the flows.
func (w *worker) run() {
	for b := range w.full {
		w.meter.work(b)
		b.packets, b.outers, b.marks = b.packets[:0], b.outers[:0], b.marks[:0]
		w.free <- b
	}
	w.meter.flush()
}

// work adds a parcel to the worker's table.
func (m *meter) work(b *parcel) {
	m.mu.Lock()
	if b.source != nil && (len(m.sources) == 0 || m.sources[0].origin != b.source.origin) {
		m.sources = []*sourceState{{origin: b.source.origin, ring: 1}} // for the console, which lists flows; the reader counts
	}
	from := 0
	for _, k := range b.marks {
		m.cache.AddTunnelled(b.packets[from:k.at], b.outers, m.emit)
		m.cache.Follow(k.time, m.emit)
		from = k.at
	}
	m.cache.AddTunnelled(b.packets[from:], b.outers, m.emit)
	if b.running {
		m.cache.Follow(b.clock, m.emit)
	}
	m.taken += uint64(len(b.packets))
	m.now = b.now
	due := m.now-m.ticked >= second || m.now < m.ticked
	if due {
		m.cache.Expire(b.clock, m.emit)
	}
	m.mu.Unlock()
	if due {
		m.ticked = m.now
		m.pass()
	}
}
