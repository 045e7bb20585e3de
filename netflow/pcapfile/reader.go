package pcapfile

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// Reader reads the frames of one capture.
type Reader struct {
	buf    buffer
	raw    counter
	size   int64 // of the file, before decompression; 0: not known
	file   *os.File
	name   string
	ng     bool // pcapng; else classic pcap
	little bool // byte order of the file, or of the current section
	err    error
	pcap   pcapHeader
	sect   section
}

// Open opens a capture file; "-" is standard input. It reads the header of the file, and so fails for what is no capture.
func Open(path string) (*Reader, error) {
	if path == "-" {
		return newReader(os.Stdin, path, 0)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var size int64
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	r, err := newReader(f, path, size)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.file = f
	return r, nil
}

// NewReader reads a capture from src, beginning with its header.
func NewReader(src io.Reader) (*Reader, error) { return newReader(src, "", 0) }

func newReader(src io.Reader, name string, size int64) (*Reader, error) {
	r := &Reader{name: name, size: size}
	r.raw.src = src
	in := bufio.NewReaderSize(&r.raw, 64<<10) // large reads pass through it
	r.buf.src = in
	if magic, _ := in.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b { // RFC 1952 section 2.3.1
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, r.fail(0, err)
		}
		r.buf.src = z
	}
	r.buf.b = make([]byte, bufferSize)
	if err := r.start(); err != nil {
		return nil, err
	}
	return r, nil
}

// start tells the format by its first four bytes and reads the header of the file.
func (r *Reader) start() error {
	magic, err := r.buf.peek(4)
	if err != nil {
		switch {
		case err != io.EOF:
		case len(magic) == 0:
			err = errEmpty
		default:
			err = ErrFormat
		}
		return r.fail(0, err)
	}
	switch binary.LittleEndian.Uint32(magic) {
	case blockSection:
		r.ng = true
		return r.section()
	case magicMicro, magicNano, magicModified:
		r.little = true
		return r.pcapHeader()
	}
	switch binary.BigEndian.Uint32(magic) {
	case magicMicro, magicNano, magicModified:
		return r.pcapHeader()
	}
	return r.fail(0, ErrFormat)
}

// Next returns the next frame; its Data is valid until the following call. At the end of the capture the error is
// [io.EOF]; for a damaged one it is an [*Error], and so are all further calls.
func (r *Reader) Next() (Frame, error) {
	var f Frame
	err := r.Read(&f)
	return f, err
}

// Read is Next into a Frame that is there already, for those who count nanoseconds. After an error f is the zero Frame.
func (r *Reader) Read(f *Frame) error {
	if r.err == nil {
		if r.ng {
			*f = Frame{}
			r.err = r.nextBlock(f)
		} else {
			r.err = r.nextPcap(f)
		}
	}
	if r.err != nil {
		*f = Frame{}
	}
	return r.err
}

// Offset is the number of bytes consumed, after decompression.
func (r *Reader) Offset() int64 { return r.buf.offset() }

// Progress returns how many bytes of the file have been read and how many it has, both before decompression. total is 0
// when it is not known, as for a pipe. It may be called from any goroutine.
func (r *Reader) Progress() (done, total int64) { return r.raw.done.Load(), r.size }

// Close closes the file that Open has opened.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// fail makes the error for what begins at an offset.
func (r *Reader) fail(offset int64, err error) error {
	return &Error{File: r.name, Offset: offset, Err: err}
}

// cut makes the error for a stream that ended too early: io.EOF becomes one that wraps io.ErrUnexpectedEOF.
func (r *Reader) cut(offset int64, err, cut error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = cut
	}
	return r.fail(offset, err)
}

func (r *Reader) uint16(b []byte) uint16 {
	if r.little {
		return binary.LittleEndian.Uint16(b)
	}
	return binary.BigEndian.Uint16(b)
}

func (r *Reader) uint32(b []byte) uint32 {
	if r.little {
		return binary.LittleEndian.Uint32(b)
	}
	return binary.BigEndian.Uint32(b)
}
