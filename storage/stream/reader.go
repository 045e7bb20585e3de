package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/caprock-net/caprock/netflow"
)

// Reader takes frames off a stream.
type Reader struct {
	r       *bufio.Reader
	head    header
	payload []byte
	offset  int64 // bytes of good headers and frames
	err     error // sticks
}

// NewReader reads the header. Its error wraps ErrNotStream, ErrVersion, ErrTorn, ErrCorrupt or what r said; an empty
// input gives io.EOF.
func NewReader(r io.Reader) (*Reader, error) {
	s := &Reader{r: bufio.NewReaderSize(r, 256<<10)}
	first, err := s.r.Peek(headerFixed)
	if err != nil {
		if n := min(len(first), len(magic)); string(first[:n]) != magic[:n] {
			err = ErrNotStream
		}
		if len(first) > 0 || err != io.EOF {
			err = ended(err)
		}
		return nil, s.fail(err)
	}
	if err := s.readHeader(); err != nil {
		return nil, s.fail(err)
	}
	return s, nil
}

// Offset returns the number of bytes that were good: headers and frames read so far. A torn journal is cut there.
func (s *Reader) Offset() int64 { return s.offset }

// Next resets b, fills it with the next frame and returns the frame's sequence number. b needs room for MaxRows rows.
// The error is io.EOF at the end of a whole stream, or a *CorruptError; after an error every call returns it again.
func (s *Reader) Next(b *netflow.Batch) (seq uint64, err error) {
	b.Reset()
	if s.err != nil {
		return 0, s.err
	}
	seq, err = s.next(b)
	if err != nil {
		return 0, s.fail(err)
	}
	return seq, nil
}

func (s *Reader) next(b *netflow.Batch) (uint64, error) {
	for {
		first, err := s.r.Peek(4)
		if err == io.EOF && len(first) == 0 {
			return 0, io.EOF
		}
		if err != nil {
			return 0, ended(err)
		}
		if le.Uint32(first) == marker {
			break
		}
		if string(first) != magic[:4] {
			return 0, corrupt("neither a frame nor a header begins with %#x", first)
		}
		if err := s.readHeader(); err != nil {
			if errors.Is(err, ErrNotStream) {
				err = corrupt("neither a frame nor a header")
			}
			return 0, err
		}
	}
	var head [frameHeader]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, ended(err)
	}
	length, rows := le.Uint32(head[4:]), le.Uint32(head[16:])
	if length > maxPayload || rows > MaxRows {
		return 0, corrupt("frame of %d rows and %d bytes", rows, length)
	}
	if int(rows) > b.Cap() {
		return 0, fmt.Errorf("a frame of %d rows needs a larger batch than one of %d", rows, b.Cap())
	}
	if err := s.fill(int(length)); err != nil {
		return 0, err
	}
	if frameChecksum(head[:], s.payload) != le.Uint32(head[checksumAt:]) {
		return 0, corrupt("checksum of a frame")
	}
	if err := s.head.decodeFrame(b, int(rows), s.payload); err != nil {
		return 0, err
	}
	s.offset += int64(frameHeader) + int64(length)
	return le.Uint64(head[8:]), nil
}

// fill reads n bytes into s.payload. It takes memory as the bytes come, not as they are announced.
func (s *Reader) fill(n int) error {
	s.payload = s.payload[:0]
	for len(s.payload) < n {
		at := len(s.payload)
		if cap(s.payload) < n {
			grown := make([]byte, at, min(n, max(2*at, 1<<20)))
			copy(grown, s.payload)
			s.payload = grown
		}
		s.payload = s.payload[:min(n, cap(s.payload))]
		if _, err := io.ReadFull(s.r, s.payload[at:]); err != nil {
			return ended(err)
		}
	}
	return nil
}

func (s *Reader) readHeader() error {
	fixed, err := s.r.Peek(headerFixed)
	if err != nil {
		return ended(err)
	}
	n, err := headerLength(fixed)
	if err != nil {
		return err
	}
	whole, err := s.r.Peek(n) // at most 64 KiB, less than the buffer
	if err != nil {
		return ended(err)
	}
	if s.head, err = parseHeader(whole); err != nil {
		return err
	}
	if _, err := s.r.Discard(n); err != nil {
		return err
	}
	s.offset += int64(n)
	return nil
}

// ended turns the end of the input into ErrTorn: it came inside a header or frame.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends inside a frame or header", ErrTorn)
	}
	return err
}

// fail makes err stick, with the place.
func (s *Reader) fail(err error) error {
	switch {
	case err == io.EOF, errors.Is(err, ErrNotStream):
	case errors.Is(err, ErrTorn), errors.Is(err, ErrCorrupt), errors.Is(err, ErrVersion):
		err = &CorruptError{Offset: s.offset, Err: err}
	default:
		err = fmt.Errorf("flow stream at offset %d: %w", s.offset, err)
	}
	s.err = err
	return err
}
