package main

import (
	"io"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/storage/query"
)

// rowGroupRows is the size of the row groups of a Parquet file that is written in one go.
const rowGroupRows = 1 << 19

// parquetWriter writes one Parquet file. Rows are collected until a row group is full.
type parquetWriter struct {
	file    *parquet.Writer
	encoder *parquet.Encoder
	batches []*netflow.Batch // full but for the last
	free    []*netflow.Batch
	rows    int
}

func newParquet(w io.Writer) *parquetWriter {
	return &parquetWriter{file: parquet.NewWriter(w), encoder: parquet.NewEncoder(parquet.Options{})}
}

func (p *parquetWriter) Write(b *netflow.Batch) error {
	for from := 0; from < b.Len(); {
		last := len(p.batches) - 1
		if last < 0 || p.batches[last].Room() == 0 {
			if p.rows >= rowGroupRows {
				if err := p.flush(); err != nil {
					return err
				}
			}
			p.batches = append(p.batches, p.batch())
			last = len(p.batches) - 1
		}
		n := p.batches[last].AppendRows(b, from, b.Len())
		from += n
		p.rows += n
	}
	return nil
}

func (p *parquetWriter) batch() *netflow.Batch {
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return netflow.NewBatch(query.BatchRows)
}

func (p *parquetWriter) flush() error {
	if p.rows == 0 {
		return nil
	}
	group, err := p.encoder.Encode(p.batches)
	if err != nil {
		return err
	}
	for _, b := range p.batches {
		b.Reset()
	}
	p.free, p.batches, p.rows = append(p.free, p.batches...), p.batches[:0], 0
	return p.file.Write(group)
}

// Close writes the last rows and the footer.
func (p *parquetWriter) Close() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.file.Close()
}
