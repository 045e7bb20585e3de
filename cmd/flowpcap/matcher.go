package main

import (
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/storage/query"
)

// matcher tells which keys a filter chooses.
type matcher struct {
	filter *query.Filter
	row    *netflow.Batch // one row, of the key in question
}

func newMatcher(f *query.Filter) *matcher {
	m := &matcher{filter: f, row: netflow.NewBatch(1)}
	m.row.Extend(1, known)
	return m
}

func (m *matcher) match(k *archive.Key) bool {
	b := m.row
	b.SrcAddr[0], b.DstAddr[0], b.SrcPort[0], b.DstPort[0] = k.Src, k.Dst, k.SrcPort, k.DstPort
	b.Proto[0], b.IPVersion[0] = k.Proto, k.IPVersion
	b.ICMPType[0], b.ICMPCode[0] = 0, 0
	if k.Proto == netflow.ProtoICMP || k.Proto == netflow.ProtoICMPv6 {
		b.ICMPType[0], b.ICMPCode[0] = uint8(k.DstPort>>8), uint8(k.DstPort)
	}
	return m.filter.Match(b, 0)
}

// conditions are those of a filter that an index can be asked for.
func conditions(f *query.Filter) (conditions []archive.Condition) {
	for _, c := range f.Conditions() {
		x := archive.Condition{
			Src:   c.Columns.Has(netflow.SrcAddr) || c.Columns.Has(netflow.SrcPort),
			Dst:   c.Columns.Has(netflow.DstAddr) || c.Columns.Has(netflow.DstPort),
			Addrs: c.Addrs,
		}
		if !x.Src && !x.Dst && c.Columns != netflow.SetOf(netflow.Proto) {
			continue // the version of IP, or ICMP's type
		}
		for _, r := range c.Ranges {
			if r.Lo <= 65535 {
				x.Numbers = append(x.Numbers, archive.Range{Lo: uint16(r.Lo), Hi: uint16(min(r.Hi, 65535))})
			}
		}
		conditions = append(conditions, x)
	}
	return conditions
}
