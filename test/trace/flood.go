package trace

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
)

// Flood is a kind of traffic that is made to exhaust a flow meter.
type Flood struct {
	Name  string
	About string
	next  func(g *generator, i uint32, dst []byte) (frame []byte, ipLen int)
}

// Floods are the kinds there are. The first three have a new flow in almost every packet. The others attack a hash table:
// they send a quarter as many tuples as packets, again and again, such that many tables find all of them in one place.
var Floods = []Flood{
	{"syn", "TCP SYN from random addresses and ports to one server", func(g *generator, _ uint32, dst []byte) ([]byte, int) {
		return g.send(dst, flowID{proto: tcp, src: g.rnd.Uint32(), dst: 10<<24 | 1, srcPort: uint16(g.rnd.Uint32()), dstPort: 443}, syn)
	}},
	{"scan", "TCP SYN from one address to random addresses and ports", func(g *generator, _ uint32, dst []byte) ([]byte, int) {
		return g.send(dst, flowID{proto: tcp, src: 10<<24 | 9, dst: g.rnd.Uint32(), srcPort: 40_000, dstPort: uint16(g.rnd.Uint32())}, syn)
	}},
	{"fragments", "first fragments that nothing follows, and others that nothing went before", fragment},
	{"sequential", "addresses and ports counted up", tuples(func(i uint32) flowID {
		return flowID{src: 10<<24 + i, dst: 192<<24 + i, srcPort: uint16(i), dstPort: uint16(i)}
	})},
	{"low-bits", "addresses equal in their low 20 bits, ports equal", tuples(func(i uint32) flowID {
		return flowID{src: i<<20 | 0x1234, dst: i>>12<<20 | 0x4321, srcPort: 1000, dstPort: 53}
	})},
	{"one-field", "nothing but the source address differs, in random order", tuples(func(i uint32) flowID {
		return flowID{src: bits.Reverse32(i * 2654435761), dst: 10<<24 | 1, srcPort: 1000, dstPort: 53}
	})},
	{"xor", "the destination is the complement of the source, and so the ports: what XOR and sums fold to one value", tuples(func(i uint32) flowID {
		src, port := i*2654435761, uint16(i*40503)
		return flowID{src: src, dst: ^src, srcPort: port, dstPort: ^port}
	})},
	{"crc32", "all have the same CRC-32, of addresses, ports and protocol", tuples(func(i uint32) flowID {
		src := i * 2654435761
		sum := crc32.ChecksumIEEE(binary.BigEndian.AppendUint32(nil, src))
		return flowID{src: src, dst: bits.ReverseBytes32(sum), srcPort: 1000, dstPort: 53}
	})},
}

// WriteFlood generates a capture of a flood. Of the configuration Flows and Replies have no effect.
func WriteFlood(w io.Writer, c Config, name string) (Totals, error) {
	for _, f := range Floods {
		if f.Name == name {
			g, i := newGenerator(c), uint32(0)
			err := g.write(w, func(dst []byte) ([]byte, int) {
				i++
				return f.next(g, i-1, dst)
			})
			g.totals.Conversations = g.totals.Flows
			return g.totals, err
		}
	}
	return Totals{}, fmt.Errorf("no flood %q", name)
}

// send makes the shortest packet of a flow.
func (g *generator) send(dst []byte, f flowID, flags byte) (frame []byte, ipLen int) {
	g.known[f] = struct{}{}
	return f.frame(dst, flags, 0)
}

// tuples sends UDP packets of the flows that a function of a small number makes.
func tuples(tuple func(i uint32) flowID) func(*generator, uint32, []byte) ([]byte, int) {
	return func(g *generator, i uint32, dst []byte) ([]byte, int) {
		f := tuple(i % uint32(max(g.cfg.Packets/4, 1)))
		f.proto = udp
		return g.send(dst, f, 0)
	}
}

// fragment makes one of a datagram of UDP of its own, from a random address: its first, or a later one without ports.
func fragment(g *generator, i uint32, dst []byte) ([]byte, int) {
	const moreFragments = 0x2000
	f := flowID{proto: udp, src: g.rnd.Uint32(), dst: 10<<24 | 1, srcPort: uint16(g.rnd.Uint32()), dstPort: 53}
	offset := uint16(moreFragments)
	if i%2 == 1 {
		f.srcPort, f.dstPort = 0, 0
		offset = 185 // times 8 bytes
	}
	frame, ipLen := g.send(dst, f, 0)
	ip := frame[14:34]
	binary.BigEndian.PutUint16(ip[4:], uint16(g.rnd.Uint32()))
	binary.BigEndian.PutUint16(ip[6:], offset)
	seal(ip)
	return frame, ipLen
}
