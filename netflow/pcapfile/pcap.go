package pcapfile

import (
	"fmt"
	"io"
)

// Classic pcap, draft-ietf-opsawg-pcap section 4: the first four bytes, in the byte order of the whole file.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Alexey Kuznetsov's: packet headers are eight bytes longer and begin the ifIndex there

	fileHeaderLen     = 24
	packetHeaderLen   = 16
	modifiedHeaderLen = 24
)

// pcapHeader is what the file header of a classic pcap says about its packets.
type pcapHeader struct {
	nano      bool // fractions of seconds are nanoseconds, else microseconds
	minor     uint16
	headerLen int
	link      uint16
}

func (r *Reader) pcapHeader() error {
	b, err := r.buf.peek(fileHeaderLen)
	if err != nil {
		return r.cut(0, err, errHeaderCut)
	}
	h := pcapHeader{headerLen: packetHeaderLen, minor: r.uint16(b[6:]), link: uint16(r.uint32(b[20:]))} // upper half: FCS length
	switch r.uint32(b) {
	case magicNano:
		h.nano = true
	case magicModified:
		h.headerLen = modifiedHeaderLen
	}
	if major := r.uint16(b[4:]); major != 2 {
		return r.fail(0, fmt.Errorf("%w: pcap %d.%d", ErrVersion, major, h.minor))
	}
	r.pcap = h
	r.buf.r += fileHeaderLen
	return nil
}

// nextPcap sets all of f, unless there is an error.
func (r *Reader) nextPcap(f *Frame) error {
	h := &r.pcap
	at := r.buf.offset()
	b, err := r.buf.peek(h.headerLen)
	if err != nil {
		if err == io.EOF && len(b) == 0 {
			return io.EOF
		}
		return r.cut(at, err, errCut)
	}
	sec, frac, captured, wire := r.uint32(b), r.uint32(b[4:]), r.uint32(b[8:]), r.uint32(b[12:])
	if h.minor < 3 || h.minor == 3 && captured > wire { // the two lengths changed places in version 2.3
		captured, wire = wire, captured
	}
	if captured > MaxFrame {
		return r.fail(at, corrupt("a packet of %d captured bytes", captured))
	}
	f.Interface = 1
	if h.headerLen == modifiedHeaderLen {
		f.Interface = r.uint32(b[16:])
	}
	n := h.headerLen + int(captured)
	if b, err = r.buf.peek(n); err != nil {
		return r.cut(at, err, errCut)
	}
	r.buf.r += n
	f.Data = b[h.headerLen:n:n]
	f.WireLen = int(wire)
	f.LinkType = h.link
	if h.nano {
		f.Time = int64(sec)*1e9 + int64(frac)
	} else {
		f.Time = int64(sec)*1e9 + int64(frac)*1e3
	}
	return nil
}
