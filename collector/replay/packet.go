package replay

import "github.com/caprock-net/caprock/netflow"

type verdict uint8

const (
	whole     verdict = iota
	cut               // the capture holds less than the packet's headers say
	malformed         // the headers contradict each other
)

// packet is an IP packet or a fragment of one.
type packet struct {
	verdict  verdict
	proto    uint8 // of the payload, behind all extension headers
	payload  []byte
	key      fragmentKey
	fragment bool
	offset   int  // of the payload in the whole packet's
	more     bool // other fragments follow
}

// fragmentKey tells which fragments belong together: RFC 791 section 3.2, RFC 8200 section 4.5.
type fragmentKey struct {
	src, dst netflow.Addr
	id       uint32
	proto    uint8
}

// parseIPv4 reads the header of RFC 791 section 3.1.
func parseIPv4(b []byte) packet {
	if len(b) < 20 {
		return packet{verdict: malformed}
	}
	header, total := int(b[0]&15)*4, int(be.Uint16(b[2:]))
	if total == 0 {
		total = len(b) // segmentation was left to the network card
	}
	if header < 20 || total < header {
		return packet{verdict: malformed}
	}
	p := packet{proto: b[9]}
	if total > len(b) {
		p.verdict = cut
		return p
	}
	flags := be.Uint16(b[6:])
	p.offset, p.more = int(flags&0x1fff)*8, flags&0x2000 != 0
	p.fragment = p.offset > 0 || p.more
	p.key = fragmentKey{
		src: netflow.AddrFrom4([4]byte(b[12:])), dst: netflow.AddrFrom4([4]byte(b[16:])),
		id: uint32(be.Uint16(b[4:])), proto: p.proto,
	}
	p.payload = b[header:total]
	return p
}

// parseIPv6 reads the header and the extension headers of RFC 8200 sections 3 and 4. The payload of a fragment is what
// follows its fragment header.
func parseIPv6(b []byte) packet {
	if len(b) < 40 {
		return packet{verdict: malformed}
	}
	p := packet{proto: b[6]}
	copy(p.key.src[:], b[8:])
	copy(p.key.dst[:], b[24:])
	size := int(be.Uint16(b[4:]))
	b = b[40:]
	if size == 0 {
		size = len(b) // a jumbogram, or segmentation was left to the network card
	}
	if size > len(b) {
		p.verdict = cut
	}
	b = b[:min(size, len(b))]
	for {
		length := 0
		switch p.proto {
		case protoHopByHop, protoRouting, protoDestOpts:
			if len(b) >= 8 {
				length = int(b[1])*8 + 8
			}
		case protoAH:
			if len(b) >= 8 {
				length = int(b[1])*4 + 8
			}
		case protoFragment:
			if len(b) < 8 {
				break
			}
			field := be.Uint16(b[2:])
			p.proto, p.offset, p.more = b[0], int(field&^7), field&1 != 0
			p.fragment = p.offset > 0 || p.more // else an atomic fragment, RFC 6946
			p.key.id, p.key.proto = be.Uint32(b[4:]), p.proto
			b = b[8:]
			if p.fragment {
				p.payload = b
				return p
			}
			continue
		default:
			p.payload = b
			return p
		}
		if length == 0 || length > len(b) {
			if p.verdict == whole {
				p.verdict = malformed
			}
			return p
		}
		p.proto, b = b[0], b[length:]
	}
}
