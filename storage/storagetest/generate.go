// Package storagetest makes flows that look like an hour of a busy network's, for tests and benchmarks of storage and
// queries. The same seed gives the same flows.
//
// One flow in ten is IPv6. 20,000 hosts of ours (10.0.0.0/8 and one IPv6 /32) talk to 180,000 outside in 5,000
// autonomous systems, all by Zipf's law. 80 % of the flows use one of 18 well-known ports. A third of the flows has one
// packet; of the others most have a log-normal number and some a Pareto one. Flows come in order of arrival, 24 to a
// datagram, from four exporters; they end an exponential time of 3 s on average before they arrive.
package storagetest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/caprock-net/caprock/netflow"
)

const (
	localHosts = 20_000
	farHosts   = 180_000
	systems    = 5_000

	// Begin is when the first flow arrives: 2026-11-21T16:00:00Z.
	Begin netflow.Timestamp = 1_795_276_800_000_000
	// PerHour is the number of flows that arrive in an hour.
	PerHour = 10_000_000
)

// services are the well-known ports, by falling share.
var services = []struct {
	port  uint16
	proto uint8
	share float64
}{
	{443, netflow.ProtoTCP, 0.42}, {53, netflow.ProtoUDP, 0.20}, {443, netflow.ProtoUDP, 0.11}, {80, netflow.ProtoTCP, 0.09},
	{123, netflow.ProtoUDP, 0.03}, {22, netflow.ProtoTCP, 0.02}, {25, netflow.ProtoTCP, 0.02}, {993, netflow.ProtoTCP, 0.02},
	{8080, netflow.ProtoTCP, 0.015}, {3389, netflow.ProtoTCP, 0.015}, {445, netflow.ProtoTCP, 0.01}, {5060, netflow.ProtoUDP, 0.01},
	{853, netflow.ProtoTCP, 0.01}, {161, netflow.ProtoUDP, 0.01}, {8443, netflow.ProtoTCP, 0.005}, {1194, netflow.ProtoUDP, 0.005},
	{587, netflow.ProtoTCP, 0.005}, {5222, netflow.ProtoTCP, 0.005},
}

type host struct {
	addr netflow.Addr
	as   uint32
	mask uint8
	vlan uint16
	port uint32 // interface it is seen on
}

// Generator makes flows one batch after the other.
type Generator struct {
	rnd        *rand.Rand
	v4, v6     [2][]host // local, far
	zipf       [2][2]*rand.Zipf
	nextHops   []netflow.Addr
	n          int64
	exporter   uint32
	inDatagram int
}

// NewGenerator makes a generator.
func NewGenerator(seed uint64) *Generator {
	g := &Generator{rnd: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
	for side, n := range []int{localHosts, farHosts} {
		for i := range n {
			h := g.host(side, i%10 == 9)
			if i%10 == 9 {
				g.v6[side] = append(g.v6[side], h)
			} else {
				g.v4[side] = append(g.v4[side], h)
			}
		}
		s := []float64{1.05, 1.1}[side]
		g.zipf[side][0] = rand.NewZipf(g.rnd, s, 1, uint64(len(g.v4[side])-1))
		g.zipf[side][1] = rand.NewZipf(g.rnd, s, 1, uint64(len(g.v6[side])-1))
	}
	for i := range 12 {
		g.nextHops = append(g.nextHops, netflow.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	return g
}

func (g *Generator) host(side int, ipv6 bool) host {
	rnd := g.rnd
	h := host{as: 64512, mask: 16, vlan: uint16(10 + rnd.IntN(20)), port: 1 + rnd.Uint32N(8)}
	if side == 1 {
		h.as = 1000 + uint32(float64(systems)*math.Pow(rnd.Float64(), 2)) // large networks have more hosts
		h.mask, h.vlan, h.port = uint8(12+rnd.IntN(13)), 0, 100+h.as%8
	}
	switch {
	case ipv6:
		binary.BigEndian.PutUint32(h.addr[:], 0x20010db8)
		if side == 1 {
			binary.BigEndian.PutUint32(h.addr[:], 0x2a000000+h.as)
		}
		binary.BigEndian.PutUint16(h.addr[6:], uint16(rnd.Uint32N(256)))
		binary.BigEndian.PutUint64(h.addr[8:], rnd.Uint64())
		h.mask = 32
	case side == 0:
		h.addr = netflow.AddrFrom4([4]byte{10, byte(rnd.Uint32N(64)), byte(rnd.Uint32()), byte(rnd.Uint32())})
	default:
		x := 0x0b000000 + h.as<<15%0xd0000000 + rnd.Uint32N(1<<15)
		h.addr = netflow.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
	}
	return h
}

// Columns is the set of columns that the generator fills; the others are zero.
var Columns = netflow.SetOf(netflow.Start, netflow.End, netflow.Received, netflow.SrcAddr, netflow.DstAddr, netflow.SrcPort,
	netflow.DstPort, netflow.Proto, netflow.TCPFlags, netflow.TOS, netflow.Packets, netflow.Bytes, netflow.Exporter,
	netflow.Domain, netflow.Input, netflow.Output, netflow.SrcAS, netflow.DstAS, netflow.SrcMask, netflow.DstMask,
	netflow.NextHop, netflow.VLAN, netflow.Direction, netflow.EndReason, netflow.IPVersion, netflow.ExportVersion)

// Fill adds n flows, or as many as there is room for, to b and returns how many.
func (g *Generator) Fill(b *netflow.Batch, n int) int {
	n = min(n, b.Room())
	from := b.Extend(n, Columns)
	for i := from; i < from+n; i++ {
		g.flow(b, i)
	}
	return n
}

func (g *Generator) flow(b *netflow.Batch, i int) {
	rnd := g.rnd
	if g.inDatagram--; g.inDatagram <= 0 {
		g.inDatagram = 24
		g.exporter = rnd.Uint32N(4)
	}
	arrival := Begin + netflow.Timestamp(float64(g.n-g.n%24)*3600e6/PerHour)
	g.n++
	family, hosts := 0, &g.v4
	if rnd.IntN(10) == 0 {
		family, hosts = 1, &g.v6
	}
	local := hosts[0][g.zipf[0][family].Uint64()]
	far := hosts[1][g.zipf[1][family].Uint64()]
	client, server := uint16(32768+rnd.Uint32N(28232)), uint16(1024+rnd.Uint32N(64000))
	proto := uint8([]uint8{6, 6, 17}[rnd.IntN(3)])
	known := rnd.Float64() < 0.8
	if known {
		x := rnd.Float64()
		for _, s := range services {
			server, proto = s.port, s.proto
			if x -= s.share; x < 0 {
				break
			}
		}
	}
	outward := rnd.Float64() < 0.55
	src, dst := far, local
	if outward {
		src, dst = local, far
	}
	b.SrcPort[i], b.DstPort[i] = client, server
	if rnd.Float64() >= 0.7 {
		b.SrcPort[i], b.DstPort[i] = server, client
	}
	packets := g.packets()
	b.Packets[i] = packets
	b.Bytes[i] = g.bytes(packets)
	duration := 0.0
	if packets > 1 {
		duration = min(300, math.Exp(rnd.NormFloat64()*1.8-0.5))
	}
	end := arrival - netflow.Timestamp(rnd.ExpFloat64()*3e6)
	b.Received[i] = arrival
	b.End[i] = end / 1000 * 1000
	b.Start[i] = b.End[i] - netflow.Timestamp(duration*1000)*1000
	b.SrcAddr[i], b.DstAddr[i] = src.addr, dst.addr
	b.SrcAS[i], b.DstAS[i] = src.as, dst.as
	b.SrcMask[i], b.DstMask[i] = src.mask, dst.mask
	b.Input[i], b.Output[i] = src.port, dst.port
	b.VLAN[i] = local.vlan
	b.NextHop[i] = g.nextHops[dst.as%uint32(len(g.nextHops))]
	b.Exporter[i] = netflow.AddrFrom4([4]byte{198, 51, 100, byte(g.exporter + 1)})
	b.Domain[i] = g.exporter * 256
	b.IPVersion[i] = []uint8{4, 6}[family]
	b.ExportVersion[i] = netflow.VersionV9
	b.Proto[i] = proto
	if outward {
		b.Direction[i] = 1
	}
	b.EndReason[i] = netflow.EndReasonIdle
	if proto == netflow.ProtoTCP {
		b.TCPFlags[i] = []uint16{0x1b, 0x1b, 0x1b, 0x1a, 0x02, 0x12, 0x1f, 0x18, 0x10, 0x14}[rnd.IntN(10)]
		if packets == 1 {
			b.TCPFlags[i] = []uint16{0x02, 0x10, 0x04, 0x14}[rnd.IntN(4)]
		} else if b.TCPFlags[i]&1 != 0 {
			b.EndReason[i] = netflow.EndReasonEndOfFlow
		}
	}
	if duration > 120 {
		b.EndReason[i] = netflow.EndReasonActive
	}
	if rnd.IntN(10) == 0 {
		b.TOS[i] = []uint8{0x28, 0x48, 0xb8, 0x02}[rnd.IntN(4)]
	}
}

func (g *Generator) packets() uint64 {
	switch x := g.rnd.Float64(); {
	case x < 0.35:
		return 1
	case x < 0.90:
		return 1 + uint64(math.Exp(g.rnd.NormFloat64()*1.1+1.5))
	}
	return uint64(min(1e7, 2/math.Pow(1-g.rnd.Float64(), 1/1.15)))
}

// bytes gives a size between those of small and of full packets; small flows like a few sizes.
func (g *Generator) bytes(packets uint64) uint64 {
	if packets == 1 {
		return []uint64{40, 44, 52, 60, 64, 68, 72, 76, 80, 96, 120, 1500}[g.rnd.IntN(12)] + g.rnd.Uint64N(4)*4
	}
	mean := 60 + 1400*math.Pow(g.rnd.Float64(), 2.2)
	return uint64(float64(packets) * mean)
}

// Generate makes n flows in batches of at most 8192.
func Generate(seed uint64, n int) []*netflow.Batch {
	g := NewGenerator(seed)
	var batches []*netflow.Batch
	for n > 0 {
		b := netflow.NewBatch(min(n, 8192))
		n -= g.Fill(b, n)
		batches = append(batches, b)
	}
	return batches
}
