package trace

import "encoding/binary"

// Protocol numbers and TCP flags, as in the packets.
const (
	icmp, tcp, udp, icmp6 = 1, 6, 17, 58
	fin, syn, psh, ack    = 1, 2, 8, 16
)

// flowID is what tells flows apart. An IPv6 address has 32 bits of its own too, below 2001:db8::/96.
type flowID struct {
	v6               bool
	proto            uint8
	src, dst         uint32
	srcPort, dstPort uint16 // ICMP: 0 and type << 8 | code
}

// reverse is the flow of the replies.
func (f flowID) reverse() flowID {
	r := flowID{f.v6, f.proto, f.dst, f.src, f.dstPort, f.srcPort}
	switch f.proto {
	case icmp:
		r.srcPort, r.dstPort = 0, 0<<8 // echo reply
	case icmp6:
		r.srcPort, r.dstPort = 0, 129<<8
	}
	return r
}

// frame appends the headers of a packet to dst, and payload as far as dst has room, and returns the IP packet's length:
// the one wanted, or that of the headers if they are longer.
func (f flowID) frame(dst []byte, flags byte, want int) (frame []byte, ipLen int) {
	header, transport := 20, 8
	if f.v6 {
		header = 40
	}
	if f.proto == tcp {
		transport = 20
	}
	ipLen = max(want, header+transport)

	dst = append(dst, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
	if f.v6 {
		dst = append(dst, 0x86, 0xdd, 0x60, 0, 0, 0)
		dst = binary.BigEndian.AppendUint16(dst, uint16(ipLen-40))
		dst = append(dst, f.proto, 63)
		dst = address6(address6(dst, f.src), f.dst)
	} else {
		dst = append(dst, 0x08, 0, 0x45, 0)
		dst = binary.BigEndian.AppendUint16(dst, uint16(ipLen))
		dst = append(dst, 0, 0, 0x40, 0, 63, f.proto, 0, 0)
		dst = binary.BigEndian.AppendUint32(dst, f.src)
		dst = binary.BigEndian.AppendUint32(dst, f.dst)
		seal(dst[14:34])
	}
	switch f.proto {
	case tcp:
		dst = binary.BigEndian.AppendUint16(dst, f.srcPort)
		dst = binary.BigEndian.AppendUint16(dst, f.dstPort)
		dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
	case udp:
		dst = binary.BigEndian.AppendUint16(dst, f.srcPort)
		dst = binary.BigEndian.AppendUint16(dst, f.dstPort)
		dst = binary.BigEndian.AppendUint16(dst, uint16(ipLen-header))
		dst = append(dst, 0, 0)
	default:
		dst = append(dst, byte(f.dstPort>>8), byte(f.dstPort), 0, 0, 0, 1, 0, 1)
	}
	for len(dst) < 14+ipLen && len(dst) < cap(dst) {
		dst = append(dst, 0)
	}
	return dst, ipLen
}

func address6(dst []byte, host uint32) []byte {
	dst = append(dst, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(dst, host)
}

// seal writes the checksum of an IPv4 header (RFC 791 section 3.1).
func seal(header []byte) {
	header[10], header[11] = 0, 0
	var sum uint32
	for i := 0; i+1 < len(header); i += 2 {
		sum += uint32(header[i])<<8 | uint32(header[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
}
