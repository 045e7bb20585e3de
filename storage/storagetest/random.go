package storagetest

import (
	"math/rand/v2"

	"github.com/caprock-net/caprock/netflow"
)

// RandomBatch makes rows without sense, whose columns are of every shape: absent, constant, of few values, of many, of any;
// addresses all IPv4, all IPv6, or both and none. The columns named are there always, and have few values.
func RandomBatch(rnd *rand.Rand, rows int, always ...netflow.Column) *netflow.Batch {
	const (
		absent = iota
		constant
		few
		many
		wide
		any
		shapes
	)
	var shape [netflow.NumColumns]int
	for c := range shape {
		shape[c] = rnd.IntN(shapes)
	}
	for _, c := range always {
		shape[c] = few
	}
	var columns netflow.ColumnSet
	for _, c := range netflow.Columns() {
		if shape[c] != absent {
			columns |= netflow.SetOf(c)
		}
	}
	b := netflow.NewBatch(max(rows, 1))
	b.Extend(rows, columns)
	number := func(c netflow.Column) uint64 {
		switch shape[c] {
		case constant:
			return 42 + uint64(c)
		case few:
			return rnd.Uint64() >> (64 - rnd.IntN(4))
		case many:
			return 1<<40 + rnd.Uint64N(60000)
		case wide:
			return rnd.Uint64N(1 << 31)
		}
		return rnd.Uint64()
	}
	for _, c := range netflow.Columns() {
		if shape[c] == absent {
			continue
		}
		for i := range rows {
			v := number(c)
			switch c.Kind() {
			case netflow.KindTime:
				b.Times(c)[i] = netflow.Timestamp(v)
			case netflow.KindAddr:
				switch mixed := shape[c] == any; {
				case mixed && v%4 == 0: // none, or ::
				case mixed && v%4 == 1, shape[c] == wide:
					b.Addrs(c)[i] = netflow.Addr{0: 0x20, 1: 1, 14: byte(v >> 8), 15: byte(v)}
				default:
					b.Addrs(c)[i] = netflow.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
				}
			case netflow.KindMAC:
				b.MACs(c)[i] = netflow.MACFrom(v)
			case netflow.KindUint8:
				b.Uint8s(c)[i] = uint8(v)
			case netflow.KindUint16:
				b.Uint16s(c)[i] = uint16(v)
			case netflow.KindUint32:
				b.Uint32s(c)[i] = uint32(v)
			case netflow.KindUint64:
				b.Uint64s(c)[i] = v
			}
		}
	}
	return b
}
