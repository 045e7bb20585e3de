package query

import (
	"context"
	"flag"
	"iter"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/column"
)

var benchRows = flag.Int("rows", 1<<20, "flows in the benchmarks' data; go test -bench . -rows 10000000")

// benchChunk is a row group of 128k flows as a Parquet file would give it, but for the decoding.
type benchChunk struct {
	rows    int
	vectors [netflow.NumColumns]column.Vector
}

func (c *benchChunk) Rows() int { return c.rows }

func (c *benchChunk) Read(col netflow.Column, v *column.Vector) error {
	v.Reset()
	from := &c.vectors[col]
	if len(from.Num)+len(from.Addr) == 0 {
		v.SetZero(col.Kind(), c.rows)
		return nil
	}
	v.Coded = from.Coded
	v.Codes = append(v.Codes, from.Codes...)
	v.Num = append(v.Num, from.Num...)
	v.Addr = append(v.Addr, from.Addr...)
	return nil
}

func (c *benchChunk) Bounds(col netflow.Column) (lo, hi uint64, ok bool) {
	from := &c.vectors[col]
	return 0, 0, len(from.Num)+len(from.Addr) == 0
}

func (c *benchChunk) MayContain(netflow.Column, netflow.Addr) bool { return true }
func (c *benchChunk) Close() error                                 { return nil }

// benchData is flows of 200,000 hosts, a tenth of them IPv6, with Zipf's distribution of addresses; most flows use a
// well-known port.
var benchData = sync.OnceValue(func() []*benchChunk {
	const hosts, locals = 200_000, 20_000
	addrs := make([]netflow.Addr, hosts)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range addrs {
		n := rnd.Uint32()
		addrs[i] = netflow.AddrFrom4([4]byte{byte(20 + n>>24%200), byte(n >> 16), byte(n >> 8), byte(n)})
		if i < locals {
			addrs[i][12] = 10
		}
		if i%10 == 0 {
			addrs[i] = netflow.Addr{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		}
	}
	local, remote := rand.NewZipf(rnd, 1.05, 1, locals-1), rand.NewZipf(rnd, 1.1, 1, hosts-locals-1)
	ports := []uint64{443, 443, 443, 443, 53, 53, 80, 22, 25, 123, 993, 8080}
	protos := []uint64{6, 6, 6, 6, 6, 17, 17, 6, 6, 17, 6, 6}
	start := uint64(1792882800000000)
	var chunks []*benchChunk
	for left := *benchRows; left > 0; left -= 1 << 17 {
		c := &benchChunk{rows: min(left, 1<<17)}
		src, dst := coder{v: &c.vectors[netflow.SrcAddr]}, coder{v: &c.vectors[netflow.DstAddr]}
		sport, dport := coder{v: &c.vectors[netflow.SrcPort]}, coder{v: &c.vectors[netflow.DstPort]}
		proto, version := coder{v: &c.vectors[netflow.Proto]}, coder{v: &c.vectors[netflow.IPVersion]}
		for range c.rows {
			here, there := addrs[local.Uint64()], addrs[locals+remote.Uint64()]
			low, high := uint64(1024+rnd.IntN(60000)), uint64(1024+rnd.IntN(60000))
			p := uint64(6)
			if rnd.IntN(5) > 0 {
				i := rnd.IntN(len(ports))
				low, p = ports[i], protos[i]
			}
			if rnd.IntN(10) < 7 {
				src.addr(here)
				dst.addr(there)
				sport.num(high)
				dport.num(low)
			} else {
				src.addr(there)
				dst.addr(here)
				sport.num(low)
				dport.num(high)
			}
			proto.num(p)
			version.num(4)
			packets := uint64(1)
			if rnd.IntN(3) > 0 {
				packets += uint64(rnd.ExpFloat64() * 20)
			}
			start += 360
			for col, value := range map[netflow.Column]uint64{netflow.Packets: packets, netflow.Bytes: packets * uint64(40+rnd.IntN(1400)),
				netflow.Start: start - uint64(rnd.IntN(60e6)), netflow.End: start, netflow.Received: start} {
				c.vectors[col].Num = append(c.vectors[col].Num, value)
			}
		}
		chunks = append(chunks, c)
	}
	return chunks
})

// coder builds a coded vector.
type coder struct {
	v     *column.Vector
	nums  map[uint64]uint32
	addrs map[netflow.Addr]uint32
}

func (c *coder) num(n uint64) {
	if c.nums == nil {
		c.nums, c.v.Coded = make(map[uint64]uint32), true
	}
	code, ok := c.nums[n]
	if !ok {
		code = uint32(len(c.v.Num))
		c.nums[n] = code
		c.v.Num = append(c.v.Num, n)
	}
	c.v.Codes = append(c.v.Codes, code)
}

func (c *coder) addr(a netflow.Addr) {
	if c.addrs == nil {
		c.addrs, c.v.Coded = make(map[netflow.Addr]uint32), true
	}
	code, ok := c.addrs[a]
	if !ok {
		code = uint32(len(c.v.Addr))
		c.addrs[a] = code
		c.v.Addr = append(c.v.Addr, a)
	}
	c.v.Codes = append(c.v.Codes, code)
}

func benchChunks() iter.Seq2[column.Chunk, error] {
	data := benchData()
	return func(yield func(column.Chunk, error) bool) {
		for _, c := range data {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// cpuTime returns the processor time used so far: on a busy machine a better measure than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAggregate(b *testing.B) {
	for _, c := range []struct{ name, by, filter string }{
		{"total", "", ""},
		{"top sources", "src_addr", ""},
		{"both ends", "addr", ""},
		{"filter", "", "proto tcp and dst port 443 and src net 10.0.0.0/8"},
		{"src,dst", "src_addr,dst_addr", ""},
		{"src,dport", "src_addr,dst_port", ""},
		{"src,dst,dport,proto", "src_addr,dst_addr,dst_port,proto", ""},
		{"minute,proto", "minute,proto", ""},
		{"src net 24", "src_addr/24", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := Query{N: 10, Counters: CountPackets | CountBytes}
			var err error
			if c.by != "" {
				if q.By, err = ParseFields(c.by); err != nil {
					b.Fatal(err)
				}
			}
			if q.Filter, err = ParseFilter(c.filter); err != nil {
				b.Fatal(err)
			}
			benchData()
			b.ResetTimer()
			cpu := cpuTime()
			var r *Result
			for b.Loop() {
				if r, err = Aggregate(context.Background(), benchChunks(), q); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(*benchRows)/b.Elapsed().Seconds()/1e6, "Mflows/s")
			b.ReportMetric((cpuTime()-cpu).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(r.Distinct), "groups")
		})
	}
}

func BenchmarkScan(b *testing.B) {
	f, err := ParseFilter("proto tcp and dst port 443")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		filter *Filter
	}{{"all", nil}, {"filter", f}} {
		b.Run(c.name, func(b *testing.B) {
			benchData()
			b.ResetTimer()
			rows := 0
			cpu := cpuTime()
			for b.Loop() {
				err := Scan(context.Background(), benchChunks(), c.filter, func(batch *netflow.Batch) error {
					rows += batch.Len()
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(*benchRows)/b.Elapsed().Seconds()/1e6, "Mflows/s")
			b.ReportMetric((cpuTime()-cpu).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(rows)/float64(b.N), "rows")
		})
	}
}
