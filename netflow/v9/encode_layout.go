package v9

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/layout"
)

const groups = layout.ICMP | layout.Link | layout.Route // the reverse counters are IPFIX's

// own is the fields that differ from IPFIX's. ICMP of IPv6 has its type and code apart (178, 179): nfcapd does not find
// them in 139.
var own = layout.Own{
	Base: []layout.Field{
		{ID: 7, Size: 2}, {ID: 11, Size: 2}, {ID: 4, Size: 1}, {ID: 6, Size: 1}, {ID: 5, Size: 1}, {ID: 60, Size: 1},
		{ID: 61, Size: 1}, {ID: 136, Size: 1}, {ID: 22, Size: 4}, {ID: 21, Size: 4}, {ID: 1, Size: 8}, {ID: 2, Size: 8},
		{ID: 10, Size: 4}, {ID: 14, Size: 4},
	},
	ICMP: [2][]layout.Field{
		layout.IPv4: {{ID: 32, Size: 2}},
		layout.IPv6: {{ID: 178, Size: 1}, {ID: 179, Size: 1}},
	},
	TCP: []layout.Field{{ID: 57581, Size: 4}}, // ntop's RETRANSMITTED_IN_PKTS; the round-trip time has no number
}

// tcpLen is the bytes of own.TCP.
const tcpLen = 4

// baseLen is the bytes of own.Base.
const baseLen = 42

func layoutOf(r *netflow.Record) layout.Layout {
	l := layout.Of(r)
	if r.TCPRetransmits == 0 {
		l &^= layout.TCP
	}
	return l
}

// write writes all bytes of a data record of layout l.
func write(p []byte, l layout.Layout, r *netflow.Record, first, last uint32) {
	if l&layout.TCP != 0 {
		binary.BigEndian.PutUint32(p[len(p)-tcpLen:], r.TCPRetransmits)
	}
	p = l.WriteAddresses(p, r)
	b, dstPort := (*[baseLen]byte)(p), r.DstPort
	if l.HasGroups() {
		dstPort = l.WriteGroups(p[baseLen:], r)
	}
	binary.BigEndian.PutUint16(b[0:], r.SrcPort)
	binary.BigEndian.PutUint16(b[2:], dstPort)
	b[4], b[5], b[6], b[7], b[8], b[9] = r.Proto, uint8(r.TCPFlags), r.TOS, r.IPVersion, r.Direction, r.EndReason
	binary.BigEndian.PutUint32(b[10:], first)
	binary.BigEndian.PutUint32(b[14:], last)
	binary.BigEndian.PutUint64(b[18:], r.Bytes)
	binary.BigEndian.PutUint64(b[26:], r.Packets)
	binary.BigEndian.PutUint32(b[34:], r.Input)
	binary.BigEndian.PutUint32(b[38:], r.Output)
}
