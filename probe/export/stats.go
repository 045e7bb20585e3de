package export

import "github.com/caprock-net/caprock/netflow"

// Tally counts flows, and the packets and bytes that they stand for, of both directions.
type Tally struct{ Flows, Packets, Bytes uint64 }

func tallyOf(r *netflow.Record) Tally {
	return Tally{1, r.Packets + r.ReversePackets, r.Bytes + r.ReverseBytes}
}

func (t *Tally) add(u Tally) {
	t.Flows += u.Flows
	t.Packets += u.Packets
	t.Bytes += u.Bytes
}

func (t *Tally) sub(u Tally) {
	t.Flows -= u.Flows
	t.Packets -= u.Packets
	t.Bytes -= u.Bytes
}

// Stats says what became of the flows, as of the last datagram or Flush. For each destination
//
//	Given = NotCarried + Exported + Lost + Buffered + Missed
//
// holds for flows, and for packets and bytes too when Cut is added on the right. Where the flows are balanced among the
// destinations, it holds for the sum of all.
type Stats struct {
	Given Tally // what Export was called with

	// Not sent, because the protocol cannot carry it. Only v1 and v5 have such flows.
	IPv6      Tally
	NoAddress Tally // flows metered without addresses

	// Sent, but not all that the flow tells. Flows may be in several of these.
	Cut        Tally  // counters of more than 4 TiB in one flow: the flows, and what is missing of them; v1 and v5
	Split      uint64 // flows sent as several records, for a counter of more than 32 bits; nothing is missing; v1 and v5
	Uniflows   uint64 // flows of two directions sent as two records; nothing is missing; v1, v5 and v9
	Interfaces uint64 // flows with an ifIndex above 65535, sent as 0; v1 and v5
	ASNumbers  uint64 // flows with an AS number above 65535, sent as 23456; v5 (v1 has no AS numbers at all)
	NextHops   uint64 // flows with a next hop of the other address family, sent without; all protocols
	Durations  uint64 // flows of more than 12 days, sent with a later start; v1, v5 and v9

	Destinations []DestinationStats
}

// NotCarried adds up what the protocol cannot carry.
func (s *Stats) NotCarried() Tally {
	t := s.IPv6
	t.add(s.NoAddress)
	return t
}

// DestinationStats says what became of the flows on the way to one destination.
type DestinationStats struct {
	Destination string // as configured
	Remote      string // address and port that it has been resolved to
	Local       string // our address and port

	Removed     bool   // by a Change: it gets no more flows
	Stream      bool   // it is a connection, of TCP or TLS, and not UDP
	Connections uint64 // made so far

	Datagrams     uint64 // sent: messages, over a connection too
	DatagramBytes uint64 // of payload
	Records       uint64 // flow records in them; more than flows when flows were split

	Exported    Tally            // flows in datagrams sent
	Unconfirmed Tally            // of those exported: what the collector's system had not acknowledged when a connection broke
	Buffered    Tally            // flows waiting for their datagram to fill and leave, or in the queue for a connection
	Missed      Tally            // flows of the time when it was not a destination; unless they are balanced
	Lost        [NumFaults]Loss  // datagrams that could not be sent, and flows that did not get into one, by fault
	Errors      [NumFaults]int64 // errors of the socket, those included after which a second try succeeded
}

// Loss is what a fault has cost.
type Loss struct {
	Datagrams uint64
	Tally
}

// TotalLost adds up the losses of all faults.
func (d *DestinationStats) TotalLost() Loss {
	var sum Loss
	for _, l := range d.Lost {
		sum.Datagrams += l.Datagrams
		sum.add(l.Tally)
	}
	return sum
}

// Given adds up what the destination was given: exported, lost or buffered.
func (d *DestinationStats) Given() Tally {
	t := d.Exported
	t.add(d.Buffered)
	t.add(d.TotalLost().Tally)
	return t
}
