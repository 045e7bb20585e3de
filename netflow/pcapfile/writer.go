package pcapfile

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Writer writes a classic pcap file: little endian, nanoseconds. It makes one Write call of the underlying writer for the
// header and one for each frame; wrap a file in a bufio.Writer.
type Writer struct {
	dst  io.Writer
	buf  []byte
	link uint16
}

// NewWriter writes the file header. All frames of a file have the same LINKTYPE_ value.
func NewWriter(dst io.Writer, linkType uint16) (*Writer, error) {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, magicNano)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.LittleEndian.AppendUint32(b, MaxFrame)
	b = binary.LittleEndian.AppendUint32(b, uint32(linkType))
	if _, err := dst.Write(b); err != nil {
		return nil, err
	}
	return &Writer{dst: dst, link: linkType}, nil
}

// Write writes one frame. The format cannot hold times before 1970 or after 2106, another link type than the file's, and
// interfaces: f.Interface is lost.
func (w *Writer) Write(f Frame) error {
	sec, frac := f.Time/1e9, f.Time%1e9
	switch {
	case f.Time < 0 || sec > math.MaxUint32:
		return fmt.Errorf("pcapfile: time %d ns is outside of what pcap can hold", f.Time)
	case f.LinkType != w.link:
		return fmt.Errorf("pcapfile: link type %d in a file of link type %d", f.LinkType, w.link)
	case len(f.Data) > MaxFrame:
		return fmt.Errorf("pcapfile: frame of %d bytes, at most %d", len(f.Data), MaxFrame)
	case f.WireLen < 0 || int64(f.WireLen) > math.MaxUint32:
		return fmt.Errorf("pcapfile: frame with a length of %d bytes on the wire", f.WireLen)
	}
	b := w.buf[:0]
	b = binary.LittleEndian.AppendUint32(b, uint32(sec))
	b = binary.LittleEndian.AppendUint32(b, uint32(frac))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.WireLen))
	w.buf = append(b, f.Data...)
	_, err := w.dst.Write(w.buf)
	return err
}
