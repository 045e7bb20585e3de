package query

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Counters are sums over flows. A sum that does not fit stays at the largest number.
type Counters struct {
	Flows                        uint64
	Packets, Bytes               uint64
	ReversePackets, ReverseBytes uint64
	First                        netflow.Timestamp // smallest start that was told, 0 if none was
	Last                         netflow.Timestamp // largest end, 0 if none was told
}

// CounterSet says which counters a query is to find out. Flows are always counted.
type CounterSet uint8

// The counters, one bit each.
const (
	CountPackets CounterSet = 1 << iota
	CountBytes
	CountReversePackets
	CountReverseBytes
	CountFirst
	CountLast

	CountAll = CountFirst<<2 - 1
)

// counterColumns are the columns of the counters, in the order of the bits of CounterSet.
var counterColumns = [...]netflow.Column{
	netflow.Packets, netflow.Bytes, netflow.ReversePackets, netflow.ReverseBytes, netflow.Start, netflow.End,
}

// Duration returns the time from First to Last, 0 if one of them is not told.
func (c Counters) Duration() time.Duration {
	if c.First == 0 || c.Last <= c.First {
		return 0
	}
	return time.Duration(c.Last-c.First) * time.Microsecond
}

// PacketsPerSecond returns packets over Duration, 0 if that is 0.
func (c Counters) PacketsPerSecond() float64 { return perSecond(c.Packets, c.Duration()) }

// BitsPerSecond returns bits over Duration, 0 if that is 0.
func (c Counters) BitsPerSecond() float64 { return 8 * perSecond(c.Bytes, c.Duration()) }

// BytesPerPacket returns bytes over packets, 0 if there are none.
func (c Counters) BytesPerPacket() float64 {
	if c.Packets == 0 {
		return 0
	}
	return float64(c.Bytes) / float64(c.Packets)
}

func perSecond(n uint64, d time.Duration) float64 {
	if d == 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Order is what groups are sorted by.
type Order uint8

// The orders. Ties are broken by the key, ascending.
const (
	ByBytes Order = iota
	ByPackets
	ByFlows
	ByReverseBytes
	ByReversePackets
	ByFirst
	ByLast
	ByDuration
	ByPacketsPerSecond
	ByBitsPerSecond
	ByBytesPerPacket
	ByKey // the key itself, field by field
)

var orderNames = [...]string{
	ByBytes: "bytes", ByPackets: "packets", ByFlows: "flows", ByReverseBytes: "reverse_bytes",
	ByReversePackets: "reverse_packets", ByFirst: "first", ByLast: "last", ByDuration: "duration",
	ByPacketsPerSecond: "pps", ByBitsPerSecond: "bps", ByBytesPerPacket: "bpp", ByKey: "key",
}

// ParseOrder reads the name of an order: bytes, packets, flows, reverse_bytes, reverse_packets, first, last, duration,
// pps, bps, bpp or key.
func ParseOrder(text string) (Order, error) {
	text = strings.ToLower(text)
	for i, name := range orderNames {
		if name == text {
			return Order(i), nil
		}
	}
	hint := ""
	if s := suggest(text, orderNames[:]); s != "" {
		hint = ": " + didYouMean(s)
	}
	return 0, fmt.Errorf("unknown order %q, expected %s%s", text, strings.Join(orderNames[:], ", "), hint)
}

// String returns the order's name.
func (o Order) String() string { return orderNames[o] }

// OrderNames lists the names of the orders.
func OrderNames() []string { return append([]string(nil), orderNames[:]...) }

// needs returns the counters that the order compares.
func (o Order) needs() CounterSet {
	return [...]CounterSet{
		ByBytes: CountBytes, ByPackets: CountPackets, ByFlows: 0, ByReverseBytes: CountReverseBytes,
		ByReversePackets: CountReversePackets, ByFirst: CountFirst, ByLast: CountLast,
		ByDuration: CountFirst | CountLast, ByPacketsPerSecond: CountPackets | CountFirst | CountLast,
		ByBitsPerSecond: CountBytes | CountFirst | CountLast, ByBytesPerPacket: CountPackets | CountBytes, ByKey: 0,
	}[o]
}

// rank maps counters to a number that grows with what the order compares. ByKey has none.
func (o Order) rank(c *Counters) uint64 {
	switch o {
	case ByBytes:
		return c.Bytes
	case ByPackets:
		return c.Packets
	case ByFlows:
		return c.Flows
	case ByReverseBytes:
		return c.ReverseBytes
	case ByReversePackets:
		return c.ReversePackets
	case ByFirst:
		return uint64(c.First) ^ signBit
	case ByLast:
		return uint64(c.Last) ^ signBit
	case ByDuration:
		return uint64(c.Duration())
	case ByPacketsPerSecond:
		return math.Float64bits(c.PacketsPerSecond()) // the bits of floats >= 0 are in the order of the floats
	case ByBitsPerSecond:
		return math.Float64bits(c.BitsPerSecond())
	case ByBytesPerPacket:
		return math.Float64bits(c.BytesPerPacket())
	}
	return 0
}

// addSaturating returns a + b, the largest number if that does not fit, and ors 1 to full then.
func addSaturating(a, b uint64, full *uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	*full |= carry
	return sum | -carry
}

// mulSaturating is the same for a * b.
func mulSaturating(a, b uint64, full *uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		*full |= 1
		return 1<<64 - 1
	}
	return lo
}
