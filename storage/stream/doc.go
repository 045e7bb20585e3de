// Package stream is the format of the journal and of the pipe between the commands: a header, then frames. A frame is one
// Batch as columns, complete in itself, numbered and under a checksum; FORMAT.md in the folder above draws the bytes.
//
// AppendHeader and AppendFrame write into a buffer of the caller; Writer puts them on an io.Writer. Reader takes them off an
// io.Reader one Batch at a time, checks everything before it believes it, and holds at most one frame in memory. Streams
// that were put one behind the other are a stream. What follows a damaged or torn frame is not read: Offset says how far
// the good part reaches.
//
// Nothing here may be used by two goroutines at once.
package stream

import (
	"errors"
	"fmt"

	"github.com/caprock-net/caprock/netflow"
)

const (
	// MaxRows is the largest number of rows in a frame.
	MaxRows = 16384
	// Version is what AppendHeader writes. Readers refuse a larger one; whatever does not make older readers misread,
	// such as one more column, does not change it.
	Version = 1

	magic           = "CAPROCK\n"
	headerFixed     = 14 // magic, version, length, number of columns
	maxColumns      = 1024
	marker          = 0xC5F10AF7 // first four bytes of a frame, little endian
	frameHeader     = 24
	columnHeader    = 8
	maxPayload      = 16 << 20
	checksumAt      = 20 // in the frame header
	checksummedHead = 20 // bytes of the frame header under the checksum
)

// Encodings of a column in a frame.
const (
	encConstant = iota // one value for all rows
	encOffset          // base, then rows of 1, 2, 4 or 8 bytes to be added to it
	encRaw             // rows of 16 (address) or 6 (MAC) bytes
	encIPv4            // addresses, all IPv4: rows of 4 bytes
	encMixed           // addresses: a bit for each row (1: IPv6), the IPv4 ones, the IPv6 ones
)

// Kinds as numbers in the header. They are netflow's, written down because a file's numbers must never change.
var kindCodes = [...]byte{
	netflow.KindTime: 0, netflow.KindAddr: 1, netflow.KindMAC: 2, netflow.KindUint8: 3,
	netflow.KindUint16: 4, netflow.KindUint32: 5, netflow.KindUint64: 6,
}

var (
	// ErrNotStream is the error of NewReader when the input does not begin as a flow stream does.
	ErrNotStream = errors.New("not a flow stream")
	// ErrVersion means that a newer program wrote the stream in a way that this one cannot read.
	ErrVersion = errors.New("flow stream of a newer version")
	// ErrTorn means that the input ends inside a header or a frame, as after a crash of the writer.
	ErrTorn = errors.New("torn flow stream")
	// ErrCorrupt means that bytes are not what the writer wrote.
	ErrCorrupt = errors.New("corrupt flow stream")
)

// CorruptError says where a stream stops making sense. It wraps ErrTorn, ErrCorrupt or ErrVersion, found by errors.Is.
type CorruptError struct {
	Offset int64 // of the frame or header, in bytes from where the reader began
	Err    error
}

func (e *CorruptError) Error() string { return fmt.Sprintf("offset %d: %v", e.Offset, e.Err) }

// Unwrap returns Err.
func (e *CorruptError) Unwrap() error { return e.Err }

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
