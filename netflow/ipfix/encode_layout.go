package ipfix

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/layout"
)

const groups = layout.ICMP | layout.Link | layout.Route | layout.Both

// own is the fields that differ from those of NetFlow v9.
var own = layout.Own{
	Base: []layout.Field{
		{ID: 7, Size: 2}, {ID: 11, Size: 2}, {ID: 4, Size: 1}, {ID: 6, Size: 2}, {ID: 5, Size: 1}, {ID: 60, Size: 1},
		{ID: 152, Size: 8}, {ID: 153, Size: 8}, {ID: 1, Size: 8}, {ID: 2, Size: 8}, {ID: 10, Size: 4}, {ID: 14, Size: 4},
		{ID: 136, Size: 1}, {ID: 61, Size: 1},
	},
	ICMP: [2][]layout.Field{
		layout.IPv4: {{ID: 176, Size: 1}, {ID: 177, Size: 1}},
		layout.IPv6: {{ID: 178, Size: 1}, {ID: 179, Size: 1}},
	},
	TCP: []layout.Field{
		{ID: 69, Size: 4, Enterprise: netflow.PENFlowmon}, // Flowmon's npmRoundTripTime, microseconds
		{ID: 109, Size: 4, Enterprise: netflow.PENNtop},   // ntop's RETRANSMITTED_IN_PKTS
		{ID: 110, Size: 4, Enterprise: netflow.PENNtop},   // ntop's RETRANSMITTED_OUT_PKTS: the other direction's
	},
}

// tcpLen is the bytes of own.TCP.
const tcpLen = 12

// baseLen is the bytes of own.Base.
const baseLen = 51

// write writes all bytes of a data record of layout l.
func write(p []byte, l layout.Layout, r *netflow.Record) {
	if l&layout.TCP != 0 {
		tcp := p[len(p)-tcpLen:]
		binary.BigEndian.PutUint32(tcp[0:], r.TCPRTT)
		binary.BigEndian.PutUint32(tcp[4:], r.TCPRetransmits)
		binary.BigEndian.PutUint32(tcp[8:], r.ReverseTCPRetransmits)
	}
	p = l.WriteAddresses(p, r)
	b, dstPort := (*[baseLen]byte)(p), r.DstPort
	if l.HasGroups() {
		dstPort = l.WriteGroups(p[baseLen:], r)
	}
	binary.BigEndian.PutUint16(b[0:], r.SrcPort)
	binary.BigEndian.PutUint16(b[2:], dstPort)
	b[4] = r.Proto
	binary.BigEndian.PutUint16(b[5:], r.TCPFlags)
	b[7], b[8] = r.TOS, r.IPVersion
	binary.BigEndian.PutUint64(b[9:], milliseconds(r.Start))
	binary.BigEndian.PutUint64(b[17:], milliseconds(r.End))
	binary.BigEndian.PutUint64(b[25:], r.Bytes)
	binary.BigEndian.PutUint64(b[33:], r.Packets)
	binary.BigEndian.PutUint32(b[41:], r.Input)
	binary.BigEndian.PutUint32(b[45:], r.Output)
	b[49], b[50] = r.EndReason, r.Direction
}

// milliseconds cuts a time to what elements 152 and 153 hold; a time that is not told stays 0.
func milliseconds(t netflow.Timestamp) uint64 { return uint64(max(t, 0)) / 1000 }
