package flowcache

import "github.com/caprock-net/caprock/netflow"

// Stats counts since New. Packets = EmittedPackets + packets of the flows held, and so with bytes;
// Created = the sum of Emitted + Flows.
type Stats struct {
	Packets uint64 // added
	Bytes   uint64 // IP bytes of them

	Created        uint64    // flows begun
	Emitted        [6]uint64 // flows ended, by netflow.EndReasonIdle and its siblings
	EmittedPackets uint64
	EmittedBytes   uint64
	Evicted        uint64 // Emitted[netflow.EndReasonResources]: ended to make room

	Backwards  uint64 // packets older than one before them
	ClockSteps uint64 // of those, so much older that all flows were ended and the clock was set anew

	Flows     int // held now
	PeakFlows int // most held at a time
	MaxFlows  int // Config.MaxFlows
}

// Stats returns the counters. Like all of Cache it is for the goroutine that adds packets.
func (c *Cache) Stats() Stats {
	s := c.stats
	s.Evicted = s.Emitted[netflow.EndReasonResources]
	s.MaxFlows = c.max
	return s
}

// emit hands out the flow of an entry.
func (c *Cache) emit(i uint32, reason uint8, emit func(*netflow.Record)) {
	e := &c.slab[i]
	c.stats.Emitted[reason]++
	c.stats.EmittedPackets += uint64(e.packets)
	c.stats.EmittedBytes += e.bytes
	r := &c.record
	*r = netflow.Record{
		Start:     e.start,
		End:       e.last,
		SrcAddr:   e.key.addr(0),
		DstAddr:   e.key.addr(2),
		Packets:   uint64(e.packets),
		Bytes:     e.bytes,
		Input:     uint32(e.key[4]),
		SrcPort:   uint16(e.key[4] >> 48),
		DstPort:   uint16(e.key[4] >> 32),
		TCPFlags:  e.flags(),
		VLAN:      uint16(e.key[5]),
		SrcMAC:    netflow.MACFrom(e.key[6] & macBits),
		DstMAC:    netflow.MACFrom(e.key[7] & macBits),
		IPVersion: uint8(e.key[5] >> 40),
		Proto:     uint8(e.key[5] >> 56),
		TOS:       uint8(e.key[5] >> 48),
		EndReason: reason,
	}
	if r.Proto == netflow.ProtoICMP || r.Proto == netflow.ProtoICMPv6 {
		r.ICMPType, r.ICMPCode = uint8(r.DstPort>>8), uint8(r.DstPort)
	}
	if c.extra != nil {
		c.extra.fill(i, r)
	}
	emit(r)
}
