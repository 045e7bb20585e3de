package flowcache

import (
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// What Config.TCPMetrics measures.
//
// The round-trip time is that of the handshake: from the last SYN to the first ACK behind it, both of the client, in
// sequence. On its way in between lies the one from here to the server and back, and the one from here to the client and
// back, so that it is the round-trip time of the whole path wherever on it the capture is. It takes the client's direction
// only; a uniflow of the server's direction has none. Where the flow has both (Config.Biflow) the time between the first
// SYN/ACK and the last is taken off: then one was lost behind us, and sent again. A flow cut by the active timeout has it
// in its first record.
//
// A segment is counted as retransmitted when it carries payload, SYN or FIN, and
//
//   - its sequence numbers, or some of them, were seen before; or
//   - it fills a gap that was seen to open longer ago than a round-trip time, or 3 ms when that is not known: the sender
//     could have learnt by then that the segment was lost, before it came here. What fills a gap sooner came out of order.
//
// A keep-alive is not counted: one byte, or none, before the next one expected. Sequence numbers are compared modulo 2^32
// (RFC 9293 section 3.4); one further off than the largest window, 2^30 (RFC 7323 section 2.3), or a SYN with another
// number, begins a new connection. Of gaps the three newest in each direction are known.

// handshake is what is kept of a flow to time its handshake.
type handshake struct {
	syn         netflow.Timestamp // the last one
	answer      netflow.Timestamp // first SYN/ACK after it; 0: none
	answerAgain netflow.Timestamp // and the last
	sequence    uint32            // of the byte behind SYN
	payload     uint32            // that came with SYN (RFC 7413)
	rtt         uint32            // µs; 0: not measured
	way         uint8             // of the client
	open        bool              // SYN has come, and the ACK not yet
}

// stream is what is kept of one direction of a flow of TCP.
type stream struct {
	next        uint32 // sequence number behind the last one seen
	first       uint32 // of SYN
	gaps        [3]gap // below next, the newest first
	retransmits uint32
	holes       uint8 // how many gaps there are
	began       bool  // next is known
	syn         bool  // first is known
}

// gap is sequence numbers that have not been seen, though such behind them were.
type gap struct {
	from, to uint32 // to is behind the last
	opened   uint32 // µs, modulo 2^32
}

const (
	maxWindow = 1 << 30 // RFC 7323 section 2.3
	reorder   = 3000    // µs: how late a segment may be while the round-trip time is not known
)

// of returns the streams of a flow.
func (x *extra) of(i uint32) []stream {
	if x.ways == nil {
		return x.streams[i : i+1]
	}
	return x.streams[2*i : 2*i+2]
}

func (h *handshake) begin(continues bool) {
	if !continues {
		*h = handshake{}
	}
	h.rtt = 0
}

func (s *stream) begin(continues bool) {
	if !continues {
		*s = stream{}
	}
	s.retransmits = 0
}

// countTCP measures a packet of TCP.
func (x *extra) countTCP(i uint32, way int, p *Packet) {
	if p.Fragment == dissect.Later || p.TCPFlags == 0 { // without a header
		return
	}
	h := &x.tcp[i]
	h.count(p, uint8(way))
	x.of(i)[way].count(p, h.rtt)
}

func (h *handshake) count(p *Packet, way uint8) {
	switch p.TCPFlags & (netflow.TCPSyn | netflow.TCPAck | netflow.TCPRst) {
	case netflow.TCPSyn:
		if h.rtt == 0 {
			*h = handshake{syn: p.Time, sequence: p.TCPSeq + 1, payload: p.TCPPayload, way: way, open: true}
		}
	case netflow.TCPSyn | netflow.TCPAck:
		if !h.open || way == h.way || p.TCPAck-h.sequence > h.payload {
			return
		}
		if h.answer == 0 {
			h.answer = p.Time
		}
		h.answerAgain = p.Time
	case netflow.TCPAck:
		if !h.open || way != h.way {
			return
		}
		h.open = false
		if p.TCPSeq-h.sequence > h.payload || p.Time < h.syn {
			return
		}
		h.rtt = uint32(min(max(p.Time-h.syn-(h.answerAgain-h.answer), 1), 1<<32-1))
	}
}

// count looks whether a segment has been seen before.
func (s *stream) count(p *Packet, rtt uint32) {
	const flags = netflow.TCPSyn | netflow.TCPFin
	if p.TCPFlags&netflow.TCPRst != 0 {
		return
	}
	length := p.TCPPayload
	for f := p.TCPFlags & flags; f != 0; f &= f - 1 { // each takes a number
		length++
	}
	end := p.TCPSeq + length
	ahead := int32(p.TCPSeq - s.next)
	switch {
	case p.TCPFlags&netflow.TCPSyn != 0:
		if s.syn && p.TCPSeq == s.first {
			s.retransmits++
			return
		}
		*s = stream{next: end, first: p.TCPSeq, retransmits: s.retransmits, began: true, syn: true}
	case !s.began, ahead > maxWindow, ahead < -maxWindow:
		*s = stream{next: end, retransmits: s.retransmits, began: true}
	case length == 0:
	case ahead >= 0:
		if ahead > 0 {
			s.open(gap{from: s.next, to: p.TCPSeq, opened: uint32(p.Time)})
		}
		s.next = end
	case ahead == -1 && length == 1 && p.TCPFlags&netflow.TCPFin == 0: // keep-alive
	default:
		if rtt == 0 {
			rtt = reorder
		}
		if s.resent(p.TCPSeq, min(length, uint32(-ahead)), uint32(p.Time), rtt) {
			s.retransmits++
		}
		if int32(end-s.next) > 0 {
			s.next = end
		}
	}
}

// open adds a gap; the oldest goes if there are too many.
func (s *stream) open(g gap) {
	copy(s.gaps[1:], s.gaps[:])
	s.gaps[0] = g
	s.holes = min(s.holes+1, uint8(len(s.gaps)))
}

// resent fills gaps with n sequence numbers that begin at from, all below next. It reports whether they are a
// retransmission: some of them had been seen, or they fill a gap as old as the round-trip time.
func (s *stream) resent(from, n, now, rtt uint32) bool {
	old := *s
	s.holes = 0
	filled, late := uint32(0), false
	for i := int(old.holes) - 1; i >= 0; i-- { // so that open leaves them in their order
		g := old.gaps[i]
		begin, end := int32(g.from-from), int32(g.to-from) // where the gap lies in the segment
		lo, hi := max(begin, 0), min(end, int32(n))
		if lo >= hi {
			s.open(g)
			continue
		}
		filled += uint32(hi - lo)
		late = late || int32(now-g.opened) >= int32(min(rtt, 1<<31-1))
		if begin < lo {
			s.open(gap{g.from, from, g.opened})
		}
		if hi < end {
			s.open(gap{from + uint32(hi), g.to, g.opened})
		}
	}
	return filled < n || late
}

// fillTCP completes the record of a flow; forward is the way of its source.
func (x *extra) fillTCP(i uint32, forward int, r *netflow.Record) {
	streams := x.of(i)
	r.TCPRTT = x.tcp[i].rtt
	r.TCPRetransmits = streams[forward].retransmits
	if len(streams) == 2 {
		r.ReverseTCPRetransmits = streams[1-forward].retransmits
	}
}
