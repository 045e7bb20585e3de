package parquet

import "io"

// Writer writes a file from its beginning to its end, as to a pipe: row groups, then one footer. What it writes is
// complete only after Close.
type Writer struct {
	w     io.Writer
	state Appender // of which only the list of row groups is used
	begun bool
	err   error // sticks
}

// NewWriter returns a writer on w. Nothing is written before the first call.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write appends a row group, in one write. After an error every call returns that error.
func (w *Writer) Write(rg *RowGroup) error {
	w.begin()
	at := w.state.size
	if at == 0 {
		at = int64(len(magic))
	}
	w.state.add(rg, at)
	w.state.size = at + int64(len(rg.data))
	w.state.rows += int64(rg.rows)
	return w.flush()
}

// Close writes the footer. It does not close what the file is written to.
func (w *Writer) Close() error {
	w.begin()
	w.state.buf = appendFooter(w.state.buf, w.state.rows, w.state.n, w.state.groups, nil)
	return w.flush()
}

// begin empties the buffer; the first time it puts the magic into it.
func (w *Writer) begin() {
	w.state.buf = w.state.buf[:0]
	if !w.begun {
		w.begun = true
		w.state.buf = append(w.state.buf, magic...)
	}
}

func (w *Writer) flush() error {
	if w.err == nil {
		_, w.err = w.w.Write(w.state.buf)
	}
	return w.err
}
