package flowcache

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// Biflows (RFC 5103). The table knows one key for both ways of a conversation: that of the packets of way 0, which are
// those whose source is the lesser end; packets of way 1 are turned round. Which way is the forward one is decided by the
// first packet, and only the record tells.

// ways is what Config.Biflow keeps of a flow. The entry counts the packets of both ways.
type ways struct {
	packets uint64    // of way 1
	bytes   uint64    // of them
	flags   [2]uint16 // of TCP, by way
	fins    uint8     // ways that sent FIN, a bit each
	known   bool      // the first packet has been seen:
	forward uint8     // the way of the one who began
}

// begin makes room for a flow. One that continues has the direction it had, whoever goes on.
func (w *ways) begin(continues bool) {
	if !continues {
		*w = ways{}
		return
	}
	w.packets, w.bytes, w.flags = 0, 0, [2]uint16{}
}

// count counts a packet, and tells its way and whether that is the forward one.
func (w *ways) count(p *Packet, k, mask *key) (way int, forward bool) {
	if k.turned(p) {
		way = 1
		w.packets++
		w.bytes += uint64(p.IPBytes)
	}
	if !w.known {
		w.known = true
		w.forward = uint8(way)
		if answers(p) && (way == 1 || !k.sameEnds(mask)) {
			w.forward ^= 1
		}
	}
	w.flags[way] |= p.TCPFlags
	if p.TCPFlags&netflow.TCPFin != 0 {
		w.fins |= 1 << way
	}
	return way, uint8(way) == w.forward
}

// closed reports whether nothing more is to be expected of a flow of TCP: each of the ways seen has sent FIN, or p is RST.
// When only one has, the other may go on for long (RFC 9293 section 3.6).
func (w *ways) closed(e *entry, p *Packet) bool {
	return p.TCPFlags&netflow.TCPRst != 0 ||
		(w.fins&1 != 0 || uint64(e.packets) == w.packets) && (w.fins&2 != 0 || w.packets == 0)
}

// fill makes the record of way 0 and both ways' counters that of the biflow. It returns the way that is forward.
func (w *ways) fill(r *netflow.Record) int {
	r.ReversePackets, r.ReverseBytes = w.packets, w.bytes
	r.Packets -= w.packets
	r.Bytes -= w.bytes
	r.TCPFlags, r.ReverseTCPFlags = w.flags[0], w.flags[1]
	if w.forward == 0 {
		return 0
	}
	r.Packets, r.ReversePackets = r.ReversePackets, r.Packets
	r.Bytes, r.ReverseBytes = r.ReverseBytes, r.Bytes
	r.TCPFlags, r.ReverseTCPFlags = r.ReverseTCPFlags, r.TCPFlags
	r.SrcAddr, r.DstAddr = r.DstAddr, r.SrcAddr
	r.SrcMAC, r.DstMAC = r.DstMAC, r.SrcMAC
	if !isICMP(r.Proto) { // else it is type and code
		r.SrcPort, r.DstPort = r.DstPort, r.SrcPort
	}
	return 1
}

// answers reports whether a packet is one that the other side asked for.
func answers(p *Packet) bool {
	if p.Proto == netflow.ProtoTCP {
		return p.TCPFlags&(netflow.TCPSyn|netflow.TCPAck) == netflow.TCPSyn|netflow.TCPAck
	}
	_, reply := netflow.ICMPRequest(p.Proto, uint8(p.DstPort>>8))
	return reply && hasType(p)
}

// hasType reports whether the destination port of a packet is type and code of ICMP. Later fragments have none.
func hasType(p *Packet) bool {
	return isICMP(p.Proto) && (p.Fragment != dissect.Later || p.DstPort != 0)
}

func isICMP(proto uint8) bool { return proto == netflow.ProtoICMP || proto == netflow.ProtoICMPv6 }

// orient turns the key of a packet round if its way is 1. Of addresses and ports those that are in the key decide. Requests
// of ICMP (echo and its like) are of way 0, and their replies of way 1, with the type of the request.
func (k *key) orient(p *Packet, mask *key) {
	icmp := isICMP(p.Proto)
	if icmp && mask[4]&(0xffff<<32) != 0 && hasType(p) {
		if _, ok := netflow.ICMPReply(p.Proto, uint8(p.DstPort>>8)); ok {
			return
		}
		if request, ok := netflow.ICMPRequest(p.Proto, uint8(p.DstPort>>8)); ok {
			k[4] = k[4]&^(0xff<<40) | uint64(request)<<40
			k.swapAddrs()
			return
		}
	}
	if k.less(mask, !icmp) {
		k.swapAddrs()
		if !icmp {
			k[4] = k[4]<<16&(0xffff<<48) | k[4]>>16&(0xffff<<32) | k[4]&0xffffffff
		}
	}
}

// less reports whether the destination's end is less than the source's.
func (k *key) less(mask *key, ports bool) bool {
	if s, d := k[0]&mask[0], k[2]&mask[2]; s != d {
		return d < s
	}
	if s, d := k[1]&mask[1], k[3]&mask[3]; s != d {
		return d < s
	}
	if w := k[4] & mask[4]; ports && uint16(w>>32) != uint16(w>>48) {
		return uint16(w>>32) < uint16(w>>48)
	}
	return k[7]&mask[7] < k[6]&mask[6]
}

// sameEnds reports whether source and destination are the same end, so that no packet goes back but a reply of ICMP.
func (k *key) sameEnds(mask *key) bool {
	a, b := k[4]&mask[4]>>48, k[4]&mask[4]>>32&0xffff
	return (k[0]^k[2])&mask[0]|(k[1]^k[3])&mask[1]|(k[6]^k[7])&mask[6] == 0 && (a == b || isICMP(uint8(k[5]>>56)))
}

func (k *key) swapAddrs() {
	k[0], k[1], k[2], k[3] = k[2], k[3], k[0], k[1]
	k[6], k[7] = k[7], k[6]
}

// turned reports whether orient has turned round the key of p.
func (k *key) turned(p *Packet) bool {
	return uint32(k[4]>>32) != uint32(p.SrcPort)<<16|uint32(p.DstPort) ||
		k[0] != binary.LittleEndian.Uint64(p.Src[0:]) || k[1] != binary.LittleEndian.Uint64(p.Src[8:]) || k[6] != p.SrcMAC.Uint64()
}
