package blast

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// flow is one record, before it is encoded.
type flow struct {
	src, dst, hop     [4]byte
	srcPort, dstPort  uint16
	input, output     uint16
	packets, octets   uint32
	age, duration     uint32 // milliseconds: end of the flow before the export, length of the flow
	proto, flags, tos uint8
	srcAS, dstAS      uint32
	srcMask, dstMask  uint8
	direction, reason uint8
	vlan              uint16
}

type generator struct {
	r               *rand.Rand
	client, service *rand.Zipf
}

func newGenerator(seed uint64) *generator {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	return &generator{r: r, client: rand.NewZipf(r, 1.1, 4, 20_000), service: rand.NewZipf(r, 1.2, 2, 50_000)}
}

var services = []uint16{443, 443, 443, 443, 443, 80, 80, 53, 53, 53, 123, 22, 25, 993, 3389, 5060, 8080, 3306}

func (g *generator) flow() flow {
	c, s := uint32(g.client.Uint64()), uint32(g.service.Uint64())
	mixed := s * 2654435761 // spreads servers over the address space
	f := flow{
		src:      [4]byte{10, byte(c >> 16), byte(c >> 8), byte(c)},
		dst:      [4]byte{byte(mixed>>24)%190 + 11, byte(mixed >> 16), byte(mixed >> 8), byte(mixed)},
		hop:      [4]byte{192, 0, 2, byte(mixed >> 29)},
		srcPort:  uint16(32768 + g.r.IntN(28000)),
		dstPort:  services[g.r.IntN(len(services))],
		input:    uint16(c%8 + 1),
		output:   uint16(mixed>>28 + 16),
		proto:    6,
		flags:    0x1b,
		srcAS:    64512 + c>>11,
		dstAS:    mixed >> 17,
		srcMask:  24,
		dstMask:  uint8(16 + mixed>>29),
		reason:   uint8(1 + g.r.IntN(3)),
		vlan:     uint16(c % 4 * 10),
		age:      uint32(g.r.IntN(900)),
		duration: uint32(min(g.r.ExpFloat64()*4000, 120_000)),
	}
	f.packets = uint32(min(math.Pow(1-g.r.Float64(), -0.9), 1e6)) // Pareto
	size := uint32(64 + g.r.IntN(1400))
	switch {
	case f.dstPort == 53 || f.dstPort == 123:
		f.proto, f.flags, f.packets, f.duration = 17, 0, 1, 0
		size = uint32(60 + g.r.IntN(200))
	case g.r.IntN(50) == 0:
		f.proto, f.flags, f.srcPort, f.dstPort = 1, 0, 0, 8<<8
	}
	f.octets = f.packets * size
	if g.r.IntN(2) == 0 { // the answer
		f.src, f.dst, f.srcPort, f.dstPort = f.dst, f.src, f.dstPort, f.srcPort
		f.input, f.output, f.srcAS, f.dstAS, f.srcMask, f.dstMask = f.output, f.input, f.dstAS, f.srcAS, f.dstMask, f.srcMask
		f.direction = 1
	}
	return f
}

const (
	perV5    = 30 // as many as routers put into one datagram
	perV9    = 24
	perIPFIX = 24
	// uptime is what every header says, in milliseconds: the exporter of these datagrams stays as old as it is, so that
	// flow times, given relative to it, move with the header's clock.
	uptime = 1_000_000_000

	templateID = 256
)

// fieldsV9 is the template: element and length. 55 bytes a record.
var fieldsV9 = [][2]uint16{{8, 4}, {12, 4}, {15, 4}, {7, 2}, {11, 2}, {10, 2}, {14, 2}, {2, 4}, {1, 4}, {22, 4}, {21, 4}, {4, 1},
	{6, 1}, {5, 1}, {16, 4}, {17, 4}, {9, 1}, {13, 1}, {61, 1}, {136, 1}, {58, 2}, {60, 1}, {89, 1}}

// fieldsIPFIX likewise, with times of flowStart- and flowEndMilliseconds first. 58 bytes a record.
var fieldsIPFIX = [][2]uint16{{152, 8}, {153, 8}, {8, 4}, {12, 4}, {15, 4}, {7, 2}, {11, 2}, {10, 2}, {14, 2}, {2, 4}, {1, 4},
	{4, 1}, {6, 1}, {5, 1}, {16, 4}, {17, 4}, {9, 1}, {13, 1}, {61, 1}}

const (
	headerSizeIPFIX = 16
	recordIPFIX     = 58
)

var be = binary.BigEndian

// buildV5: Cisco's version 5, 24 bytes of header and 48 a record.
func buildV5(g *generator, domain uint32) datagram {
	d := datagram{flows: perV5}
	b := be.AppendUint16(nil, 5)
	b = be.AppendUint16(b, perV5)
	b = be.AppendUint32(b, uptime)
	b = append(b, make([]byte, 12)...) // seconds, nanoseconds, sequence: patched
	b = append(b, byte(domain>>8), byte(domain))
	b = be.AppendUint16(b, 0)
	for range perV5 {
		f := g.flow()
		d.count(&f)
		b = append(b, f.src[:]...)
		b = append(b, f.dst[:]...)
		b = append(b, f.hop[:]...)
		b = be.AppendUint16(b, f.input)
		b = be.AppendUint16(b, f.output)
		b = be.AppendUint32(b, f.packets)
		b = be.AppendUint32(b, f.octets)
		b = be.AppendUint32(b, uptime-f.age-f.duration)
		b = be.AppendUint32(b, uptime-f.age)
		b = be.AppendUint16(b, f.srcPort)
		b = be.AppendUint16(b, f.dstPort)
		b = append(b, 0, f.flags, f.proto, f.tos)
		b = be.AppendUint16(b, uint16(f.srcAS))
		b = be.AppendUint16(b, uint16(f.dstAS))
		b = append(b, f.srcMask, f.dstMask, 0, 0)
	}
	d.bytes = b
	return d
}

func headerV9(records uint16, domain uint32) []byte {
	b := be.AppendUint16(nil, 9)
	b = be.AppendUint16(b, records)
	b = be.AppendUint32(b, uptime)
	b = append(b, make([]byte, 8)...) // seconds, sequence: patched
	return be.AppendUint32(b, domain)
}

func appendTemplate(b []byte, set uint16, fields [][2]uint16) []byte {
	b = be.AppendUint16(b, set)
	b = be.AppendUint16(b, uint16(8+4*len(fields)))
	b = be.AppendUint16(b, templateID)
	b = be.AppendUint16(b, uint16(len(fields)))
	for _, f := range fields {
		b = be.AppendUint16(b, f[0])
		b = be.AppendUint16(b, f[1])
	}
	return b
}

// templateV9: RFC 3954 section 5.2.
func templateV9(domain uint32) []byte { return appendTemplate(headerV9(1, domain), 0, fieldsV9) }

// buildV9: RFC 3954 section 5.3.
func buildV9(g *generator, domain uint32) datagram {
	d := datagram{flows: perV9}
	b := headerV9(perV9, domain)
	b = be.AppendUint16(b, templateID)
	b = be.AppendUint16(b, 4+perV9*55)
	for range perV9 {
		f := g.flow()
		d.count(&f)
		b = f.appendCounters(b)
		b = be.AppendUint32(b, uptime-f.age-f.duration)
		b = be.AppendUint32(b, uptime-f.age)
		b = f.appendRest(b)
		b = append(b, f.reason)
		b = be.AppendUint16(b, f.vlan)
		b = append(b, 4, 64) // ipVersion, forwardingStatus: forwarded
	}
	d.bytes = b
	return d
}

func headerIPFIX(domain uint32) []byte {
	b := be.AppendUint16(nil, 10)
	b = append(b, make([]byte, 10)...) // length, seconds, sequence: patched
	return be.AppendUint32(b, domain)
}

// templateIPFIX: RFC 7011 section 3.4.1.
func templateIPFIX(domain uint32) []byte {
	b := appendTemplate(headerIPFIX(domain), 2, fieldsIPFIX)
	be.PutUint16(b[2:], uint16(len(b)))
	return b
}

// buildIPFIX: RFC 7011 section 3.4.3. The times of the records count from the epoch backwards until shift moves them.
func buildIPFIX(g *generator, domain uint32) datagram {
	d := datagram{flows: perIPFIX}
	b := headerIPFIX(domain)
	b = be.AppendUint16(b, templateID)
	b = be.AppendUint16(b, 4+perIPFIX*recordIPFIX)
	for range perIPFIX {
		f := g.flow()
		d.count(&f)
		b = be.AppendUint64(b, -uint64(f.age+f.duration))
		b = be.AppendUint64(b, -uint64(f.age))
		b = f.appendCounters(b)
		b = f.appendRest(b)
	}
	be.PutUint16(b[2:], uint16(len(b)))
	d.bytes = b
	return d
}

// shift moves the times of an IPFIX datagram to a clock of so many milliseconds since 1970.
func (d *datagram) shift(clock uint64) {
	delta := clock - d.clock
	d.clock = clock
	for at := headerSizeIPFIX + 4; at < len(d.bytes); at += recordIPFIX {
		times := d.bytes[at : at+16]
		be.PutUint64(times, be.Uint64(times)+delta)
		be.PutUint64(times[8:], be.Uint64(times[8:])+delta)
	}
}

func (d *datagram) count(f *flow) {
	d.packets += uint64(f.packets)
	d.octets += uint64(f.octets)
}

// appendCounters appends the fields 8 12 15 7 11 10 14 2 1.
func (f *flow) appendCounters(b []byte) []byte {
	b = append(b, f.src[:]...)
	b = append(b, f.dst[:]...)
	b = append(b, f.hop[:]...)
	b = be.AppendUint16(b, f.srcPort)
	b = be.AppendUint16(b, f.dstPort)
	b = be.AppendUint16(b, f.input)
	b = be.AppendUint16(b, f.output)
	b = be.AppendUint32(b, f.packets)
	return be.AppendUint32(b, f.octets)
}

// appendRest appends the fields 4 6 5 16 17 9 13 61.
func (f *flow) appendRest(b []byte) []byte {
	b = append(b, f.proto, f.flags, f.tos)
	b = be.AppendUint32(b, f.srcAS)
	b = be.AppendUint32(b, f.dstAS)
	return append(b, f.srcMask, f.dstMask, f.direction)
}
