package main

import (
	"io"
	"strconv"

	"github.com/caprock-net/caprock/cmd/internal/flowtext"
	"github.com/caprock-net/caprock/netflow"
)

// rowSyntax is what tells the machine-readable formats apart. All columns are written, under their names in files, in
// the same order always; times are ISO 8601 in UTC with microseconds.
type rowSyntax struct {
	titles      bool // a first line with the columns' names
	open, close string
	keyed       bool   // each value behind its name
	quote       string // around text
	absent      string // for an address, a MAC address or a time that was not told
	separator   byte
}

var (
	csvSyntax    = rowSyntax{titles: true, separator: ','}
	ndjsonSyntax = rowSyntax{open: "{", close: "}", keyed: true, quote: `"`, absent: "null", separator: ','}
)

type rowPrinter struct {
	w      io.Writer
	syntax rowSyntax
	clocks [3]*flowtext.Clock // start, end and received lie in different seconds
	titled bool
	out    []byte
}

func newRowPrinter(w io.Writer, syntax rowSyntax) *rowPrinter {
	p := &rowPrinter{w: w, syntax: syntax}
	for i := range p.clocks {
		p.clocks[i] = flowtext.NewClock(nil)
	}
	return p
}

// Print writes all rows of b.
func (p *rowPrinter) Print(b *netflow.Batch) error {
	p.out = p.titles(p.out[:0])
	columns := netflow.Columns()
	values := make([]func(dst []byte, i int) []byte, len(columns))
	for c := range columns {
		values[c] = p.value(b, columns[c])
	}
	s := &p.syntax
	for i := range b.Len() {
		p.out = append(p.out, s.open...)
		for c, value := range values {
			if c > 0 {
				p.out = append(p.out, s.separator)
			}
			if s.keyed {
				p.out = append(p.out, '"')
				p.out = append(p.out, columns[c].String()...)
				p.out = append(p.out, `":`...)
			}
			p.out = value(p.out, i)
		}
		p.out = append(p.out, s.close...)
		p.out = append(p.out, '\n')
	}
	_, err := p.w.Write(p.out)
	return err
}

// Close writes the titles when there were no rows.
func (p *rowPrinter) Close() error {
	_, err := p.w.Write(p.titles(nil))
	return err
}

func (p *rowPrinter) titles(dst []byte) []byte {
	if p.titled || !p.syntax.titles {
		return dst
	}
	p.titled = true
	for i, c := range netflow.Columns() {
		if i > 0 {
			dst = append(dst, p.syntax.separator)
		}
		dst = append(dst, c.String()...)
	}
	return append(dst, '\n')
}

// value returns a function that appends row i of a column.
func (p *rowPrinter) value(b *netflow.Batch, c netflow.Column) func(dst []byte, i int) []byte {
	text := func(dst []byte, absent bool, appendTo func([]byte) []byte) []byte {
		if absent {
			return append(dst, p.syntax.absent...)
		}
		return append(appendTo(append(dst, p.syntax.quote...)), p.syntax.quote...)
	}
	switch c.Kind() {
	case netflow.KindTime:
		times, clock := b.Times(c), p.clocks[c-netflow.Start]
		return func(dst []byte, i int) []byte {
			return text(dst, times[i] == 0, func(dst []byte) []byte { return clock.AppendISO(dst, times[i]) })
		}
	case netflow.KindAddr:
		addrs := b.Addrs(c)
		isEnd := c == netflow.SrcAddr || c == netflow.DstAddr
		return func(dst []byte, i int) []byte {
			absent := isEnd && b.IPVersion[i] == 0 || !isEnd && addrs[i].IsZero()
			return text(dst, absent, addrs[i].AppendText)
		}
	case netflow.KindMAC:
		macs := b.MACs(c)
		return func(dst []byte, i int) []byte { return text(dst, macs[i] == netflow.MAC{}, macs[i].AppendText) }
	case netflow.KindUint8:
		return numbers(b.Uint8s(c))
	case netflow.KindUint16:
		return numbers(b.Uint16s(c))
	case netflow.KindUint32:
		return numbers(b.Uint32s(c))
	default:
		return numbers(b.Uint64s(c))
	}
}

func numbers[T uint8 | uint16 | uint32 | uint64](values []T) func(dst []byte, i int) []byte {
	return func(dst []byte, i int) []byte { return strconv.AppendUint(dst, uint64(values[i]), 10) }
}
