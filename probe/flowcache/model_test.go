package flowcache_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// model is the slow cache: no bound, no wheel, a map of records. It knows the rules of the package comment only.
type model struct {
	active, wait netflow.Timestamp
	waitReason   uint8
	tcp          bool
	details      bool
	outers       bool
	biflow       bool
	id           func(p *flowcache.Packet) flowID
	flows        map[flowID]*modelFlow
	now, latest  netflow.Timestamp
	started      bool
	out          []netflow.Record
}

type modelFlow struct {
	rec        netflow.Record
	seen, ends netflow.Timestamp // ends 0: no FIN yet
	some       bool              // a forward packet has come
	fins       [2]bool           // forward, back
}

func newModel(cfg flowcache.Config, id func(p *flowcache.Packet) flowID) *model {
	m := &model{active: netflow.Timestamp(cfg.Active.Microseconds()), wait: netflow.Timestamp(cfg.Inactive.Microseconds()),
		waitReason: netflow.EndReasonIdle, tcp: cfg.TCPExpiry, details: cfg.Details, outers: cfg.Outers, biflow: cfg.Biflow, id: id, flows: map[flowID]*modelFlow{}}
	if m.wait > m.active {
		m.wait, m.waitReason = m.active, netflow.EndReasonActive
	}
	return m
}

func (m *model) end(key flowID, otherwise uint8) {
	f := m.flows[key]
	f.rec.EndReason = otherwise
	if f.ends != 0 {
		f.rec.EndReason = netflow.EndReasonEndOfFlow
	} else if m.now-f.seen > m.wait {
		f.rec.EndReason = m.waitReason
	}
	m.out = append(m.out, f.rec)
	delete(m.flows, key)
}

func (m *model) flush() {
	for key := range m.flows {
		m.end(key, netflow.EndReasonForced)
	}
}

func (m *model) add(p *flowcache.Packet) {
	switch {
	case !m.started:
		m.started, m.latest, m.now = true, p.Time, p.Time
	case p.Time >= m.latest:
		m.latest, m.now = p.Time, max(m.now, p.Time)
	case m.now-p.Time > max(m.active, m.wait):
		m.flush()
		m.latest, m.now = p.Time, p.Time
	}
	key, back := m.find(p)
	var fins [2]bool
	if f := m.flows[key]; f != nil {
		span := max(f.rec.End, p.Time) - min(f.rec.Start, p.Time)
		if span > m.active || f.ends == 0 && m.now-f.seen > m.wait || f.ends != 0 && (m.now > f.ends || p.TCPFlags&netflow.TCPSyn != 0) {
			goesOn := m.now-f.seen <= m.wait && f.ends == 0
			m.end(key, netflow.EndReasonActive)
			if goesOn {
				fins = f.fins
			} else {
				key, back = m.find(p)
			}
		}
	}
	f := m.flows[key]
	if f == nil {
		f = &modelFlow{fins: fins, rec: netflow.Record{Start: p.Time, End: p.Time, SrcAddr: key.src, DstAddr: key.dst, Input: p.Input,
			SrcPort: p.SrcPort, DstPort: p.DstPort, Proto: p.Proto, TOS: p.TOS, VLAN: p.VLAN, SrcMAC: p.SrcMAC,
			DstMAC: p.DstMAC, IPVersion: p.IPVersion, ICMPType: p.ICMPType, ICMPCode: p.ICMPCode}}
		if m.biflow {
			f.rec.SrcPort, f.rec.DstPort = key.srcPort, key.dstPort
			if p.Proto == netflow.ProtoICMP {
				f.rec.ICMPType = uint8(key.dstPort >> 8)
			}
		}
		if back {
			f.rec.SrcMAC, f.rec.DstMAC = p.DstMAC, p.SrcMAC
		}
		if m.details {
			f.rec.CustomerVLAN, f.rec.MPLSLabel, f.rec.TunnelID = p.CustomerVLAN, p.MPLSLabel, p.TunnelID
		}
		if m.outers && p.Outer != 0 {
			o := around[p.Outer-1]
			if back {
				o.Src, o.Dst = o.Dst, o.Src
			}
			f.rec.TunnelSrcAddr, f.rec.TunnelDstAddr, f.rec.TunnelProto, f.rec.TunnelType = o.Src, o.Dst, o.Proto, o.Type
		}
		m.flows[key] = f
	}
	f.count(p, back, m.details)
	f.seen = m.now
	if m.tcp && f.ends == 0 && p.TCPFlags&(netflow.TCPFin|netflow.TCPRst) != 0 && (!m.biflow || f.closed(p)) {
		f.ends = m.now + min(1e6, m.wait)
	}
}

// count counts a packet.
func (f *modelFlow) count(p *flowcache.Packet, back, details bool) {
	r := &f.rec
	r.Start, r.End = min(r.Start, p.Time), max(r.End, p.Time)
	if back {
		r.ReversePackets++
		r.ReverseBytes += uint64(p.IPBytes)
		r.ReverseTCPFlags |= p.TCPFlags
		f.fins[1] = f.fins[1] || p.TCPFlags&netflow.TCPFin != 0
		return
	}
	r.Packets++
	r.Bytes += uint64(p.IPBytes)
	r.TCPFlags |= p.TCPFlags
	f.fins[0] = f.fins[0] || p.TCPFlags&netflow.TCPFin != 0
	if !details {
		return
	}
	if !f.some {
		r.MinLength, r.MinTTL = 1<<32-1, 255
		f.some = true
	}
	r.MinLength, r.MaxLength = min(r.MinLength, p.IPBytes), max(r.MaxLength, p.IPBytes)
	r.MinTTL, r.MaxTTL = min(r.MinTTL, p.TTL), max(r.MaxTTL, p.TTL)
	r.FragmentFlags |= p.FragmentFlags
}

// closed: the rule for biflows of TCP.
func (f *modelFlow) closed(p *flowcache.Packet) bool {
	return p.TCPFlags&netflow.TCPRst != 0 || (f.fins[0] || f.rec.Packets == 0) && (f.fins[1] || f.rec.ReversePackets == 0)
}

// find returns the key of the flow that a packet belongs to, or begins, and whether it is one of the way back.
func (m *model) find(p *flowcache.Packet) (key flowID, back bool) {
	key = m.id(p)
	if !m.biflow {
		return key, false
	}
	key.tos = 0
	turned := key
	turned.src, turned.dst, turned.srcMAC, turned.dstMAC = key.dst, key.src, key.dstMAC, key.srcMAC
	if p.Proto == netflow.ProtoICMP {
		switch p.ICMPType {
		case 8, 13: // a request is always forward
			return key, false
		case 0, 14: // and of an answer it is known who asked
			turned.dstPort = map[uint8]uint16{0: 8, 14: 13}[p.ICMPType]<<8 | uint16(p.ICMPCode)
			return turned, true
		}
	} else {
		turned.srcPort, turned.dstPort = key.dstPort, key.srcPort
	}
	if m.flows[key] != nil || key == turned {
		return key, false
	}
	const synAck = netflow.TCPSyn | netflow.TCPAck
	if m.flows[turned] != nil || p.Proto == netflow.ProtoTCP && p.TCPFlags&synAck == synAck {
		return turned, true
	}
	return key, false
}

// flowID is a key as a map wants it.
type flowID struct {
	version, proto, tos uint8
	src, dst            netflow.Addr
	srcPort, dstPort    uint16
	vlan                uint16
	input               uint32
	srcMAC, dstMAC      netflow.MAC
}

// defaultID is the default key; fullID all fields; pairID only addresses.
func defaultID(p *flowcache.Packet) flowID {
	return flowID{version: p.IPVersion, proto: p.Proto, tos: p.TOS, src: p.Src, dst: p.Dst, srcPort: p.SrcPort, dstPort: p.DstPort, input: p.Input}
}

func fullID(p *flowcache.Packet) flowID {
	id := defaultID(p)
	id.vlan, id.srcMAC, id.dstMAC = p.VLAN, p.SrcMAC, p.DstMAC
	return id
}

func pairID(p *flowcache.Packet) flowID {
	return flowID{version: p.IPVersion, src: p.Src, dst: p.Dst}
}

// around is what may be around packets.
var around = []dissect.Outer{
	{Src: netflow.AddrFrom4([4]byte{198, 51, 100, 1}), Dst: netflow.AddrFrom4([4]byte{198, 51, 100, 2}), Proto: 17, Type: netflow.TunnelVXLAN},
	{Src: netflow.AddrFrom4([4]byte{198, 51, 100, 2}), Dst: netflow.AddrFrom4([4]byte{198, 51, 100, 1}), Proto: 47, Type: netflow.TunnelGRE},
	{Src: netflow.Addr{0x20, 1, 15: 1}, Dst: netflow.Addr{0x20, 1, 15: 2}, Proto: 4},
	{}, // an Ethernet frame behind MPLS labels
}

// traffic makes random packets of up to flows different keys. Steps of time are mostly small; one in a thousand goes
// back, far or not.
func traffic(rng *rand.Rand, n, flows int, step netflow.Timestamp) []flowcache.Packet {
	pkts := make([]flowcache.Packet, n)
	now := netflow.Timestamp(1_700_000_000_000_000)
	for i := range pkts {
		now += netflow.Timestamp(rng.Int64N(int64(2*step) + 1))
		p := &pkts[i]
		switch rng.IntN(1000) {
		case 0:
			now -= netflow.Timestamp(rng.Int64N(int64(30 * time.Second / time.Microsecond)))
		case 1:
			if rng.IntN(10) == 0 {
				now -= netflow.Timestamp(rng.Int64N(int64(time.Hour / time.Microsecond)))
			}
		case 2:
			now += netflow.Timestamp(rng.Int64N(int64(time.Minute / time.Microsecond)))
		}
		p.Time = now
		f := rng.IntN(flows)
		p.IPVersion = 4
		p.Src, p.Dst = netflow.AddrFrom4([4]byte{10, 0, byte(f >> 8), byte(f)}), netflow.AddrFrom4([4]byte{192, 0, 2, byte(f % 7)})
		if f%5 == 0 { // the same bytes as IPv6: another flow
			p.IPVersion = 6
		}
		p.Proto = []uint8{netflow.ProtoTCP, netflow.ProtoTCP, netflow.ProtoUDP, netflow.ProtoICMP, 47}[f%11%5]
		switch p.Proto {
		case netflow.ProtoTCP:
			p.SrcPort, p.DstPort = uint16(f), 443
			p.TCPFlags = netflow.TCPAck
			switch rng.IntN(20) {
			case 0:
				p.TCPFlags |= netflow.TCPFin
			case 1:
				p.TCPFlags = netflow.TCPSyn
			case 2:
				p.TCPFlags = netflow.TCPRst
			}
		case netflow.ProtoUDP:
			p.SrcPort, p.DstPort = uint16(f), 53
		case netflow.ProtoICMP:
			p.ICMPType, p.ICMPCode = uint8(f%3), uint8(f%2)
			p.DstPort = uint16(p.ICMPType)<<8 | uint16(p.ICMPCode)
		}
		p.TOS = uint8(f % 3)
		p.Input = uint32(f % 2)
		p.VLAN = uint16(rng.IntN(3))
		p.SrcMAC = netflow.MACFrom(uint64(rng.IntN(2)))
		p.DstMAC = netflow.MACFrom(uint64(rng.IntN(2)))
		p.IPBytes = uint32(20 + rng.IntN(65000))
		p.TTL, p.FragmentFlags = uint8(rng.IntN(256)), uint8(rng.IntN(4)<<5)
		p.CustomerVLAN, p.MPLSLabel, p.TunnelID = uint16(rng.IntN(4096)), uint32(rng.IntN(1<<20)), uint32(rng.IntN(1<<24))
		p.Outer = uint32(rng.IntN(len(around) + 1))
	}
	return pkts
}

// answered turns about half of the packets round.
func answered(rng *rand.Rand, pkts []flowcache.Packet) []flowcache.Packet {
	for i := range pkts {
		p := &pkts[i]
		if p.Proto == netflow.ProtoICMP {
			p.ICMPType = []uint8{8, 13, 3}[p.ICMPType%3]
			p.DstPort = uint16(p.ICMPType)<<8 | uint16(p.ICMPCode)
		}
		if p.Proto == netflow.ProtoTCP && rng.IntN(8) == 0 {
			p.TCPFlags = netflow.TCPSyn | netflow.TCPAck
		}
		if rng.IntN(16) == 0 {
			p.Dst = p.Src
		}
		if rng.IntN(2) == 0 {
			continue
		}
		p.Src, p.Dst, p.SrcMAC, p.DstMAC = p.Dst, p.Src, p.DstMAC, p.SrcMAC
		switch {
		case p.Proto != netflow.ProtoICMP:
			p.SrcPort, p.DstPort = p.DstPort, p.SrcPort
		case p.ICMPType != 3:
			p.ICMPType = map[uint8]uint8{8: 0, 13: 14}[p.ICMPType]
			p.DstPort = uint16(p.ICMPType)<<8 | uint16(p.ICMPCode)
		}
	}
	return pkts
}

// run passes packets through a cache in batches of random sizes, calls Expire between some, and checks that nothing is
// lost on the way.
func run(t *testing.T, cfg flowcache.Config, rng *rand.Rand, pkts []flowcache.Packet) []netflow.Record {
	t.Helper()
	c, err := flowcache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out []netflow.Record
	var packets, bytes uint64
	emit := func(r *netflow.Record) {
		out = append(out, *r)
		packets += r.Packets + r.ReversePackets
		bytes += r.Bytes + r.ReverseBytes
	}
	var wantPackets, wantBytes uint64
	for rest := pkts; len(rest) > 0; {
		n := 1 + rng.IntN(min(len(rest), 80))
		if n == 1 && rest[0].Outer == 0 {
			p := rest[0]
			c.Add(p.Time, p.Input, &p.Packet, emit)
		} else {
			c.AddTunnelled(rest[:n], around, emit)
		}
		oldest := rest[n-1].Time
		for _, p := range rest[:n] {
			wantPackets++
			wantBytes += uint64(p.IPBytes)
			oldest = min(oldest, p.Time)
		}
		rest = rest[n:]
		if rng.IntN(20) == 0 {
			c.Expire(oldest, emit) // not beyond what packets said: that would be an event of its own
		}
		s := c.Stats()
		if s.Packets != wantPackets || s.Bytes != wantBytes || s.EmittedPackets != packets || s.EmittedBytes != bytes ||
			s.Flows > s.MaxFlows || s.PeakFlows > s.MaxFlows || s.Created != uint64(len(out)+s.Flows) || len(out) != int(sum(s.Emitted[:])) {
			t.Fatalf("%d packets of %d bytes in, %d records of %d packets and %d bytes out, but %+v", wantPackets, wantBytes, len(out), packets, bytes, s)
		}
	}
	c.Flush(emit)
	s := c.Stats()
	if packets != wantPackets || bytes != wantBytes || s.Flows != 0 || s.EmittedPackets != packets {
		t.Fatalf("in: %d packets, %d bytes; out: %d packets, %d bytes; %+v", wantPackets, wantBytes, packets, bytes, s)
	}
	return out
}

func sum(list []uint64) (n uint64) {
	for _, v := range list {
		n += v
	}
	return n
}

func sorted(records []netflow.Record) []netflow.Record {
	slices.SortFunc(records, func(a, b netflow.Record) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.ReverseBytes, b.ReverseBytes),
			slices.Compare(a.SrcAddr[:], b.SrcAddr[:]), slices.Compare(a.DstAddr[:], b.DstAddr[:]),
			cmp.Compare(a.Packets, b.Packets), cmp.Compare(a.TCPFlags, b.TCPFlags), cmp.Compare(a.EndReason, b.EndReason))
	})
	return records
}

func compare(t *testing.T, got, want []netflow.Record) {
	t.Helper()
	sorted(got)
	sorted(want)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("record %d of %d (want %d)\ngot  %+v\nwant %+v", i, len(got), len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
}

// TestModel compares the records with those of the slow cache, one by one.
func TestModel(t *testing.T) {
	base := flowcache.Config{MaxFlows: 20_000, Active: 20 * time.Second, Inactive: 3 * time.Second, TCPExpiry: true}
	noTCP := base
	noTCP.TCPExpiry = false
	long := base
	long.Active, long.Inactive = 1000*time.Hour, 2000*time.Hour
	short := base
	short.Active, short.Inactive = 2*time.Second, 40*time.Second
	tiny := base
	tiny.Active, tiny.Inactive = 50*time.Millisecond, 5*time.Millisecond
	all := base
	all.Key = flowcache.DefaultKey | flowcache.KeyVLAN | flowcache.KeySrcMAC | flowcache.KeyDstMAC
	pair := base
	pair.TCPExpiry = false
	pair.Key = flowcache.KeySrcAddr | flowcache.KeyDstAddr
	details, outers, biflow, bishort, biall := base, base, base, tiny, all
	outers.Outers = true
	details.Details = true
	biflow.Details, biflow.Outers, biflow.Biflow = true, true, true
	bishort.Biflow, biall.Biflow = true, true
	binot := biflow
	binot.TCPExpiry = false
	for name, c := range map[string]struct {
		cfg flowcache.Config
		id  func(p *flowcache.Packet) flowID
	}{
		"default": {base, defaultID}, "no tcp expiry": {noTCP, defaultID}, "long": {long, defaultID}, "inactive above active": {short, defaultID},
		"tiny": {tiny, defaultID}, "all fields": {all, fullID}, "addresses": {pair, pairID},
		"details": {details, defaultID}, "outers": {outers, defaultID}, "biflow": {biflow, defaultID}, "biflow, tiny": {bishort, defaultID}, "biflow, all fields": {biall, fullID},
		"biflow, no tcp expiry": {binot, defaultID},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				rng := rand.New(rand.NewPCG(seed, 1))
				pkts := traffic(rng, 10_000, 1+rng.IntN(1000), []netflow.Timestamp{1, 100, 5_000, 50_000}[seed%4])
				if c.cfg.Biflow {
					pkts = answered(rng, pkts)
				}
				m := newModel(c.cfg, c.id)
				for i := range pkts {
					m.add(&pkts[i])
				}
				m.flush()
				compare(t, run(t, c.cfg, rng, pkts), m.out)
			}
		})
	}
}

// TestModelFull has fewer places than flows: records are cut more often, but per key nothing is lost.
func TestModelFull(t *testing.T) {
	for _, places := range []int{1, 2, 7, 100} {
		for seed := range uint64(3) {
			rng := rand.New(rand.NewPCG(seed, 2))
			pkts := traffic(rng, 10_000, 300, 2_000)
			cfg := flowcache.Config{MaxFlows: places, Active: 20 * time.Second, Inactive: 3 * time.Second, TCPExpiry: true}
			want := map[flowID][2]uint64{}
			for _, p := range pkts {
				k := defaultID(&p)
				want[k] = [2]uint64{want[k][0] + 1, want[k][1] + uint64(p.IPBytes)}
			}
			got := map[flowID][2]uint64{}
			for _, r := range run(t, cfg, rng, pkts) {
				p := flowcache.Packet{Packet: dissect.Packet{Src: r.SrcAddr, Dst: r.DstAddr, SrcPort: r.SrcPort, DstPort: r.DstPort,
					Proto: r.Proto, TOS: r.TOS, IPVersion: r.IPVersion}, Input: r.Input}
				k := defaultID(&p)
				got[k] = [2]uint64{got[k][0] + r.Packets, got[k][1] + r.Bytes}
			}
			if !maps.Equal(got, want) {
				t.Fatalf("%d places, seed %d: packets and bytes by key differ", places, seed)
			}
			cfg.Biflow, cfg.Details, cfg.Outers, cfg.TCPMetrics = true, true, true, true
			run(t, cfg, rng, answered(rng, pkts))
		}
	}
}

// FuzzModel lets the fuzzer choose times, keys, flags and timeouts.
func FuzzModel(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint8(0), uint8(3), uint8(20))
	f.Add([]byte{0xf0, 0xf0, 0, 0, 0xf0, 0xf0, 0, 0, 60, 0, 0, 1}, uint8(0), uint8(3), uint8(20)) // before 1970
	f.Add([]byte{0, 0, 1, 0, 0xff, 0, 2, 1, 0x80, 0x80, 0, 0}, uint8(2), uint8(9), uint8(4))
	f.Fuzz(func(t *testing.T, script []byte, places, inactive, active uint8) {
		if places == 0 || places > 16 {
			places = 16 // there are no more sources
		}
		cfg := flowcache.Config{MaxFlows: int(places), Active: time.Duration(active)*300*time.Millisecond + time.Millisecond,
			Inactive: time.Duration(inactive)*300*time.Millisecond + time.Millisecond, TCPExpiry: len(script)%2 == 0, Seed: [32]byte{1}, Biflow: len(script)&2 != 0, Details: len(script)&2 != 0}
		var pkts []flowcache.Packet
		now := netflow.Timestamp(0)
		for ; len(script) >= 4; script = script[4:] {
			step := netflow.Timestamp(int8(script[0]))
			if step > 0 {
				step = 1 << (step / 4) // up to 2^31 µs
			} else {
				step *= 1 << (script[1] >> 4)
			}
			now += step
			p := flowcache.Packet{Time: now}
			p.Src[15], p.IPVersion, p.Proto = script[2]%16, 4, netflow.ProtoTCP
			p.TCPFlags = uint16(script[3])
			p.IPBytes = 40
			if cfg.Biflow && script[2]&16 != 0 {
				p.Src, p.Dst = p.Dst, p.Src
			}
			pkts = append(pkts, p)
		}
		rng := rand.New(rand.NewPCG(uint64(places), 3))
		got := run(t, cfg, rng, pkts) // checks that nothing is lost
		if places < 16 {
			return
		}
		m := newModel(cfg, defaultID)
		for i := range pkts {
			m.add(&pkts[i])
		}
		m.flush()
		compare(t, got, m.out)
	})
}
