package main

import (
	"io"
	"strconv"
	"time"

	"github.com/caprock-net/caprock/cmd/internal/flowtext"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/query"
)

// tableColumn is one column of a format for people.
type tableColumn struct {
	title string
	align flowtext.Align
	width int // at least
	cell  func(dst []byte, p *tablePrinter, b *netflow.Batch, i int) []byte
}

// The formats for people. classic has the columns of flow-print's default format; line and long follow nfdump's.
var (
	classicColumns = []tableColumn{
		{"srcIP", flowtext.Left, 15, srcAddr},
		{"dstIP", flowtext.Left, 15, dstAddr},
		{"prot", flowtext.Left, 4, number8(func(b *netflow.Batch) []uint8 { return b.Proto })},
		{"srcPort", flowtext.Right, 7, number16(func(b *netflow.Batch) []uint16 { return b.SrcPort })},
		{"dstPort", flowtext.Right, 7, number16(func(b *netflow.Batch) []uint16 { return b.DstPort })},
		{"octets", flowtext.Right, 10, number64(func(b *netflow.Batch) []uint64 { return b.Bytes })},
		{"packets", flowtext.Right, 7, number64(func(b *netflow.Batch) []uint64 { return b.Packets })},
	}
	lineColumns = []tableColumn{
		{"first seen", flowtext.Left, 23, startTime},
		{"duration", flowtext.Right, 8, duration},
		{"proto", flowtext.Left, 5, protoName},
		{"source", flowtext.Right, 21, source},
		{"", flowtext.Left, 2, arrow},
		{"destination", flowtext.Left, 21, destination},
		{"packets", flowtext.Right, 8, number64(func(b *netflow.Batch) []uint64 { return b.Packets })},
		{"bytes", flowtext.Right, 10, number64(func(b *netflow.Batch) []uint64 { return b.Bytes })},
	}
	longColumns = append(append([]tableColumn(nil), lineColumns...),
		tableColumn{"rev packets", flowtext.Right, 0, number64(func(b *netflow.Batch) []uint64 { return b.ReversePackets })},
		tableColumn{"rev bytes", flowtext.Right, 0, number64(func(b *netflow.Batch) []uint64 { return b.ReverseBytes })},
		tableColumn{"flags", flowtext.Left, 8, tcpFlags},
		tableColumn{"tos", flowtext.Right, 0, number8(func(b *netflow.Batch) []uint8 { return b.TOS })},
		tableColumn{"in", flowtext.Right, 0, number32(func(b *netflow.Batch) []uint32 { return b.Input })},
		tableColumn{"out", flowtext.Right, 0, number32(func(b *netflow.Batch) []uint32 { return b.Output })},
		tableColumn{"src AS", flowtext.Right, 0, number32(func(b *netflow.Batch) []uint32 { return b.SrcAS })},
		tableColumn{"dst AS", flowtext.Right, 0, number32(func(b *netflow.Batch) []uint32 { return b.DstAS })},
		tableColumn{"vlan", flowtext.Right, 0, number16(func(b *netflow.Batch) []uint16 { return b.VLAN })},
		tableColumn{"end", flowtext.Left, 0, endReason},
		tableColumn{"exporter", flowtext.Left, 0, exporter},
	)
)

// rowsInPieces bounds the memory of a table: so many rows are laid out together.
const rowsInPieces = 4096

type tablePrinter struct {
	table   *flowtext.Table
	clock   *flowtext.Clock
	columns []tableColumn
	titled  bool
}

func newTablePrinter(w io.Writer, zone *time.Location, columns []tableColumn) *tablePrinter {
	aligns := make([]flowtext.Align, len(columns))
	for i, c := range columns {
		aligns[i] = c.align
	}
	p := &tablePrinter{table: flowtext.NewTable(w, aligns...), clock: flowtext.NewClock(zone), columns: columns}
	for i, c := range columns {
		p.table.AtLeast(i, c.width)
	}
	return p
}

func (p *tablePrinter) titles() {
	if p.titled {
		return
	}
	p.titled = true
	for _, c := range p.columns {
		p.table.Cell([]byte(c.title))
	}
}

// Print writes all rows of b.
func (p *tablePrinter) Print(b *netflow.Batch) error {
	p.titles()
	for i := range b.Len() {
		for _, c := range p.columns {
			p.table.CellFunc(func(dst []byte) []byte { return c.cell(dst, p, b, i) })
		}
		if p.table.Pending() >= rowsInPieces {
			if err := p.table.Flush(); err != nil {
				return err
			}
		}
	}
	return p.table.Flush()
}

// Close writes the titles when there were no rows.
func (p *tablePrinter) Close() error {
	p.titles()
	return p.table.Flush()
}

type cellFunc = func(dst []byte, p *tablePrinter, b *netflow.Batch, i int) []byte

func number8(column func(b *netflow.Batch) []uint8) cellFunc {
	return func(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
		return strconv.AppendUint(dst, uint64(column(b)[i]), 10)
	}
}

func number16(column func(b *netflow.Batch) []uint16) cellFunc {
	return func(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
		return strconv.AppendUint(dst, uint64(column(b)[i]), 10)
	}
}

func number32(column func(b *netflow.Batch) []uint32) cellFunc {
	return func(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
		return strconv.AppendUint(dst, uint64(column(b)[i]), 10)
	}
}

func number64(column func(b *netflow.Batch) []uint64) cellFunc {
	return func(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
		return strconv.AppendUint(dst, column(b)[i], 10)
	}
}

// end appends an address of one end of a flow, a dash when the flow has none.
func end(dst []byte, b *netflow.Batch, i int, a netflow.Addr) []byte {
	if b.IPVersion[i] == 0 {
		return append(dst, '-')
	}
	return a.AppendText(dst)
}

func srcAddr(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	return end(dst, b, i, b.SrcAddr[i])
}

func dstAddr(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	return end(dst, b, i, b.DstAddr[i])
}

func source(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	return strconv.AppendUint(host(dst, b, i, b.SrcAddr[i]), uint64(b.SrcPort[i]), 10)
}

func destination(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	dst = host(dst, b, i, b.DstAddr[i])
	if b.Proto[i] == netflow.ProtoICMP || b.Proto[i] == netflow.ProtoICMPv6 {
		dst = strconv.AppendUint(dst, uint64(b.ICMPType[i]), 10)
		return strconv.AppendUint(append(dst, '.'), uint64(b.ICMPCode[i]), 10)
	}
	return strconv.AppendUint(dst, uint64(b.DstPort[i]), 10)
}

// host appends an address and the colon before its port, IPv6 in brackets.
func host(dst []byte, b *netflow.Batch, i int, a netflow.Addr) []byte {
	if b.IPVersion[i] != 6 {
		return append(end(dst, b, i, a), ':')
	}
	return append(a.AppendText(append(dst, '[')), "]:"...)
}

func arrow(dst []byte, _ *tablePrinter, _ *netflow.Batch, _ int) []byte { return append(dst, "->"...) }

func startTime(dst []byte, p *tablePrinter, b *netflow.Batch, i int) []byte {
	return p.clock.AppendMillis(dst, b.Start[i])
}

func duration(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	return flowtext.AppendDuration(dst, b.Start[i], b.End[i])
}

func protoName(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	return append(dst, query.ProtoName(b.Proto[i])...)
}

func tcpFlags(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	return query.AppendTCPFlags(dst, b.TCPFlags[i])
}

func endReason(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	if name := query.EndReasonName(b.EndReason[i]); name != "" {
		return append(dst, name...)
	}
	return append(dst, '-')
}

func exporter(dst []byte, _ *tablePrinter, b *netflow.Batch, i int) []byte {
	if b.Exporter[i].IsZero() {
		return append(dst, '-')
	}
	return b.Exporter[i].AppendText(dst)
}
