package filter

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// value reads what the qualifiers are about: an address, a port, a number or a name.
func (p *parser) value(q *qualifiers) (expr, error) {
	t := p.next()
	switch q.kind {
	case "port", "portrange":
		return p.port(q, t)
	case "proto":
		return p.protocolNumber(q, t)
	}
	switch t.kind {
	case addr4:
		return p.address(q, t, t.num, t.bits)
	case number:
		if q.kind == "net" {
			// One number is the first byte of an address: "net 10" is 10.0.0.0/8. A larger one is an address from its
			// first byte on that is not zero.
			n, bits := t.num, 32
			for ; n != 0 && n>>24 == 0; bits -= 8 {
				n <<= 8
			}
			return p.address(q, t, n>>(32-bits), bits)
		}
		return p.address(q, t, t.num, 32)
	case addr6:
		return p.address6(q, t)
	case mac:
		if q.protocol != "ether" {
			return nil, p.errorf(t, "an Ethernet address wants ether in front: ether host %s", t.text)
		}
		return etherTest{t.at, q.dir, t.mac}, nil
	case end:
		return nil, p.errorf(t, "the expression ends where an address is expected")
	case word, escaped:
		if t.kind == escaped || !keyword(t.text) {
			return nil, p.errorf(t, "%s is no address; names of hosts and networks are not looked up", t.text)
		}
	}
	return nil, p.errorf(t, "%s does not fit here: an address is expected", describe(t))
}

// address makes the test of an IPv4 address of which the given number of bits was written, with what may follow: /length
// or mask.
func (p *parser) address(q *qualifiers, t *token, n uint32, bits int) (expr, error) {
	if q.protocol == "ether" {
		return nil, p.errorf(t, "ether wants an Ethernet address, such as 02:00:5e:10:00:01")
	}
	if q.protocol == "ip6" {
		return nil, p.errorf(t, "%s is no address of IPv6", t.text)
	}
	h := hostTest{protocol: q.protocol, dir: q.dir, addr: n << (32 - bits), mask: ^uint32(0) << (32 - bits)}
	if !p.peek().is("/", "mask") {
		return h, nil
	}
	if q.kind != "net" {
		return nil, p.errorf(p.peek(), "a mask wants net in front: net %s", t.text)
	}
	slash := p.next().is("/")
	m := p.next()
	switch {
	case slash && m.kind == number && m.num <= 32:
		h.mask = uint32(uint64(0xffffffff) << (32 - m.num))
	case slash:
		return nil, p.errorf(m, "%s does not fit here: a prefix length of 0 to 32 is expected", describe(m))
	case m.kind == addr4:
		h.mask = m.num << (32 - m.bits)
	case m.kind == number && m.num <= 0xff:
		h.mask = m.num << 24
	case m.kind == number:
		h.mask = m.num
	default:
		return nil, p.errorf(m, "%s does not fit here: a mask such as 255.255.0.0 is expected", describe(m))
	}
	if outside := h.addr &^ h.mask; outside != 0 {
		return nil, p.errorf(t, "the mask leaves out bits that the address has: %s is its network", dotted(h.addr&h.mask))
	}
	return h, nil
}

func dotted(a uint32) string { return fmt.Sprintf("%d.%d.%d.%d", a>>24, a>>16&255, a>>8&255, a&255) }

// address6 makes the test of an IPv6 address, with the prefix length that may follow.
func (p *parser) address6(q *qualifiers, t *token) (expr, error) {
	if q.protocol != "" && q.protocol != "ip6" {
		return nil, p.errorf(t, "%s has no addresses of IPv6", q.protocol)
	}
	h := host6Test{dir: q.dir}
	length := uint32(128)
	if slash := p.peek(); slash.is("/") {
		if q.kind != "net" {
			return nil, p.errorf(slash, "a prefix wants net in front: net %s", t.text)
		}
		p.next()
		m := p.next()
		if m.kind != number || m.num > 128 {
			return nil, p.errorf(m, "%s does not fit here: a prefix length of 0 to 128 is expected", describe(m))
		}
		length = m.num
	}
	for i := range h.addr {
		h.addr[i] = binary.BigEndian.Uint32(t.ip6[4*i:])
		bits := min(max(int(length)-32*i, 0), 32)
		h.mask[i] = uint32(uint64(0xffffffff) << (32 - bits))
		if h.addr[i]&^h.mask[i] != 0 {
			return nil, p.errorf(t, "the address has bits behind its prefix of %d", length)
		}
	}
	return h, nil
}

// port reads a port or, with portrange, two.
func (p *parser) port(q *qualifiers, t *token) (expr, error) {
	of := []uint32{6, 17, 132}
	if q.protocol != "" {
		of = []uint32{protocols[q.protocol].number}
	}
	if t.kind == end || t.kind == symbol || t.kind == addr4 || t.kind == addr6 || t.kind == mac || t.kind == word && keyword(t.text) {
		return nil, p.errorf(t, "%s does not fit here: a port is expected", describe(t))
	}
	text := t.text
	if t.kind == number {
		text = fmt.Sprint(t.num)
	}
	first, last, ranged := strings.Cut(text, "-")
	if t.kind == word && ranged && q.kind == "portrange" && last != "" {
		from, withFrom, err := portNumber(first, of)
		if err != nil {
			return nil, p.errorf(t, "%v", err)
		}
		to, withTo, err := portNumber(last, of)
		if err != nil {
			return nil, p.errorf(t, "%v", err)
		}
		if len(withTo) < len(withFrom) {
			withFrom = withTo
		}
		return portTest{withFrom, q.dir, min(from, to), max(from, to)}, nil
	}
	n, with, err := portNumber(text, of)
	if err != nil {
		return nil, p.errorf(t, "%v", err)
	}
	return portTest{with, q.dir, n, n}, nil
}

// protocolNumber reads what is behind proto.
func (p *parser) protocolNumber(q *qualifiers, t *token) (expr, error) {
	if t.kind == number {
		if q.protocol != "ether" && t.num > 255 {
			return nil, p.errorf(t, "protocol %d: the highest is 255", t.num)
		}
		if t.num > 65535 {
			return nil, p.errorf(t, "type %d: the highest is 65535", t.num)
		}
		return protocolNumber{t.at, q.protocol, t.num}, nil
	}
	names := ipNumbers
	if q.protocol == "ether" {
		names = etherNumbers
	}
	if n, is := names[t.text]; is && (t.kind == word || t.kind == escaped) {
		return protocolNumber{t.at, q.protocol, n}, nil
	}
	return nil, p.errorf(t, "%s does not fit here: a protocol is expected, by number or by a name such as udp or gre", describe(t))
}
