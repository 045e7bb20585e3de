package pcapfile

import (
	"errors"
	"fmt"
	"io"
)

var (
	// ErrFormat is the cause when the first bytes belong to no format that this package reads.
	ErrFormat = errors.New("not a pcap or pcapng file")
	// ErrVersion is the cause when the file is of a version of its format that this package does not know.
	ErrVersion = errors.New("unknown version of the format")
	// ErrCorrupt is the cause when a length or number in the file cannot be true.
	ErrCorrupt = errors.New("damaged")
)

// Error says where a file could not be read further. What came before it was good.
type Error struct {
	File   string // name as given to Open; empty for NewReader
	Offset int64  // in bytes, of the header or packet that could not be read; in a gzip file, of the uncompressed data
	Err    error  // wraps ErrFormat, ErrVersion, ErrCorrupt, io.ErrUnexpectedEOF or the error of the underlying read
}

func (e *Error) Error() string {
	file := e.File
	switch file {
	case "":
		file = "capture"
	case "-":
		file = "standard input"
	}
	if e.Offset == 0 && (errors.Is(e.Err, ErrFormat) || errors.Is(e.Err, errEmpty)) {
		return fmt.Sprintf("%s: %v", file, e.Err)
	}
	return fmt.Sprintf("%s: at byte %d: %v", file, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

var (
	errEmpty     = fmt.Errorf("the file is empty (%w)", io.ErrUnexpectedEOF)
	errHeaderCut = fmt.Errorf("the file ends inside its header (%w)", io.ErrUnexpectedEOF)
	errCut       = fmt.Errorf("the file ends inside a packet (%w)", io.ErrUnexpectedEOF)
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
