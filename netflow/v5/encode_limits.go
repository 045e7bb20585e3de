package v5

import (
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/uptime"
)

// Limits is a set of things about a flow that versions 1 and 5 cannot say, one bit each.
type Limits uint8

// The limits. A flow with one of the first two is not carried at all.
const (
	LimitIPv6      Limits = 1 << iota // an IPv6 flow: not carried
	LimitNoAddress                    // a flow without addresses: not carried
	LimitInterface                    // an ifIndex above 65535: written as 0, unknown
	LimitAS                           // an AS number above 65535: written as AS_TRANS, 23456 (RFC 6793)
	LimitSplit                        // a counter of more than 32 bits: the flow becomes several records with the same sums
	LimitClamped                      // a counter so large that even MaxParts records cannot hold it: cut
	LimitDuration                     // longer than 12 days: the start is moved
)

// maxCounter is the greatest value of a counter.
const maxCounter = 1<<32 - 1

// MaxParts is the greatest number of records that a flow is split into; together they count 4 TiB.
const MaxParts = 1024

// LimitsOf returns what versions 1 and 5 cannot say of a flow; zero for nearly every IPv4 flow. It looks at the forward
// direction only.
func LimitsOf(r *netflow.Record) Limits {
	var l Limits
	switch r.IPVersion {
	case 4:
	case 6:
		return LimitIPv6
	default:
		return LimitNoAddress
	}
	if r.Input > 0xffff || r.Output > 0xffff {
		l |= LimitInterface
	}
	if r.SrcAS > 0xffff || r.DstAS > 0xffff {
		l |= LimitAS
	}
	if most := max(r.Packets, r.Bytes); most > maxCounter {
		l |= LimitSplit
		if most > MaxParts*maxCounter {
			l |= LimitClamped
		}
	}
	if r.Start > 0 && r.End-r.Start > uptime.MaxDuration {
		l |= LimitDuration
	}
	return l
}

// Parts returns how many records a flow needs so that each counter fits into 32 bits: 1 for nearly every flow, never more
// than MaxParts.
func Parts(r *netflow.Record) int {
	most := max(r.Packets, r.Bytes)
	if most <= maxCounter {
		return 1
	}
	return int(min((most-1)/maxCounter+1, MaxParts))
}

// Part returns part i of n of a flow: the flow with an equal share of packets and bytes. The shares of all parts add up
// to the flow, unless LimitsOf has LimitClamped.
func Part(r *netflow.Record, i, n int) netflow.Record {
	p := *r
	p.Packets = share(r.Packets, uint64(i), uint64(n))
	p.Bytes = share(r.Bytes, uint64(i), uint64(n))
	return p
}

// share gives the remainder to the first parts, one each.
func share(total, i, n uint64) uint64 {
	v := total / n
	if i < total%n {
		v++
	}
	return min(v, maxCounter)
}
