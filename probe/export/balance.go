package export

import (
	"bytes"
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
)

// Balances are the values of Config.Balance.
var Balances = []string{"none", "round-robin", "hash"}

// choose returns the destinations of a flow.
func (e *Exporter) choose(r *netflow.Record) []sender {
	n := len(e.destinations)
	if n <= 1 || e.balance == "none" {
		return e.destinations
	}
	i := e.turn
	if e.balance == "hash" {
		i = int(hash(r) >> 32 * uint64(n) >> 32)
	} else if e.turn++; e.turn == n {
		e.turn = 0
	}
	return e.destinations[i : i+1]
}

// hash is the same for both directions of a conversation: addresses, ports and protocol. ICMP has no ports, and its type
// and code, which stand in their place, differ in an answer. It does not change from one run to the next.
func hash(r *netflow.Record) uint64 {
	var a, b [18]byte
	*(*netflow.Addr)(a[:]), *(*netflow.Addr)(b[:]) = r.SrcAddr, r.DstAddr
	if r.Proto != netflow.ProtoICMP && r.Proto != netflow.ProtoICMPv6 {
		binary.BigEndian.PutUint16(a[16:], r.SrcPort)
		binary.BigEndian.PutUint16(b[16:], r.DstPort)
	}
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	h := uint64(r.Proto)
	for _, p := range [...]*[18]byte{&a, &b} {
		for _, v := range [...]uint64{binary.BigEndian.Uint64(p[:]), binary.BigEndian.Uint64(p[8:]), uint64(binary.BigEndian.Uint16(p[16:]))} {
			h = mix(h ^ v)
		}
	}
	return h
}

// mix is the finalizer of splitmix64: every bit of v changes every bit of the result in half of the cases.
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
