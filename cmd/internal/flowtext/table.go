// Package flowtext turns flows into text for people: times, sizes, flags and aligned tables.
package flowtext

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// Align says on which side of its column a cell stands.
type Align bool

// Numbers stand right, words left.
const (
	Left  Align = false
	Right Align = true
)

// Table lays out cells in aligned columns. Rows are collected by Cell and Row and written by Flush; widths grow with
// what was seen and never shrink, so a table may be flushed in pieces of bounded size and stays aligned for as long as
// no wider cell comes.
type Table struct {
	w      io.Writer
	aligns []Align
	widths []int
	gap    string
	text   []byte // of all pending cells
	ends   []int  // of each cell in text
	out    []byte
}

// NewTable returns a table that writes to w, its columns apart by two blanks.
func NewTable(w io.Writer, aligns ...Align) *Table {
	return &Table{w: w, aligns: aligns, widths: make([]int, len(aligns)), gap: "  "}
}

// Cell adds the next cell of the current row.
func (t *Table) Cell(text []byte) {
	t.text = append(t.text, text...)
	t.end()
}

// CellFunc adds the next cell of the current row, which f appends to what it is given.
func (t *Table) CellFunc(f func(dst []byte) []byte) {
	t.text = f(t.text)
	t.end()
}

// Row adds a whole row of strings, as for titles.
func (t *Table) Row(cells ...string) {
	for _, c := range cells {
		t.text = append(t.text, c...)
		t.end()
	}
}

// AtLeast widens a column.
func (t *Table) AtLeast(column, width int) { t.widths[column] = max(t.widths[column], width) }

func (t *Table) end() {
	column := len(t.ends) % len(t.aligns)
	start := 0
	if len(t.ends) > 0 {
		start = t.ends[len(t.ends)-1]
	}
	t.widths[column] = max(t.widths[column], utf8.RuneCount(t.text[start:]))
	t.ends = append(t.ends, len(t.text))
}

// Pending returns the number of rows not yet written.
func (t *Table) Pending() int { return len(t.ends) / len(t.aligns) }

// Flush writes the rows collected so far. Lines do not end in blanks.
func (t *Table) Flush() error {
	t.out = t.out[:0]
	start := 0
	for i, end := range t.ends {
		column := i % len(t.aligns)
		last := column == len(t.aligns)-1
		cell := t.text[start:end]
		pad := t.widths[column] - utf8.RuneCount(cell)
		if column > 0 {
			t.out = append(t.out, t.gap...)
		}
		if t.aligns[column] == Right {
			t.out = appendBlanks(t.out, pad)
			t.out = append(t.out, cell...)
		} else {
			t.out = append(t.out, cell...)
			if !last {
				t.out = appendBlanks(t.out, pad)
			}
		}
		if last {
			t.out = append(bytes.TrimRight(t.out, " "), '\n')
		}
		start = end
	}
	t.text, t.ends = t.text[:0], t.ends[:0]
	_, err := t.w.Write(t.out)
	return err
}

func appendBlanks(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, ' ')
	}
	return dst
}
