package flowcache

import (
	"math"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// Packet is a dissected packet with what the capture knows of it.
type Packet struct {
	dissect.Packet
	Time  netflow.Timestamp // when it was captured
	Input uint32            // interface it came in by (ifIndex)
	Outer uint32            // 1 + number of what was around it, see AddTunnelled; 0: nothing
}

// BatchSize is the number of packets that AddBatch works on at once; larger slices are cut.
const BatchSize = 32

// linger is how long a flow is kept after FIN or RST, in microseconds.
const linger netflow.Timestamp = 1e6

// sweepPerPacket is how many due flows are looked at per packet while the sweep is at most a second late.
const sweepPerPacket = 4

// Cache holds the flows that have not ended. It must be made by New.
type Cache struct {
	mask   key
	hasher hasher
	slots  []uint64 // hash << 32 | index into slab; 0: empty
	slab   []entry  // 0 is not used
	used   uint32   // entries of slab in use or in the list of free ones
	free   uint32   // first free entry, linked by next
	wheel  wheel

	active     netflow.Timestamp // longest span of a flow
	wait       netflow.Timestamp // a flow not seen for so long ends,
	waitReason uint8             // for this reason
	tcp        bool
	biflow     bool
	max        int
	extra      *extra // nil: nothing beyond the entries

	now     netflow.Timestamp // never goes back, except by a clock step
	latest  netflow.Timestamp // newest packet; Expire does not move it
	running bool              // a packet has set the clock

	stats  Stats
	record netflow.Record // handed to emit

	// Scratch of AddBatch.
	keys    [BatchSize]key
	hashes  [BatchSize]uint32
	found   [BatchSize]uint32
	touched uint64
}

// New makes a Cache.
func New(cfg Config) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Biflow {
		cfg.Key &^= KeyTOS
	}
	mask := cfg.Key.mask()
	c := &Cache{
		mask:       mask,
		hasher:     newHasher(cfg.Seed, mask[6]|mask[7] != 0),
		slab:       make([]entry, cfg.MaxFlows+1),
		used:       1,
		active:     netflow.Timestamp(cfg.Active.Microseconds()),
		wait:       netflow.Timestamp(min(cfg.Active, cfg.Inactive).Microseconds()),
		waitReason: netflow.EndReasonIdle,
		tcp:        cfg.TCPExpiry && cfg.Key&KeyFiveTuple == KeyFiveTuple,
		biflow:     cfg.Biflow,
		max:        cfg.MaxFlows,
		extra:      newExtra(&cfg, mask),
	}
	if cfg.Inactive > cfg.Active {
		c.waitReason = netflow.EndReasonActive
	}
	hugePages(c.slab)
	c.slots = make([]uint64, min(slotsFor(cfg.MaxFlows), minSlots))
	c.wheel = newWheel(c.wait)
	return c, nil
}

// Add is AddBatch of one packet. now is the packet's time, input the interface it came in by.
func (c *Cache) Add(now netflow.Timestamp, input uint32, p *dissect.Packet, emit func(*netflow.Record)) {
	pkt := Packet{Packet: *p, Time: now, Input: input}
	k := &c.keys[0]
	k.load(&pkt)
	if c.biflow {
		k.orient(&pkt, &c.mask)
	}
	c.add(&pkt, k, c.hasher.sum(k, &c.mask), 0, emit)
	c.sweepDue(sweepPerPacket, emit)
}

// AddBatch counts packets, in their order. emit is called for each flow found to have ended; the record is valid during
// the call only. emit must not call the Cache.
func (c *Cache) AddBatch(pkts []Packet, emit func(*netflow.Record)) {
	for len(pkts) > BatchSize {
		c.batch(pkts[:BatchSize], emit)
		pkts = pkts[BatchSize:]
	}
	c.batch(pkts, emit)
}

// AddTunnelled is AddBatch of packets of which some were taken out of tunnels: outers[p.Outer-1] was around p.
func (c *Cache) AddTunnelled(pkts []Packet, outers []dissect.Outer, emit func(*netflow.Record)) {
	if c.extra != nil {
		c.extra.around = outers
	}
	c.AddBatch(pkts, emit)
}

// batch adds at most BatchSize packets. The loops before the last one only bring what it needs into the CPU's cache. They
// are short and their loads do not depend on each other, so the CPU has many misses under way at a time: compare
// BenchmarkAddBatch with BenchmarkAdd.
func (c *Cache) batch(pkts []Packet, emit func(*netflow.Record)) {
	keys, hashes, found := c.keys[:len(pkts)], c.hashes[:len(pkts)], c.found[:len(pkts)]
	for i := range pkts {
		k := &keys[i]
		k.load(&pkts[i])
		if c.biflow {
			k.orient(&pkts[i], &c.mask)
		}
		hashes[i] = c.hasher.sum(k, &c.mask)
	}
	slots, mask := c.slots, uint32(len(c.slots)-1)
	var touched uint64
	for _, h := range hashes {
		touched += slots[h&mask]
	}
	for i, h := range hashes {
		found[i] = 0
		for pos := h & mask; slots[pos] != 0; pos = (pos + 1) & mask {
			if uint32(slots[pos]>>32) == h {
				found[i] = uint32(slots[pos])
				break
			}
		}
	}
	for _, i := range found {
		touched += c.slab[i].touch()
	}
	if c.tcp {
		for i, f := range found {
			if pkts[i].TCPFlags&(netflow.TCPFin|netflow.TCPRst) != 0 {
				touched += c.touchNeighbours(f)
			}
		}
	}
	if c.extra != nil {
		touched += c.extra.touch(found)
	}
	c.touched = touched // else the compiler may drop the loads
	for i := range pkts {
		c.add(&pkts[i], &keys[i], hashes[i], found[i], emit)
	}
	c.sweepDue(sweepPerPacket*len(pkts), emit)
}

// add counts one packet. The entry of its flow is likely the one named.
func (c *Cache) add(p *Packet, k *key, hash, likely uint32, emit func(*netflow.Record)) {
	if p.Time >= c.latest && c.running { // most are: setClock is no call then
		c.latest = p.Time
		c.now = max(c.now, p.Time)
	} else {
		c.setClock(p.Time, emit)
	}
	if c.now-c.wheel.due > late { // time has leapt: the flow's place may be further ahead than the wheel is large
		c.sweep(sweepPerPacket, emit)
	}
	c.stats.Packets++
	c.stats.Bytes += uint64(p.IPBytes)

	i := likely
	if e := &c.slab[i]; e.packets == 0 || !same(&e.key, k, &c.mask, c.hasher.l2) {
		i = c.find(hash, k)
	}
	if i == 0 {
		i = c.insert(hash, k, p.Time, emit)
	} else if e := &c.slab[i]; c.over(e, p) {
		c.restart(i, k, p.Time, c.reason(e, netflow.EndReasonActive), emit)
	}
	e := &c.slab[i]
	e.start = min(e.start, p.Time)
	e.last = max(e.last, p.Time)
	if !e.ending() {
		e.seen = c.now
	}
	e.packets++
	e.bytes += uint64(p.IPBytes)
	e.key[5] |= uint64(p.TCPFlags) << flagsShift
	if c.extra != nil {
		c.extra.count(i, p, k)
	}
	if p.TCPFlags&(netflow.TCPFin|netflow.TCPRst) != 0 && c.tcp && !e.ending() && (!c.biflow || c.extra.ways[i].closed(e, p)) {
		c.unlink(i) // before it is ending: it is in the ring
		e.key[5] |= endingBit
		e.seen = c.now + min(linger, c.wait)
		c.pushEnding(i)
	}
}

// setClock takes the time of a packet: the clock follows it forward, and back only by more than the active timeout, which no
// flow outlasts.
func (c *Cache) setClock(t netflow.Timestamp, emit func(*netflow.Record)) {
	if t >= c.latest && c.running {
		c.latest = t
		c.now = max(c.now, t)
		return
	}
	if !c.running {
		c.running = true
		c.now, c.latest = t, t
		c.rewind()
		return
	}
	c.stats.Backwards++
	if c.now-t > max(c.active, c.wait) {
		c.stats.ClockSteps++
		c.Flush(emit)
		c.now, c.latest = t, t
		c.rewind()
	}
}

// over reports whether a packet cannot belong to the flow e, though it has the same key.
func (c *Cache) over(e *entry, p *Packet) bool {
	switch {
	case max(e.last, p.Time)-min(e.start, p.Time) > c.active, e.packets == math.MaxUint32:
		return true
	case e.ending():
		return c.now > e.seen || p.TCPFlags&netflow.TCPSyn != 0
	}
	return c.now-e.seen > c.wait
}

// reason says why the flow e ends; otherwise is the reason if it would not do so by itself.
func (c *Cache) reason(e *entry, otherwise uint8) uint8 {
	switch {
	case e.ending():
		return netflow.EndReasonEndOfFlow
	case c.now-e.seen > c.wait:
		return c.waitReason
	}
	return otherwise
}

// insert makes an entry for a flow that is not in the table.
func (c *Cache) insert(hash uint32, k *key, t netflow.Timestamp, emit func(*netflow.Record)) uint32 {
	for c.stats.Flows >= c.max {
		c.evict(emit)
	}
	i := c.free
	if i != 0 {
		c.free = c.slab[i].next
	} else {
		i = c.used
		c.used++
	}
	c.slab[i] = entry{key: *k, start: t, last: t, seen: c.now}
	if c.extra != nil {
		c.extra.begin(i, false)
	}
	c.stats.Flows++
	c.stats.PeakFlows = max(c.stats.PeakFlows, c.stats.Flows)
	c.stats.Created++
	c.place(i)
	c.putSlot(hash, i, emit)
	return i
}

// restart emits the flow of an entry and begins the next one of the same key in it.
func (c *Cache) restart(i uint32, k *key, t netflow.Timestamp, reason uint8, emit func(*netflow.Record)) {
	e := &c.slab[i]
	c.emit(i, reason, emit)
	c.stats.Created++
	if c.extra != nil {
		c.extra.begin(i, !e.ending() && c.now-e.seen <= c.wait)
	}
	if e.ending() {
		c.unlink(i)
		e.key[5] &^= endingBit
		e.seen = c.now
		c.place(i)
	}
	prev := e.prev()
	e.key, e.start, e.last = *k, t, t
	e.setPrev(prev)
	e.packets, e.bytes = 0, 0
}

// remove emits a flow and frees its entry.
func (c *Cache) remove(i uint32, reason uint8, emit func(*netflow.Record)) {
	e := &c.slab[i]
	c.deleteSlot(c.hasher.sum(&e.key, &c.mask), i)
	c.unlink(i)
	c.stats.Flows--
	c.emit(i, reason, emit)
	e.packets = 0
	e.next = c.free
	c.free = i
}

// Expire moves the clock to now, unless it is there already, and emits every flow that has ended by then. A live probe
// calls it about once a second, so that flows leave when no packets come.
func (c *Cache) Expire(now netflow.Timestamp, emit func(*netflow.Record)) {
	if !c.running {
		return
	}
	c.now = max(c.now, now)
	c.sweep(-1, emit)
}

// Flush emits all flows: those that have ended for the reason they did, the others with EndReasonForced. When they are
// many, the table and the wheel are emptied as a whole, so that a flow costs no more than reading it; when they are few, one
// by one, so that a clock set back with each packet does not empty a large table each time.
func (c *Cache) Flush(emit func(*netflow.Record)) {
	whole := c.stats.Flows > len(c.slots)/16
	for i := uint32(1); i < c.used && c.stats.Flows > 0; i++ {
		e := &c.slab[i]
		switch {
		case e.packets == 0:
		case whole:
			c.stats.Flows--
			c.emit(i, c.reason(e, netflow.EndReasonForced), emit)
			e.packets = 0
		default:
			c.remove(i, c.reason(e, netflow.EndReasonForced), emit)
		}
	}
	if whole {
		clear(c.slots)
		clear(c.wheel.heads)
		c.wheel.tail, c.wheel.ending = 0, 0
	}
	c.used, c.free = 1, 0
}
