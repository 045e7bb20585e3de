package parquet_test

import (
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/storage/storagetest"
)

func BenchmarkEncode(b *testing.B) {
	batches := storagetest.Generate(1, 1<<17)
	e := parquet.NewEncoder(parquet.Options{})
	size, rows := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		g, err := e.Encode(batches)
		if err != nil {
			b.Fatal(err)
		}
		size, rows = g.Size(), g.Rows()
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "flows/s")
	b.ReportMetric(float64(size)/float64(rows), "B/flow")
}

func encoded(b *testing.B, rows int) *parquet.File {
	m := &memory{}
	a, err := parquet.Create(m)
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Append(encode(b, storagetest.Generate(1, rows)...), nil); err != nil {
		b.Fatal(err)
	}
	return open(b, m)
}

func BenchmarkRead(b *testing.B) {
	f := encoded(b, 1<<17)
	for _, c := range []netflow.Column{netflow.Start, netflow.Received, netflow.SrcAddr, netflow.DstPort, netflow.Proto, netflow.Bytes, netflow.SrcMAC} {
		b.Run(c.String(), func(b *testing.B) {
			var v column.Vector
			b.ReportAllocs()
			for b.Loop() {
				if err := f.RowGroup(0).Read(c, &v); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(f.Rows())/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkTopSources is what a query for the top sources reads, on one core.
func BenchmarkTopSources(b *testing.B) {
	f := encoded(b, 1<<17)
	var addr, bytes column.Vector
	var sums []uint64
	for b.Loop() {
		g := f.RowGroup(0)
		if err := g.Read(netflow.SrcAddr, &addr); err != nil {
			b.Fatal(err)
		}
		if err := g.Read(netflow.Bytes, &bytes); err != nil {
			b.Fatal(err)
		}
		sums = append(sums[:0], make([]uint64, len(addr.Addr))...)
		for i, code := range addr.Codes {
			sums[code] += bytes.Num[bytes.Codes[i]]
		}
	}
	b.ReportMetric(float64(b.N)*float64(f.Rows())/b.Elapsed().Seconds(), "rows/s")
}
