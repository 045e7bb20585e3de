package plan

import (
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

// twenty is the layout of a router's NetFlow v9 export: 20 fields, 55 bytes.
var twenty = []Field{
	{ID: 8, Length: 4}, {ID: 12, Length: 4}, {ID: 15, Length: 4}, {ID: 10, Length: 4}, {ID: 14, Length: 4},
	{ID: 2, Length: 4}, {ID: 1, Length: 4}, {ID: 22, Length: 4}, {ID: 21, Length: 4}, {ID: 7, Length: 2},
	{ID: 11, Length: 2}, {ID: 4, Length: 1}, {ID: 6, Length: 1}, {ID: 5, Length: 1}, {ID: 16, Length: 4},
	{ID: 17, Length: 4}, {ID: 9, Length: 1}, {ID: 13, Length: 1}, {ID: 61, Length: 1}, {ID: 136, Length: 1},
}

func BenchmarkDecodeFixed(b *testing.B) {
	p := Compile(twenty)
	body := make([]byte, 24*p.Length())
	for i := range body {
		body[i] = byte(i * 7)
	}
	for i := range 24 {
		body[i*p.Length()+40] = 6 // TCP
	}
	batch := netflow.NewBatch(24 * 100)
	ctx := &Context{Export: 1, Uptime: 1, HasUptime: true}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if batch.Room() < 24 {
			batch.Reset()
		}
		n += p.DecodeFlows(batch, body, ctx).Rows
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/flow")
}
