package pcapfile_test

import "encoding/binary"

// order is a byte order that appends and puts: both of encoding/binary's do.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// pcapHeader makes the file header of a classic pcap.
func pcapHeader(o order, magic uint32, link uint32) []byte {
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, 4)
	b = o.AppendUint64(b, 0)
	b = o.AppendUint32(b, 65535)
	return o.AppendUint32(b, link)
}

// pcapPacket appends a packet of a classic pcap.
func pcapPacket(b []byte, o order, sec, frac, wire uint32, data string, extra ...byte) []byte {
	b = o.AppendUint32(b, sec)
	b = o.AppendUint32(b, frac)
	b = o.AppendUint32(b, uint32(len(data)))
	b = o.AppendUint32(b, wire)
	return append(append(b, extra...), data...)
}

// block appends a block of pcapng; its body is padded to four bytes.
func block(b []byte, o order, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b = o.AppendUint32(b, kind)
	b = o.AppendUint32(b, uint32(len(body)+12))
	b = append(b, body...)
	return o.AppendUint32(b, uint32(len(body)+12))
}

// sectionBlock appends a section header.
func sectionBlock(b []byte, o order) []byte {
	body := o.AppendUint32(nil, 0x1a2b3c4d)
	body = o.AppendUint16(body, 1)
	body = o.AppendUint16(body, 0)
	return block(b, o, 0x0a0d0d0a, o.AppendUint64(body, 1<<64-1))
}

// interfaceBlock appends an interface description; options are whole, with their headers.
func interfaceBlock(b []byte, o order, link uint16, snap uint32, options ...byte) []byte {
	body := o.AppendUint16(nil, link)
	body = o.AppendUint16(body, 0)
	body = o.AppendUint32(body, snap)
	return block(b, o, 1, append(body, options...))
}

// option makes an option of a block.
func option(o order, code uint16, value []byte) []byte {
	b := o.AppendUint16(nil, code)
	b = o.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// enhancedBlock appends an enhanced packet block.
func enhancedBlock(b []byte, o order, id uint32, ticks uint64, wire uint32, data string) []byte {
	body := o.AppendUint32(nil, id)
	body = o.AppendUint32(body, uint32(ticks>>32))
	body = o.AppendUint32(body, uint32(ticks))
	body = o.AppendUint32(body, uint32(len(data)))
	body = o.AppendUint32(body, wire)
	return block(b, o, 6, append(body, data...))
}
