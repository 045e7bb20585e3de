package main

import (
	"bufio"
	"io"

	"github.com/caprock-net/caprock/storage/stream"
)

// streamWriter writes the flow stream, which flowprint and flowstat read.
type streamWriter struct {
	buffer *bufio.Writer
	*stream.Writer
}

func newStream(w io.Writer) *streamWriter {
	buffer := bufio.NewWriterSize(w, 1<<18)
	return &streamWriter{buffer, stream.NewWriter(buffer)}
}

// Close writes the stream's header if there were no flows, so that a reader can tell nothing from a broken pipe.
func (s *streamWriter) Close() error {
	if err := s.Flush(); err != nil {
		return err
	}
	return s.buffer.Flush()
}
