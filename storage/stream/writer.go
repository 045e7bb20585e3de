package stream

import (
	"io"

	"github.com/caprock-net/caprock/netflow"
)

// Writer puts a stream on an io.Writer, one Write call for each frame, numbered from 1.
type Writer struct {
	w       io.Writer
	buf     []byte
	seq     uint64
	started bool  // the header is out
	err     error // sticks
}

// NewWriter returns a writer on w. The header goes out with the first batch, or with Flush.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write appends the rows of b, in frames of at most MaxRows. After an error every call returns that error.
func (w *Writer) Write(b *netflow.Batch) error {
	for from := 0; from < b.Len() && w.err == nil; from += MaxRows {
		w.begin()
		w.seq++
		w.buf = AppendRows(w.buf, w.seq, b, from, min(from+MaxRows, b.Len()))
		_, w.err = w.w.Write(w.buf)
	}
	return w.err
}

// Flush writes the header if nothing has been written yet, so that a stream without flows is a stream too.
func (w *Writer) Flush() error {
	if w.err == nil && !w.started {
		w.begin()
		_, w.err = w.w.Write(w.buf)
	}
	return w.err
}

// begin empties the buffer; the first time it puts the header into it.
func (w *Writer) begin() {
	w.buf = w.buf[:0]
	if !w.started {
		w.started = true
		w.buf = AppendHeader(w.buf)
	}
}
