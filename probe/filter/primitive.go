package filter

import (
	"golang.org/x/net/bpf"

	"github.com/caprock-net/caprock/probe/dissect"
)

// primitive is a test that an expression is made of.
type primitive interface {
	predicate(l *layout) (*predicate, error)
}

// direction is which of two addresses or ports is meant.
type direction uint8

const (
	srcOrDst direction = iota
	src
	dst
	srcAndDst
)

// pick combines the tests of both ends.
func (d direction) pick(ofSrc, ofDst *predicate) *predicate {
	switch d {
	case src:
		return ofSrc
	case dst:
		return ofDst
	case srcAndDst:
		return and(ofSrc, ofDst)
	}
	return or(ofSrc, ofDst)
}

// protocolTest is the name of a protocol alone.
type protocolTest struct {
	at   int
	name string
}

func (t protocolTest) predicate(l *layout) (*predicate, error) {
	p := protocols[t.name]
	switch {
	case p.ether != 0:
		if l.labels > 0 && p.ether != etherIPv4 && p.ether != etherIPv6 {
			return nil, l.errorf(t.at, "%s behind mpls is not supported", t.name)
		}
		return l.network(p.ether), nil
	case p.v4 && p.v6:
		return or(l.transport4(p.number), l.transport6(p.number)), nil
	case p.v4:
		return l.transport4(p.number), nil
	case p.v6:
		return l.transport6(p.number), nil
	}
	return nil, l.errorf(t.at, "%s wants host, src, dst, proto, broadcast, multicast or [ behind it", t.name)
}

// protocolNumber is "proto N" behind a protocol that has such numbers.
type protocolNumber struct {
	at     int
	below  string // ip, ip6, ether or "" for both of IP
	number uint32
}

func (t protocolNumber) predicate(l *layout) (*predicate, error) {
	switch t.below {
	case "ip":
		return l.transport4(t.number), nil
	case "ip6":
		return l.transport6(t.number), nil
	case "":
		return or(l.transport4(t.number), l.transport6(t.number)), nil
	}
	return l.etherProto(t.at, t.number)
}

// etherProto tests for an Ethernet type, or for an LLC service access point where a frame of 802.3 has its length.
func (l *layout) etherProto(at int, n uint32) (*predicate, error) {
	switch {
	case l.labels > 0 && n != etherIPv4 && n != etherIPv6, l.ppp && n <= maxLength:
		return nil, l.errorf(at, "ether proto %#x behind mpls or pppoes is not supported", n)
	case n > maxLength && n != 0x809b && n != 0x80f3:
		return l.network(n), nil
	case n > maxLength || n == 0xe0 || n == 0xfefe || l.target.Link != dissect.LinkEthernet:
		return nil, l.errorf(at, "ether proto %#x is not supported", n) // AppleTalk, IPX: four encapsulations each
	}
	short := not(compare(l.loadType(), 0xffffffff, jumpGt, maxLength))
	if n == 0x06 || n == 0xf0 || n == 0xfe { // IP, NetBEUI, OSI: libpcap compares both service access points
		return and(short, equal(l.payload, sizeH, n<<8|n)), nil
	}
	return and(short, equal(l.payload, sizeB, n)), nil
}

// hostTest is an IPv4 address, or network, of IP, ARP and RARP.
type hostTest struct {
	protocol   string // ip, arp, rarp, "" for all
	dir        direction
	addr, mask uint32
}

func (t hostTest) predicate(l *layout) (*predicate, error) {
	test := func(etherType uint32, srcAt, dstAt int) *predicate {
		one := func(at int) *predicate {
			return and(l.network(etherType), masked(l.payload+at, sizeW, t.addr, t.mask))
		}
		return t.dir.pick(one(srcAt), one(dstAt))
	}
	switch {
	case t.protocol == "ip", l.labels > 0 && t.protocol == "":
		return test(etherIPv4, 12, 16), nil
	case t.protocol == "arp":
		return test(etherARP, 14, 24), nil
	case t.protocol == "rarp":
		return test(etherRARP, 14, 24), nil
	}
	return or(test(etherIPv4, 12, 16), test(etherARP, 14, 24), test(etherRARP, 14, 24)), nil
}

// host6Test is an IPv6 address or network.
type host6Test struct {
	dir        direction
	addr, mask [4]uint32
}

func (t host6Test) predicate(l *layout) (*predicate, error) {
	one := func(at int) *predicate {
		p := l.network(etherIPv6)
		for i := range t.addr {
			p = and(p, masked(l.payload+at+4*i, sizeW, t.addr[i], t.mask[i]))
		}
		return p
	}
	return t.dir.pick(one(8), one(24)), nil
}

// portTest is a range of ports, which may be of one.
type portTest struct {
	protocols []uint32 // of IP
	dir       direction
	from, to  uint32
}

func (t portTest) predicate(l *layout) (*predicate, error) {
	either := func(place func(protocol uint32) *predicate) *predicate {
		p := no
		for _, protocol := range t.protocols {
			p = or(p, place(protocol))
		}
		return p
	}
	v4 := either(func(protocol uint32) *predicate {
		return and(equal(l.payload+9, sizeB, protocol), l.firstFragment(), t.dir.pick(t.port4(l, 0), t.port4(l, 2)))
	})
	v6 := either(func(protocol uint32) *predicate {
		return and(equal(l.payload+6, sizeB, protocol), t.dir.pick(t.port6(l, 40), t.port6(l, 42)))
	})
	return or(and(l.network(etherIPv4), v4), and(l.network(etherIPv6), v6)), nil
}

// port4 loads behind an IPv4 header, whose length lies in it.
func (t portTest) port4(l *layout, at int) *predicate {
	return t.match(ins(ldx|msh|sizeB, uint32(l.payload)), ins(ld|ind|sizeH, uint32(l.payload+at)))
}

func (t portTest) port6(l *layout, offset int) *predicate {
	return t.match(at(l.payload+offset, sizeH))
}

func (t portTest) match(load ...bpf.RawInstruction) *predicate {
	if t.from == t.to {
		return &predicate{load: load, jump: jumpEq, k: t.from}
	}
	return and(&predicate{load: load, jump: jumpGe, k: t.from}, not(&predicate{load: load, jump: jumpGt, k: t.to}))
}

// etherTest is an Ethernet address.
type etherTest struct {
	at   int
	dir  direction
	addr [6]byte
}

func (t etherTest) predicate(l *layout) (*predicate, error) {
	if l.target.Link != dissect.LinkEthernet || l.ppp {
		return nil, l.errorf(t.at, "these frames have no Ethernet addresses (link type %d)", l.target.Link)
	}
	b := t.addr
	one := func(at int) *predicate {
		return and(equal(at+2, sizeW, uint32(b[2])<<24|uint32(b[3])<<16|uint32(b[4])<<8|uint32(b[5])),
			equal(at, sizeH, uint32(b[0])<<8|uint32(b[1])))
	}
	return t.dir.pick(one(6), one(0)), nil
}

// castTest is broadcast or multicast.
type castTest struct {
	at       int
	protocol string // ether, ip, ip6
	name     string
}

func (t castTest) predicate(l *layout) (*predicate, error) {
	switch t.protocol + " " + t.name {
	case "ip broadcast": // without a netmask
		return and(l.network(etherIPv4), or(equal(l.payload+16, sizeW, 0), equal(l.payload+16, sizeW, 0xffffffff))), nil
	case "ip multicast":
		return and(l.network(etherIPv4), compare(at(l.payload+16, sizeB), 0xffffffff, jumpGe, 224)), nil
	case "ip6 multicast":
		return and(l.network(etherIPv6), equal(l.payload+24, sizeB, 255)), nil
	case "ether broadcast":
		return etherTest{t.at, dst, [6]byte{255, 255, 255, 255, 255, 255}}.predicate(l)
	case "ether multicast":
		if l.target.Link == dissect.LinkEthernet && !l.ppp {
			return &predicate{load: []bpf.RawInstruction{at(0, sizeB)}, jump: jumpSet, k: 1}, nil
		}
		return nil, l.errorf(t.at, "these frames have no Ethernet addresses (link type %d)", l.target.Link)
	}
	return nil, l.errorf(t.at, "%s %s is not supported", t.protocol, t.name)
}

// lengthTest is less or greater, both of which include the number.
type lengthTest struct {
	greater bool
	n       uint32
}

func (t lengthTest) predicate(l *layout) (*predicate, error) {
	if t.greater {
		return &predicate{load: l.loadLength(), jump: jumpGe, k: t.n}, nil
	}
	return not(&predicate{load: l.loadLength(), jump: jumpGt, k: t.n}), nil
}

// loadLength loads the length that the frame had on the wire.
func (l *layout) loadLength() []bpf.RawInstruction {
	load := []bpf.RawInstruction{ins(ld|sizeW|pktLen, 0)}
	if l.target.Kernel && l.target.Link == dissect.LinkSLL {
		load = append(load, ins(alu|opAdd, cookedHeader))
	}
	return load
}

// passageTest is inbound or outbound.
type passageTest struct {
	at  int
	out bool
}

func (t passageTest) predicate(l *layout) (*predicate, error) {
	var p *predicate
	switch {
	case l.target.Kernel:
		p = compare(at(skbPacketType, sizeW), 0xffffffff, jumpEq, packetOutgoing)
	case l.target.Link == dissect.LinkSLL:
		p = equal(0, sizeH, packetOutgoing)
	case l.target.Link == dissect.LinkSLL2:
		p = equal(10, sizeB, packetOutgoing)
	default:
		return nil, l.errorf(t.at, "these frames do not tell their direction (link type %d)", l.target.Link)
	}
	if t.out {
		return p, nil
	}
	return not(p), nil
}

// headerTest is vlan, mpls or pppoes: it moves the place of what follows.
type headerTest struct {
	at    int
	name  string
	any   bool // without a number
	value uint32
}

func (t headerTest) predicate(l *layout) (*predicate, error) {
	if !l.typed() || l.ppp {
		return nil, l.errorf(t.at, "%s is not supported here (link type %d)", t.name, l.target.Link)
	}
	switch t.name {
	case "vlan":
		return t.vlan(l)
	case "mpls":
		return t.mpls(l), nil
	}
	if l.labels > 0 {
		return nil, l.errorf(t.at, "%s behind mpls is not supported", t.name)
	}
	p := l.network(etherPPPoE)
	if !t.any {
		p = and(p, masked(l.payload, sizeW, t.value, 0xffff))
	}
	l.typeAt, l.payload, l.ppp = l.payload+6, l.payload+8, true
	return p, nil
}

func (t headerTest) vlan(l *layout) (*predicate, error) {
	if l.labels > 0 {
		return nil, l.errorf(t.at, "vlan behind mpls is not supported")
	}
	l.tags++
	if l.tags == 1 && l.beside { // that the tag is there was tested before
		if t.any {
			return yes, nil
		}
		return compare(at(skbTag, sizeW), 0x0fff, jumpEq, t.value), nil
	}
	p := or(l.network(etherVLAN), l.network(etherQinQ), l.network(etherOldQ))
	at := l.tag()
	if !t.any {
		p = and(p, masked(at, sizeH, t.value, 0x0fff))
	}
	return p, nil
}

func (t headerTest) mpls(l *layout) *predicate {
	var p *predicate
	if l.labels == 0 {
		p = l.network(etherMPLS)
	} else {
		p = masked(l.payload-2, sizeB, 0, 1) // the label before is not the last
	}
	if !t.any {
		p = and(p, masked(l.payload, sizeW, t.value<<12, 0xfffff000))
	}
	l.payload += 4
	l.labels++
	return p
}
