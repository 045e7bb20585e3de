package pcapfile

import (
	"encoding/binary"
	"fmt"
	"io"
)

// pcapng, draft-ietf-opsawg-pcapng section 4: block types that are looked into, and the byte-order magic of a section.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete, section 4.8 of the older drafts
	blockSimple    = 3
	blockEnhanced  = 6

	orderMagic = 0x1a2b3c4d

	blockHeaderLen = 8
	minBlockLen    = 12 // header, and the length once more at the end

	// maxInterfaces bounds the memory that interface descriptions take. Some drafts number them with 16 bits.
	maxInterfaces = 1 << 16
)

// section is the state that a section of pcapng has, and that the next one begins anew.
type section struct {
	interfaces []iface
	time       int64 // of the last frame, for simple packet blocks
}

// section reads a section header block, which may be of another byte order than what came before.
func (r *Reader) section() error {
	at := r.buf.offset()
	b, err := r.buf.peek(blockHeaderLen + 4)
	if err != nil {
		return r.cut(at, err, errHeaderCut)
	}
	switch {
	case binary.LittleEndian.Uint32(b[8:]) == orderMagic:
		r.little = true
	case binary.BigEndian.Uint32(b[8:]) == orderMagic:
		r.little = false
	default:
		if at == 0 {
			return r.fail(at, ErrFormat)
		}
		return r.fail(at, corrupt("a section header without byte order"))
	}
	length := r.uint32(b[4:])
	if length < 28 || length%4 != 0 {
		return r.fail(at, corrupt("a section header of %d bytes", length))
	}
	if b, err = r.buf.peek(16); err != nil {
		return r.cut(at, err, errHeaderCut)
	}
	if major, minor := r.uint16(b[12:]), r.uint16(b[14:]); major != 1 {
		return r.fail(at, fmt.Errorf("%w: pcapng %d.%d", ErrVersion, major, minor))
	}
	r.sect.interfaces = r.sect.interfaces[:0]
	return r.skipBlock(at, length)
}

// nextBlock reads blocks up to the next packet.
func (r *Reader) nextBlock(f *Frame) error {
	for {
		at := r.buf.offset()
		b, err := r.buf.peek(blockHeaderLen)
		if err != nil {
			if err == io.EOF && len(b) == 0 {
				return io.EOF
			}
			return r.cut(at, err, errCut)
		}
		kind, length := r.uint32(b), r.uint32(b[4:])
		if kind == blockSection { // the same in either byte order; length may be of the other
			if err := r.section(); err != nil {
				return err
			}
			continue
		}
		if length < minBlockLen || length%4 != 0 {
			return r.fail(at, corrupt("a block of %d bytes", length))
		}
		switch kind {
		case blockEnhanced, blockSimple, blockPacket, blockInterface:
		default:
			if err := r.skipBlock(at, length); err != nil {
				return err
			}
			continue
		}
		if length > bufferSize {
			return r.fail(at, corrupt("a block of %d bytes, type %d", length, kind))
		}
		n := int(length)
		if b, err = r.buf.peek(n); err != nil {
			return r.cut(at, err, errCut)
		}
		if again := r.uint32(b[n-4:]); again != length {
			return r.fail(at, corrupt("a block of %d bytes that ends with length %d", length, again))
		}
		body := b[blockHeaderLen : n-4 : n-4]
		switch kind {
		case blockInterface:
			err = r.addInterface(body)
		case blockEnhanced:
			err = r.enhanced(f, body)
		case blockSimple:
			err = r.simple(f, body)
		case blockPacket:
			err = r.obsolete(f, body)
		}
		if err != nil {
			return r.fail(at, err)
		}
		r.buf.r += n
		if kind != blockInterface {
			return nil
		}
	}
}

// skipBlock consumes a whole block of any length, and checks that it ends with its length.
func (r *Reader) skipBlock(at int64, length uint32) error {
	if err := r.buf.discard(int64(length) - 4); err != nil {
		return r.cut(at, err, errCut)
	}
	b, err := r.buf.peek(4)
	if err != nil {
		return r.cut(at, err, errCut)
	}
	if again := r.uint32(b); again != length {
		return r.fail(at, corrupt("a block of %d bytes that ends with length %d", length, again))
	}
	r.buf.r += 4
	return nil
}

// enhanced reads the body of an enhanced packet block, section 4.3.
func (r *Reader) enhanced(f *Frame, b []byte) error {
	if len(b) < 20 {
		return corrupt("a packet block of %d bytes", len(b)+minBlockLen)
	}
	return r.packet(f, r.uint32(b), b[4:])
}

// obsolete reads the body of a packet block; it differs from an enhanced one in the width of the interface number.
func (r *Reader) obsolete(f *Frame, b []byte) error {
	if len(b) < 20 {
		return corrupt("a packet block of %d bytes", len(b)+minBlockLen)
	}
	return r.packet(f, uint32(r.uint16(b)), b[4:])
}

// packet reads what enhanced and obsolete packet blocks share: time, lengths, data.
func (r *Reader) packet(f *Frame, id uint32, b []byte) error {
	if id >= uint32(len(r.sect.interfaces)) {
		return corrupt("a packet of interface %d of %d", id, len(r.sect.interfaces))
	}
	ticks := uint64(r.uint32(b))<<32 | uint64(r.uint32(b[4:]))
	captured, wire := r.uint32(b[8:]), r.uint32(b[12:])
	b = b[16:]
	if captured > MaxFrame || int(captured) > len(b) {
		return corrupt("a packet of %d captured bytes in a block with room for %d", captured, len(b))
	}
	in := &r.sect.interfaces[id]
	f.Time = in.nanoseconds(ticks)
	f.WireLen = int(wire)
	f.Interface = id + 1
	f.LinkType = in.link
	f.Data = b[:captured:captured]
	r.sect.time = f.Time
	return nil
}

// simple reads the body of a simple packet block, section 4.4: always of the first interface, without a time, its
// captured length told by the interface's snapshot length.
func (r *Reader) simple(f *Frame, b []byte) error {
	if len(b) < 4 {
		return corrupt("a packet block of %d bytes", len(b)+minBlockLen)
	}
	if len(r.sect.interfaces) == 0 {
		return corrupt("a packet before any interface")
	}
	in := &r.sect.interfaces[0]
	wire := r.uint32(b)
	b = b[4:]
	captured := min(wire, uint32(len(b)))
	if in.snap != 0 {
		captured = min(captured, in.snap)
	}
	if captured > MaxFrame {
		return corrupt("a packet of %d captured bytes", captured)
	}
	f.Time = r.sect.time
	f.WireLen = int(wire)
	f.Interface = 1
	f.LinkType = in.link
	f.Data = b[:captured:captured]
	return nil
}
