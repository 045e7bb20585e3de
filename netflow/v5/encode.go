package v5

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/uptime"
)

// EncoderConfig says which datagrams an Encoder makes.
type EncoderConfig struct {
	Version        uint8  // netflow.VersionV1 or netflow.VersionV5
	MaxBytes       int    // greatest length of a datagram; less than a header and one record is taken as that
	Engine         uint16 // version 5: engine type << 8 | engine id
	Sampling       uint16 // version 5: one packet in Sampling was metered, at most MaxSampling; 0 and 1: all
	SamplingRandom bool   // chosen at random, and not every so many
}

// Limits of the datagrams that an Encoder makes. Collectors enforce the numbers of records.
const (
	MaxRecordsV1 = 24
	MaxRecordsV5 = 30
	MaxSampling  = 1<<14 - 1
)

// An encoded record has 48 bytes in both versions, and both give the first 36 the same meaning:
//
//	 0 source address        4 destination address    8 next hop
//	12 input ifIndex        14 output ifIndex        16 packets   20 bytes
//	24 first, ms of uptime  28 last, ms of uptime
//	32 source port          34 destination port (ICMP: type << 8 | code)
//
//	version 1:                        version 5:
//	36 zero      38 protocol          36 zero         37 TCP flags    38 protocol      39 TOS
//	39 TOS       40 TCP flags         40 source AS    42 destination AS
//	41 zero                           44 source mask  45 destination mask              46 zero
const (
	encodedHeaderV1 = 16
	encodedHeaderV5 = 24
	encodedRecord   = 48
)

// asTrans stands for an AS number that needs more than 16 bits (RFC 6793 section 9).
const asTrans = 23456

// Encoder makes datagrams of version 1 or 5, one after the other. It keeps the sequence number and a boot time chosen so
// that collectors compute the times of flows to the millisecond (package uptime). It is not for concurrent use.
type Encoder struct {
	cfg      EncoderConfig
	clock    uptime.Clock
	body     []byte // the records of the datagram at hand
	sequence uint32 // flows in the datagrams before
}

// NewEncoder makes an Encoder; it allocates all that it will need.
func NewEncoder(cfg EncoderConfig) *Encoder {
	header, most := encodedHeaderV5, MaxRecordsV5
	if cfg.Version == netflow.VersionV1 {
		header, most = encodedHeaderV1, MaxRecordsV1
	}
	n := min(max((cfg.MaxBytes-header)/encodedRecord, 1), most)
	return &Encoder{cfg: cfg, body: make([]byte, 0, n*encodedRecord)}
}

// Len returns the number of flow records in the datagram at hand.
func (e *Encoder) Len() int { return len(e.body) / encodedRecord }

// Append adds a flow to the datagram at hand, with now for times that the flow does not tell. The flow must be one that
// the formats can carry as one record: LimitsOf says so, Part cuts it out of a larger one. What else does not fit is
// written as LimitsOf describes; an IPv6 next hop as 0.
//
// It returns false, and adds nothing, when the flow has to wait for the next datagram, because this one is full or its
// clock does not reach: AppendMessage, and call again.
func (e *Encoder) Append(now netflow.Timestamp, r *netflow.Record) bool {
	n := len(e.body)
	if n == cap(e.body) {
		return false
	}
	span := uptime.SpanOf(now, r.Start, r.End)
	if !e.clock.Holds(span) {
		if n > 0 {
			return false
		}
		e.clock.Rebase(span)
	}
	e.body = e.body[:n+encodedRecord]
	p := (*[encodedRecord]byte)(e.body[n:])
	copy(p[0:4], r.SrcAddr[12:])
	copy(p[4:8], r.DstAddr[12:])
	clear(p[8:12])
	if r.NextHop.Is4() {
		copy(p[8:12], r.NextHop[12:])
	}
	binary.BigEndian.PutUint16(p[12:], shortIndex(r.Input))
	binary.BigEndian.PutUint16(p[14:], shortIndex(r.Output))
	binary.BigEndian.PutUint32(p[16:], uint32(min(r.Packets, maxCounter)))
	binary.BigEndian.PutUint32(p[20:], uint32(min(r.Bytes, maxCounter)))
	first, last := e.clock.Uptimes(span)
	binary.BigEndian.PutUint32(p[24:], first)
	binary.BigEndian.PutUint32(p[28:], last)
	binary.BigEndian.PutUint16(p[32:], r.SrcPort)
	binary.BigEndian.PutUint16(p[34:], dstPort(r))
	if e.cfg.Version == netflow.VersionV1 {
		clear(p[36:])
		p[38], p[39], p[40] = r.Proto, r.TOS, uint8(r.TCPFlags)
		return true
	}
	p[36], p[37], p[38], p[39] = 0, uint8(r.TCPFlags), r.Proto, r.TOS
	binary.BigEndian.PutUint16(p[40:], shortAS(r.SrcAS))
	binary.BigEndian.PutUint16(p[42:], shortAS(r.DstAS))
	p[44], p[45], p[46], p[47] = r.SrcMask, r.DstMask, 0, 0
	return true
}

// AppendMessage appends the datagram at hand to dst and begins the next one. Its header's clock is now, moved only as far
// as the flows in it demand. A datagram without flows is none: dst is returned as it is.
func (e *Encoder) AppendMessage(dst []byte, now netflow.Timestamp) []byte {
	n := e.Len()
	if n == 0 {
		return dst
	}
	seconds, sysUptime := e.clock.Header(now)
	dst = binary.BigEndian.AppendUint16(dst, uint16(e.cfg.Version))
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	dst = binary.BigEndian.AppendUint32(dst, sysUptime)
	dst = binary.BigEndian.AppendUint32(dst, seconds)
	dst = binary.BigEndian.AppendUint32(dst, 0) // residual nanoseconds: the clock stands on a whole second
	if e.cfg.Version != netflow.VersionV1 {
		dst = binary.BigEndian.AppendUint32(dst, e.sequence)
		dst = binary.BigEndian.AppendUint16(dst, e.cfg.Engine)
		dst = binary.BigEndian.AppendUint16(dst, e.cfg.samplingField())
	}
	dst = append(dst, e.body...)
	e.sequence += uint32(n)
	e.body = e.body[:0]
	return dst
}

// samplingField has the mode in the upper two bits, 1 for every n-th packet and 2 for one in n at random, and n in the
// others; it is zero when every packet is metered.
func (c *EncoderConfig) samplingField() uint16 {
	if c.Sampling <= 1 {
		return 0
	}
	mode := uint16(1)
	if c.SamplingRandom {
		mode = 2
	}
	return mode<<14 | min(c.Sampling, MaxSampling)
}

// shortIndex gives 0, unknown, for an ifIndex of more than 16 bits: its low bits would name another interface.
func shortIndex(i uint32) uint16 {
	if i > 0xffff {
		return 0
	}
	return uint16(i)
}

func shortAS(as uint32) uint16 {
	if as > 0xffff {
		return asTrans
	}
	return uint16(as)
}

// dstPort has ICMP's type and code in place of a port, as every collector of these formats expects.
func dstPort(r *netflow.Record) uint16 {
	if r.Proto == netflow.ProtoICMP && r.ICMPType|r.ICMPCode != 0 {
		return uint16(r.ICMPType)<<8 | uint16(r.ICMPCode)
	}
	return r.DstPort
}
