package plan

import (
	"bytes"
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/wire"
)

// rows is one field of a run of records: record i has it at data[i*stride+off:], width bytes long.
type rows struct {
	data   []byte
	stride int
	off    int
	width  int
	when   uint8   // 0: all rows; whenZero: rows whose column is still zero; 4, 6: rows of that IP version
	family []uint8 // the IP version of each row, for when 4 and 6
}

func (r *rows) value(i int) []byte {
	at := i*r.stride + r.off
	return r.data[at : at+r.width]
}

// Fill gives all rows of a column one value.
func Fill[T any](dst []T, v T) {
	for i := range dst {
		dst[i] = v
	}
}

// load reads integers into a column of size bytes a row. The usual widths have loops of their own: they are the hot path
// of a collector. An index that walks, and slices of constant length at it, cost less than half of src[i*stride:].
func load[T uint8 | uint16 | uint32 | uint64](dst []T, r *rows, size int) {
	data, at, stride := r.data, r.off, r.stride
	if r.when != 0 || r.width > size {
		loadSome(dst, r)
		return
	}
	switch r.width {
	case 0:
	case 1:
		for i := range dst {
			dst[i] = T(data[at])
			at += stride
		}
	case 2:
		for i := range dst {
			dst[i] = T(binary.BigEndian.Uint16(data[at : at+2]))
			at += stride
		}
	case 4:
		for i := range dst {
			dst[i] = T(binary.BigEndian.Uint32(data[at : at+4]))
			at += stride
		}
	case 8:
		for i := range dst {
			dst[i] = T(binary.BigEndian.Uint64(data[at : at+8]))
			at += stride
		}
	default:
		loadSome(dst, r)
	}
}

// loadTwin reads the integers of a twin into its two columns.
func loadTwin[T uint8 | uint16 | uint32 | uint64](dst, dst2 []T, data []byte, stride int, f fields) {
	at, at2 := int(f.first), int(f.second)
	dst2 = dst2[:len(dst)]
	switch f.width {
	case 1:
		for i := range dst {
			dst[i], dst2[i] = T(data[at]), T(data[at2])
			at, at2 = at+stride, at2+stride
		}
	case 2:
		for i := range dst {
			dst[i] = T(binary.BigEndian.Uint16(data[at : at+2]))
			dst2[i] = T(binary.BigEndian.Uint16(data[at2 : at2+2]))
			at, at2 = at+stride, at2+stride
		}
	case 4:
		for i := range dst {
			dst[i] = T(binary.BigEndian.Uint32(data[at : at+4]))
			dst2[i] = T(binary.BigEndian.Uint32(data[at2 : at2+4]))
			at, at2 = at+stride, at2+stride
		}
	case 8:
		for i := range dst {
			dst[i] = T(binary.BigEndian.Uint64(data[at : at+8]))
			dst2[i] = T(binary.BigEndian.Uint64(data[at2 : at2+8]))
			at, at2 = at+stride, at2+stride
		}
	}
}

// loadSome reads integers of any width, subject to r.when. A number that is wider than its column and does not fit is
// taken for not told: its low bits would name another interface or protocol.
func loadSome[T uint8 | uint16 | uint32 | uint64](dst []T, r *rows) {
	if r.width == 0 {
		return
	}
	for i := range dst {
		if r.when == whenZero && dst[i] != 0 || r.when > whenZero && r.family[i] != r.when {
			continue
		}
		if v := wire.Uint(r.value(i)); uint64(T(v)) == v {
			dst[i] = T(v)
		}
	}
}

// mapped is the second half of an IPv4-mapped address but for the address itself, RFC 4291 section 2.5.5.2.
const mapped = 0xffff << 32

// loadAddr4 reads IPv4 addresses. optional says that 0.0.0.0 means not told.
func loadAddr4(dst []netflow.Addr, r *rows, optional bool) {
	if r.width != 4 {
		return
	}
	data, at, stride := r.data, r.off, r.stride
	if r.when == 0 {
		for i := range dst {
			v := mapped | uint64(binary.BigEndian.Uint32(data[at:at+4]))
			if optional && v == mapped {
				v = 0
			}
			binary.BigEndian.PutUint64(dst[i][8:], v)
			at += stride
		}
		return
	}
	for i := range dst {
		v := binary.BigEndian.Uint32(data[at : at+4])
		at += stride
		if optional && v == 0 || r.when > whenZero && r.family[i] != r.when || r.when == whenZero && !dst[i].IsZero() {
			continue
		}
		binary.BigEndian.PutUint64(dst[i][8:], mapped|uint64(v))
	}
}

// loadTwinAddr4 reads the source and destination of IPv4 flows.
func loadTwinAddr4(src, dst []netflow.Addr, data []byte, stride int, f fields) {
	at, at2 := int(f.first), int(f.second)
	dst = dst[:len(src)]
	for i := range src {
		binary.BigEndian.PutUint64(src[i][8:], mapped|uint64(binary.BigEndian.Uint32(data[at:at+4])))
		binary.BigEndian.PutUint64(dst[i][8:], mapped|uint64(binary.BigEndian.Uint32(data[at2:at2+4])))
		at, at2 = at+stride, at2+stride
	}
}

func loadAddr6(dst []netflow.Addr, r *rows) {
	if r.width != 16 {
		return
	}
	at := r.off
	for i := range dst {
		if r.when <= whenZero || r.family[i] == r.when {
			dst[i] = netflow.Addr(r.data[at : at+16])
		}
		at += r.stride
	}
}

func noAddr4(dst []netflow.Addr, r *rows) {
	for i := range dst {
		if r.family[i] == 4 {
			dst[i] = netflow.Addr{10: 0xff, 11: 0xff}
		}
	}
}

func loadMAC(dst []netflow.MAC, r *rows) {
	if r.width != 6 {
		return
	}
	at := r.off
	for i := range dst {
		dst[i] = netflow.MAC(r.data[at : at+6])
		at += r.stride
	}
}

// family decides the IP version of each record of a layout that has addresses of both families: by the element ipVersion,
// else by the addresses that are not zero. When neither are, the packets were tunnelled, and the family that comes first
// is that of the outer header (RFC 7011 section 8), like the first of two protocols or ports.
func (p *Plan) family(dst []uint8, data []byte, stride int) {
	first, second := uint8(4), uint8(6)
	if min(p.slotOf[roleSrc6]-1, p.slotOf[roleDst6]-1) < min(p.slotOf[roleSrc4]-1, p.slotOf[roleDst4]-1) {
		first, second = 6, 4
	}
	for i := range dst {
		record := data[i*stride : (i+1)*stride]
		four := !p.isZero(roleSrc4, record) || !p.isZero(roleDst4, record)
		six := !p.isZero(roleSrc6, record) || !p.isZero(roleDst6, record)
		switch v := p.number(roleIPVersion, record); {
		case v == 4 || v == 6:
			dst[i] = uint8(v)
		case four == six:
			dst[i] = first
		case four == (first == 4):
			dst[i] = first
		default:
			dst[i] = second
		}
	}
}

// value returns the bytes that a record has for a role, nil when it has none.
func (p *Plan) value(r role, record []byte) []byte {
	if p.slotOf[r] == 0 {
		return nil
	}
	s := p.slots[p.slotOf[r]-1]
	return record[s.off : int(s.off)+int(s.width)]
}

// number is value as an integer, zero when the record has none.
func (p *Plan) number(r role, record []byte) uint64 {
	return wire.Uint(p.value(r, record))
}

func (p *Plan) isZero(r role, record []byte) bool {
	for _, b := range p.value(r, record) {
		if b != 0 {
			return false
		}
	}
	return true
}

// icmp gives ICMP and ICMPv6 rows their type and code, whichever element carried them, and the customary destination
// port type<<8|code.
func (p *Plan) icmp(b *netflow.Batch, from, to int, data []byte, stride int) {
	const columns = 1<<netflow.ICMPType | 1<<netflow.ICMPCode | 1<<netflow.DstPort
	known := p.has(roleProto)
	protos := b.Proto[from:to]
	if known && bytes.IndexByte(protos, netflow.ProtoICMP) < 0 && bytes.IndexByte(protos, netflow.ProtoICMPv6) < 0 {
		return
	}
	four := [...]role{roleICMP4Type, roleICMP4Code, roleICMP4}
	six := [...]role{roleICMP6Type, roleICMP6Code, roleICMP6}
	for i := from; i < to; i++ {
		proto := b.Proto[i]
		if known && proto != netflow.ProtoICMP && proto != netflow.ProtoICMPv6 {
			continue
		}
		order := [...]*[3]role{&four, &six}
		if proto == netflow.ProtoICMPv6 || !known && b.IPVersion[i] == 6 {
			order = [...]*[3]role{&six, &four}
		}
		b.Extend(0, columns)
		record := data[(i-from)*stride : (i-from+1)*stride]
		var v uint16
		for _, o := range order {
			if v == 0 {
				v = uint16(p.number(o[0], record))<<8 | uint16(p.number(o[1], record))&0xff
			}
			if v == 0 {
				v = uint16(p.number(o[2], record))
			}
		}
		switch {
		case v == 0 && !known: // the port may be one of TCP
			continue
		case v == 0:
			v = b.DstPort[i]
		case b.DstPort[i] == 0:
			b.DstPort[i] = v
		}
		b.ICMPType[i], b.ICMPCode[i] = uint8(v>>8), uint8(v)
	}
}
