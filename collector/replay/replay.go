// Package replay takes export datagrams out of packet captures, as if they had just arrived: with the exporters'
// addresses and the times of the capture.
//
// A Reader goes through one capture file. It knows Ethernet with VLAN tags, Linux cooked (both versions), raw IP and
// BSD loopback frames, IPv4 with options, IPv6 with extension headers, and puts fragmented datagrams together again.
// Every frame that gives no datagram is counted with a reason.
package replay

import (
	"encoding/binary"
	"io"
	"net/netip"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// Stats counts what became of the frames of a capture:
//
//	Frames = Datagrams - Reassembled + OtherPort + NotExport + NotUDP + Malformed + Cut + Fragments
type Stats struct {
	Frames      uint64
	Datagrams   uint64 // given to the caller
	Bytes       uint64 // UDP payload of those
	Reassembled uint64 // datagrams, exports or not, that were put together from fragments
	Fragments   uint64 // frames that held a part of a datagram
	OtherPort   uint64 // UDP to a port that was not asked for
	NotExport   uint64 // UDP that does not begin like NetFlow or IPFIX, when no port was asked for
	NotUDP      uint64 // other protocols, other link types
	Malformed   uint64 // headers that contradict each other
	Cut         uint64 // UDP of which the capture holds only the beginning
}

// Add adds the counters of another capture.
func (s *Stats) Add(o Stats) {
	s.Frames += o.Frames
	s.Datagrams += o.Datagrams
	s.Bytes += o.Bytes
	s.Reassembled += o.Reassembled
	s.Fragments += o.Fragments
	s.OtherPort += o.OtherPort
	s.NotExport += o.NotExport
	s.NotUDP += o.NotUDP
	s.Malformed += o.Malformed
	s.Cut += o.Cut
}

// Reader reads the datagrams of one capture.
type Reader struct {
	file      *pcapfile.Reader
	port      uint16
	fragments reassembler
	stats     Stats
}

// Open opens a capture; "-" is standard input. With a port only UDP to that port is taken, without (0) any UDP whose
// first two bytes are a version of NetFlow or IPFIX.
func Open(path string, port uint16) (*Reader, error) {
	f, err := pcapfile.Open(path)
	if err != nil {
		return nil, err
	}
	return &Reader{file: f, port: port}, nil
}

// NewReader is Open for a capture that comes from src.
func NewReader(src io.Reader, port uint16) (*Reader, error) {
	f, err := pcapfile.NewReader(src)
	if err != nil {
		return nil, err
	}
	return &Reader{file: f, port: port}, nil
}

// Next returns the next datagram. Its payload is valid until the following call. At the end the error is io.EOF.
func (r *Reader) Next() (decode.Datagram, error) {
	for {
		f, err := r.file.Next()
		if err != nil {
			return decode.Datagram{}, err
		}
		r.stats.Frames++
		if d, ok := r.frame(&f); ok {
			r.stats.Datagrams++
			r.stats.Bytes += uint64(len(d.Payload))
			return d, nil
		}
	}
}

// Stats returns the counters so far.
func (r *Reader) Stats() Stats { return r.stats }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// LINKTYPE_ values, https://www.tcpdump.org/linktypes.html.
const (
	linkNull     = 0
	linkEthernet = 1
	linkRawBSD   = 12
	linkRawOBSD  = 14
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// EtherTypes, IEEE 802 numbers.
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherQinQ2 = 0x9100
)

// IANA protocol numbers.
const (
	protoHopByHop = 0
	protoUDP      = 17
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoDestOpts = 60
)

var be = binary.BigEndian

// frame finds the datagram in a frame, or counts why there is none.
func (r *Reader) frame(f *pcapfile.Frame) (decode.Datagram, bool) {
	b, ok := network(f.LinkType, f.Data)
	if !ok || len(b) == 0 {
		r.stats.NotUDP++
		return decode.Datagram{}, false
	}
	var p packet
	switch b[0] >> 4 {
	case 4:
		p = parseIPv4(b)
	case 6:
		p = parseIPv6(b)
	default:
		r.stats.NotUDP++
		return decode.Datagram{}, false
	}
	switch {
	case p.verdict == malformed:
		r.stats.Malformed++
		return decode.Datagram{}, false
	case p.verdict == cut && p.proto == protoUDP:
		r.stats.Cut++
		return decode.Datagram{}, false
	case p.proto != protoUDP:
		r.stats.NotUDP++
		return decode.Datagram{}, false
	}
	if p.fragment {
		r.stats.Fragments++
		if p.payload = r.fragments.add(&p); p.payload == nil {
			return decode.Datagram{}, false
		}
		r.stats.Reassembled++
	}
	return r.udp(&p, netflow.Timestamp(f.Time/1000))
}

// udp reads a UDP header (RFC 768). A length of zero is a jumbogram's (RFC 2675): the payload ends with the packet.
func (r *Reader) udp(p *packet, at netflow.Timestamp) (d decode.Datagram, ok bool) {
	b := p.payload
	if len(b) < 8 {
		r.bad(p)
		return d, false
	}
	size := int(be.Uint16(b[4:]))
	if size == 0 {
		size = len(b)
	}
	if size < 8 || size > len(b) {
		r.bad(p)
		return d, false
	}
	payload := b[8:size]
	switch {
	case r.port != 0:
		if be.Uint16(b[2:]) != r.port {
			r.stats.OtherPort++
			return d, false
		}
	case !looksLikeExport(payload):
		r.stats.NotExport++
		return d, false
	}
	return decode.Datagram{
		Exporter: netip.AddrPortFrom(p.key.src.Netip(), be.Uint16(b)),
		Received: at,
		Payload:  payload,
	}, true
}

// bad counts a UDP header that does not fit into its packet. Of a reassembled one the frames are counted already.
func (r *Reader) bad(p *packet) {
	if p.fragment {
		r.stats.Reassembled--
		return
	}
	r.stats.Malformed++
}

// looksLikeExport tells by the version that NetFlow and IPFIX begin with, and by the room for a header.
func looksLikeExport(b []byte) bool {
	if len(b) < 16 {
		return false
	}
	switch be.Uint16(b) {
	case netflow.VersionV1, netflow.VersionV5, netflow.VersionV7, netflow.VersionV9, netflow.VersionIPFIX:
		return true
	}
	return false
}

// network returns the network layer of a frame that carries IP.
func network(link uint16, b []byte) ([]byte, bool) {
	var ether uint16
	switch link {
	case linkRaw, linkRawBSD, linkRawOBSD, linkIPv4, linkIPv6:
		return b, true
	case linkNull, linkLoop: // an address family in somebody's byte order; the IP version tells the rest
		if len(b) < 4 {
			return nil, false
		}
		return b[4:], true
	case linkEthernet:
		if len(b) < 14 {
			return nil, false
		}
		ether, b = be.Uint16(b[12:]), b[14:]
	case linkSLL:
		if len(b) < 16 {
			return nil, false
		}
		ether, b = be.Uint16(b[14:]), b[16:]
	case linkSLL2:
		if len(b) < 20 {
			return nil, false
		}
		ether, b = be.Uint16(b), b[20:]
	default:
		return nil, false
	}
	for ether == etherVLAN || ether == etherQinQ || ether == etherQinQ2 {
		if len(b) < 4 {
			return nil, false
		}
		ether, b = be.Uint16(b[2:]), b[4:]
	}
	return b, ether == etherIPv4 || ether == etherIPv6
}
