package archive

import (
	"math"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/internal/handover"
)

// flushEvery is how long a packet may wait in a Recorder for its block to fill, in packet time; handing it on takes up to
// as long again.
const flushEvery = netflow.Timestamp(400e3)

// block carries packets from a Recorder to the files.
type block struct {
	link    dissect.LinkType
	start   netflow.Timestamp // of its first packet
	packets uint64
	data    []byte // as the capture holds them
}

// Recorder takes the packets of one goroutine. It does not wait for the disk.
type Recorder struct {
	a     *Archive
	wait  bool
	block *block   // being filled, or nil
	ready []*block // full, to be handed on by Commit

	given, queueFull, badTime uint64 // since the last Commit
}

// NewRecorder makes a Recorder. With wait it waits for a free block when the disk is too slow, which is right for packets
// that come from files; else such packets are counted as not archived.
func (a *Archive) NewRecorder(wait bool) *Recorder {
	a.queue.Grow()
	return &Recorder{a: a, wait: wait}
}

// Add copies a packet. When it returns true, Commit is due: a packet has waited long enough. Commit must be called after
// at most 64 packets anyway.
func (r *Recorder) Add(link dissect.LinkType, t netflow.Timestamp, wireLen int, data []byte) (due bool) {
	r.given++
	if !storable(t) {
		r.badTime++
		return false
	}
	data = data[:min(len(data), r.a.cfg.SnapLen)]
	b := r.block
	if b == nil || b.link != link || len(b.data)+packetHeaderLen+len(data) > BlockSize {
		r.handOn()
		if b = r.a.queue.Get(r.wait); b == nil {
			r.queueFull++
			return false
		}
		b.link, b.start = link, t
		r.block = b
	}
	b.data = appendPacket(b.data, &Packet{t, wireLen, data})
	b.packets++
	return t-b.start >= flushEvery || t < b.start
}

func (r *Recorder) handOn() {
	if r.block != nil {
		r.ready = append(r.ready, r.block)
		r.block = nil
	}
}

// Commit counts the packets added since the last one, and hands on what is full or has waited long enough at the time now.
// It does not wait.
func (r *Recorder) Commit(now netflow.Timestamp) {
	if r.block != nil && (now-r.block.start >= flushEvery || now < r.block.start) {
		r.handOn()
	}
	if r.given > 0 {
		r.a.given.Add(r.given)
		r.a.queueFull.Add(r.queueFull)
		r.a.badTime.Add(r.badTime)
		r.given, r.queueFull, r.badTime = 0, 0, 0
	}
	if end := r.a.ends.Load(); len(r.ready) == 0 && r.block == nil && int64(now) >= end && r.a.ends.CompareAndSwap(end, math.MaxInt64) {
		if b := r.a.queue.Get(false); b != nil { // without packets: only to end the interval in time
			b.start = now
			r.ready = append(r.ready, b)
		}
	}
	if len(r.ready) > 0 {
		r.a.queue.Put(r.ready...)
		r.ready = r.ready[:0]
	}
}

// Flush hands on everything.
func (r *Recorder) Flush() {
	r.handOn()
	r.Commit(0)
}

func newQueue() *handover.Queue[block] {
	return handover.New(
		func() *block { return &block{data: make([]byte, 0, BlockSize)} },
		func(b *block) { b.data, b.packets = b.data[:0], 0 },
		QueueBlocks, QueueBlocks)
}
