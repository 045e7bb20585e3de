package query_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/query"
)

// Who are my top talkers?
func ExampleAggregate() {
	b := netflow.NewBatch(3)
	for i, host := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.1"} {
		b.Append(&netflow.Record{
			IPVersion: 4, SrcAddr: netflow.AddrFrom(netip.MustParseAddr(host)), Proto: netflow.ProtoTCP,
			DstPort: 443, Packets: 1, Bytes: uint64(1000 + i),
		})
	}
	chunks := func(yield func(column.Chunk, error) bool) { yield(column.FromBatch(b), nil) }

	filter, err := query.ParseFilter("tcp and dst port https")
	if err != nil {
		fmt.Println(err)
		return
	}
	by, err := query.ParseFields("src_addr")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := query.Aggregate(context.Background(), chunks, query.Query{Filter: filter, By: by, Sort: query.ByBytes, N: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range r.Len() {
		g := r.Group(i)
		fmt.Printf("%-10v %d of %d bytes\n", g.Key[0], g.Bytes, r.Total.Bytes)
	}
	// Output:
	// 10.0.0.1   2002 of 3003 bytes
	// 10.0.0.2   1001 of 3003 bytes
}
