package decode_test

import (
	"errors"
	"testing"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
	"github.com/caprock-net/caprock/netflow/template"
)

// The datagrams are those of a busy router: v5 with 30 records, v9 and IPFIX with 24 records of 20 fields, IPv4, TCP.

func BenchmarkV5(b *testing.B) {
	msg := v5(0, 30, 30)
	for i := range 30 {
		copy(msg[24+48*i:], flow(byte(i)))
		msg[24+48*i+38] = netflow.ProtoTCP
	}
	benchmark(b, 30, msg)
}

func BenchmarkV9(b *testing.B) {
	fields, record := twenty(field(22, 4), field(21, 4))
	benchmark(b, 24, netflowtest.V9(seconds, 1000, 0, 1).Template(256, fields...).Bytes(),
		netflowtest.V9(seconds, 1000, 0, 1).Data(256, repeat(record, 24)...).Bytes())
}

func BenchmarkIPFIX(b *testing.B) {
	fields, record := twenty(field(152, 8), field(153, 8))
	benchmark(b, 24, netflowtest.IPFIX(seconds, 0, 1).Template(256, fields...).Bytes(),
		netflowtest.IPFIX(seconds, 0, 1).Data(256, repeat(record, 24)...).Bytes())
}

func BenchmarkIPFIXVariableLength(b *testing.B) {
	fields, record := twenty(field(152, 8), field(153, 8))
	fields = append(fields, netflowtest.Variable(96))
	record = append(record, netflowtest.Var([]byte("application"))...)
	benchmark(b, 18, netflowtest.IPFIX(seconds, 0, 1).Template(256, fields...).Bytes(),
		netflowtest.IPFIX(seconds, 0, 1).Data(256, repeat(record, 18)...).Bytes())
}

func twenty(times ...template.Field) ([]template.Field, []byte) {
	fields := append([]template.Field{
		field(8, 4), field(12, 4), field(15, 4), field(10, 4), field(14, 4), field(2, 4), field(1, 4),
		field(7, 2), field(11, 2), field(4, 1), field(6, 1), field(5, 1), field(16, 4), field(17, 4), field(9, 1), field(13, 1),
		field(61, 1), field(136, 1),
	}, times...)
	var record []byte
	for _, f := range fields {
		for i := range f.Length {
			record = append(record, byte(f.ID)+byte(i))
		}
	}
	record[32] = netflow.ProtoTCP
	return fields, record
}

func repeat(record []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = record
	}
	return all
}

// benchmark decodes the last datagram over and over, after the others.
func benchmark(b *testing.B, flows int, msgs ...[]byte) {
	d := decode.New(decode.Config{})
	batch := netflow.NewBatch(8192)
	for _, msg := range msgs {
		if err := d.Decode(batch, datagram(router, msg)); err != nil {
			b.Fatal(err)
		}
	}
	if batch.Len() != flows {
		b.Fatalf("%d flows in a datagram, want %d", batch.Len(), flows)
	}
	dg := datagram(router, msgs[len(msgs)-1])
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := d.Decode(batch, dg); errors.Is(err, decode.ErrFull) {
			batch.Reset()
			err = d.Decode(batch, dg)
			if err != nil {
				b.Fatal(err)
			}
		}
		n += flows
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/flow")
}
