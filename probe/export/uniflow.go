package export

import (
	"github.com/caprock-net/caprock/netflow"
	v5 "github.com/caprock-net/caprock/netflow/v5"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// The protocols before IPFIX have no reverse counters, and those before version 9 have counters of 32 bits. Here a flow
// becomes the records that such a protocol can carry. It is counted with the last of them.

func (e *Exporter) exportV9(now netflow.Timestamp, r *netflow.Record) {
	if e.uptimes && v9.CutsStart(r) {
		e.stats.Durations++
	}
	if !twoWay(r) {
		e.send(now, r, tallyOf(r))
		return
	}
	e.stats.Uniflows++
	e.split(r)
	if e.forth.Packets|e.forth.Bytes != 0 {
		e.send(now, &e.forth, Tally{0, e.forth.Packets, e.forth.Bytes})
	}
	e.send(now, &e.back, Tally{1, e.back.Packets, e.back.Bytes})
}

func (e *Exporter) exportV5(now netflow.Timestamp, r *netflow.Record) {
	limits := v5.LimitsOf(r)
	switch {
	case limits&v5.LimitIPv6 != 0:
		e.stats.IPv6.add(tallyOf(r))
	case limits&v5.LimitNoAddress != 0:
		e.stats.NoAddress.add(tallyOf(r))
	case !twoWay(r):
		e.countLimits(limits)
		e.sendParts(now, r, 1)
	default:
		e.stats.Uniflows++
		e.split(r)
		e.countLimits(limits | v5.LimitsOf(&e.back))
		if e.forth.Packets|e.forth.Bytes != 0 {
			e.sendParts(now, &e.forth, 0)
		}
		e.sendParts(now, &e.back, 1)
	}
}

// sendParts sends a record, in parts if its counters demand it; the last of them counts as so many flows.
func (e *Exporter) sendParts(now netflow.Timestamp, r *netflow.Record, flows uint64) {
	n := v5.Parts(r)
	if n == 1 {
		e.send(now, r, Tally{flows, r.Packets, r.Bytes})
		return
	}
	missing := Tally{0, r.Packets, r.Bytes}
	for i := range n {
		e.part = v5.Part(r, i, n)
		t := Tally{0, e.part.Packets, e.part.Bytes}
		missing.sub(t)
		if i == n-1 {
			t.Flows = flows
		}
		e.send(now, &e.part, t)
	}
	e.stats.Cut.add(missing)
}

func (e *Exporter) countLimits(l v5.Limits) {
	if l == 0 {
		return
	}
	count := func(limit v5.Limits, n *uint64) {
		if l&limit != 0 {
			*n++
		}
	}
	count(v5.LimitSplit, &e.stats.Split)
	count(v5.LimitClamped, &e.stats.Cut.Flows)
	count(v5.LimitInterface, &e.stats.Interfaces)
	if e.version == netflow.VersionV5 {
		count(v5.LimitAS, &e.stats.ASNumbers)
	}
	count(v5.LimitDuration, &e.stats.Durations)
}

// twoWay reports whether a flow has packets of both directions.
func twoWay(r *netflow.Record) bool { return r.ReversePackets|r.ReverseBytes != 0 }

// split makes e.forth and e.back the two directions of a flow. Both get its times, for there are no others. The next hop
// of the way back is not known. ICMP has its type and code in the place of the destination port: there it stays, of a
// request as that of its reply.
func (e *Exporter) split(r *netflow.Record) {
	f, b := &e.forth, &e.back
	*f = *r
	f.ReversePackets, f.ReverseBytes, f.ReverseTCPFlags, f.ReverseTCPRetransmits = 0, 0, 0, 0
	*b = *f
	b.Packets, b.Bytes, b.TCPFlags, b.TCPRetransmits = r.ReversePackets, r.ReverseBytes, r.ReverseTCPFlags, r.ReverseTCPRetransmits
	b.TCPRTT, b.MinTTL, b.MaxTTL, b.MinLength, b.MaxLength, b.FragmentFlags = 0, 0, 0, 0, 0, 0 // they are of the way forth
	b.SrcAddr, b.DstAddr, b.NextHop = r.DstAddr, r.SrcAddr, netflow.Addr{}
	if r.Proto != netflow.ProtoICMP && r.Proto != netflow.ProtoICMPv6 {
		b.SrcPort, b.DstPort = r.DstPort, r.SrcPort
	} else if reply, ok := netflow.ICMPReply(r.Proto, r.ICMPType); ok {
		b.ICMPType, b.DstPort = reply, uint16(reply)<<8|uint16(r.ICMPCode)
	}
	b.Input, b.Output = r.Output, r.Input
	b.SrcAS, b.DstAS = r.DstAS, r.SrcAS
	b.SrcMask, b.DstMask = r.DstMask, r.SrcMask
	b.SrcMAC, b.DstMAC = r.DstMAC, r.SrcMAC
}
