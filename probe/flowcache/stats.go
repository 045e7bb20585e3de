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
	if c.extra != nil {
		*r = netflow.Record{} // else only the fields below are ever set
	}
	r.Start, r.End = e.start, e.last
	r.SrcAddr, r.DstAddr = e.key.addr(0), e.key.addr(2)
	r.Packets, r.Bytes = uint64(e.packets), e.bytes
	r.SrcPort, r.DstPort, r.Input = uint16(e.key[4]>>48), uint16(e.key[4]>>32), uint32(e.key[4])
	r.Proto, r.TOS, r.IPVersion, r.VLAN = uint8(e.key[5]>>56), uint8(e.key[5]>>48), uint8(e.key[5]>>40), uint16(e.key[5])
	r.SrcMAC, r.DstMAC = netflow.MACFrom(e.key[6]&macBits), netflow.MACFrom(e.key[7]&macBits)
	r.TCPFlags, r.EndReason = e.flags(), reason
	r.ICMPType, r.ICMPCode = 0, 0
	if r.Proto == netflow.ProtoICMP || r.Proto == netflow.ProtoICMPv6 {
		r.ICMPType, r.ICMPCode = uint8(r.DstPort>>8), uint8(r.DstPort)
	}
	if c.extra != nil {
		c.extra.fill(i, r)
	}
	emit(r)
}
