package parquet_test

import (
	"bytes"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/parquet"
)

// TestWriter reads back what was written in one go.
func TestWriter(t *testing.T) {
	for _, groups := range []int{0, 1, 3} {
		var out bytes.Buffer
		w := parquet.NewWriter(&out)
		b := netflow.NewBatch(100)
		for g := range groups {
			b.Reset()
			for i := range 100 {
				b.Append(&netflow.Record{Start: 1, IPVersion: 4, SrcAddr: netflow.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Bytes: uint64(g*1000 + i)})
			}
			rg, err := parquet.EncodeRowGroup([]*netflow.Batch{b}, parquet.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(rg); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatalf("%d row groups: %v", groups, err)
		}
		if f.NumRowGroups() != groups || f.Rows() != int64(100*groups) || f.Ignored() != 0 {
			t.Fatalf("%d row groups, %d rows, %d bytes ignored; want %d, %d, 0", f.NumRowGroups(), f.Rows(), f.Ignored(), groups, 100*groups)
		}
		for g := range groups {
			var v column.Vector
			if err := f.RowGroup(g).Read(netflow.Bytes, &v); err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				got := v.Num[i]
				if v.Coded {
					got = v.Num[v.Codes[i]]
				}
				if got != uint64(g*1000+i) {
					t.Fatalf("row group %d, row %d: %d bytes", g, i, got)
				}
			}
		}
	}
}
