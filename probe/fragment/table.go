// Package fragment remembers the ports of first fragments, so that the later fragments of a datagram, which have none, are
// metered in the same flow: packets come in, as dissect has filled them, and leave with their ports.
//
// A Table has a fixed size and no pointers, and needs no memory per packet. An entry is known for Lifetime of packet time.
// Where it lies is told by a hash with a secret of the process, in a set of a few entries, of which the oldest gives way:
// a flood of first fragments costs what is in the table, and nothing else.
//
// A Table is for one goroutine.
package fragment

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

const (
	// Entries is how many datagrams a table knows.
	Entries = 4096

	// Bytes is the memory that a table takes.
	Bytes = Entries * entryBytes

	// Lifetime is how long the ports of a datagram are known after its first fragment, in microseconds: as long as Linux
	// waits for the rest.
	Lifetime netflow.Timestamp = 30e6

	ways       = 8 // entries of a set
	sets       = Entries / ways
	entryBytes = 64
)

// entry is a datagram.
type entry struct {
	time             netflow.Timestamp // of the first fragment
	key              key
	srcPort, dstPort uint16
	proto            uint8 // of the transport header
	used             bool
	_                [2]uint8
}

// key tells datagrams apart (RFC 791 section 3.2; RFC 8200 section 4.5, where the protocol is none of it), on an interface
// and in a tunnel.
type key struct {
	src, dst       netflow.Addr
	id             uint32
	input          uint32
	tunnel         uint32
	version, proto uint8
	_              [2]uint8
}

// Table holds the ports of datagrams.
type Table struct {
	seed    maphash.Seed
	entries []entry
}

// New makes a table of Bytes bytes.
func New() *Table {
	return &Table{seed: maphash.MakeSeed(), entries: make([]entry, Entries)}
}

// Join remembers the ports of p if it is a first fragment, and gives p those of its first fragment if it is a later one
// that came after that; of ICMP the type and code, of IPv6 also the protocol, when extension headers stand in front of it.
// It reports whether p is complete: false is a later fragment that has no ports, and might.
func (t *Table) Join(now netflow.Timestamp, input uint32, p *dissect.Packet) bool {
	k := key{src: p.Src, dst: p.Dst, id: p.FragmentID, input: input, tunnel: p.TunnelID, version: p.IPVersion}
	if p.IPVersion == 4 {
		k.proto = p.Proto
		if !hasPorts(p.Proto) {
			return true
		}
	}
	switch p.Fragment {
	case dissect.First:
		icmp := p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 // of which 0 is a type
		if hasPorts(p.Proto) && (p.SrcPort != 0 || p.DstPort != 0 || icmp) {
			e := t.place(now, &k)
			*e = entry{time: now, key: k, srcPort: p.SrcPort, dstPort: p.DstPort, proto: p.Proto, used: true}
		}
	case dissect.Later:
		e := t.find(now, &k)
		if e == nil {
			return !hasPorts(p.Proto)
		}
		p.SrcPort, p.DstPort, p.Proto = e.srcPort, e.dstPort, e.proto
		if p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 {
			p.ICMPType, p.ICMPCode = uint8(e.dstPort>>8), uint8(e.dstPort)
		}
	}
	return true
}

// hasPorts reports whether dissect finds ports, or type and code, in the headers of a protocol.
func hasPorts(proto uint8) bool {
	switch proto {
	case netflow.ProtoTCP, netflow.ProtoUDP, netflow.ProtoSCTP, netflow.ProtoDCCP, netflow.ProtoUDPLite, netflow.ProtoICMP, netflow.ProtoICMPv6:
		return true
	}
	return false
}

// set returns the entries where a datagram may be.
func (t *Table) set(k *key) []entry {
	var b [46]byte
	copy(b[:], k.src[:])
	copy(b[16:], k.dst[:])
	binary.LittleEndian.PutUint32(b[32:], k.id)
	binary.LittleEndian.PutUint32(b[36:], k.input)
	binary.LittleEndian.PutUint32(b[40:], k.tunnel)
	b[44], b[45] = k.version, k.proto
	at := maphash.Bytes(t.seed, b[:]) % sets * ways
	return t.entries[at : at+ways]
}

// dead reports whether an entry is free or too old. A clock that was set back makes it dead too.
func (e *entry) dead(now netflow.Timestamp) bool {
	age := now - e.time
	return !e.used || age > Lifetime || age < -Lifetime
}

// find returns the entry of a datagram, or nil.
func (t *Table) find(now netflow.Timestamp, k *key) *entry {
	set := t.set(k)
	for i := range set {
		if e := &set[i]; e.key.id == k.id && e.key == *k && !e.dead(now) {
			return e
		}
	}
	return nil
}

// place returns the entry that a datagram is to have: its own, a dead one, or the oldest.
func (t *Table) place(now netflow.Timestamp, k *key) *entry {
	set := t.set(k)
	best := &set[0]
	for i := range set {
		e := &set[i]
		if e.key.id == k.id && e.key == *k { // mostly the first comparison says no
			return e
		}
		if e.dead(now) {
			if !best.dead(now) {
				best = e
			}
		} else if !best.dead(now) && e.time < best.time {
			best = e
		}
	}
	return best
}
