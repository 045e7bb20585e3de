package netflowtest

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Now is the time at which tests export Flow and Ping6: 1393909567.250, in hexadecimal 53155f3f seconds.
var Now = netflow.TimestampOf(time.Date(2014, 3, 4, 5, 6, 7, 250e6, time.UTC))

// Flow has a different byte in each place that the smallest IPv4 template has. It began 3 s before Now and ended 0.5 s before.
func Flow() netflow.Record {
	return netflow.Record{
		Start: Now - 3e6, End: Now - 500e3,
		SrcAddr: netflow.AddrFrom4([4]byte{10, 1, 2, 3}), DstAddr: netflow.AddrFrom4([4]byte{192, 168, 4, 5}),
		Packets: 0x0102030405060708, Bytes: 0x0a0b0c0d0e0f1011, Input: 0x11121314, Output: 0x15161718,
		SrcPort: 0x3132, DstPort: 0x3334, TCPFlags: 0x11b, IPVersion: 4, Proto: 6, TOS: 0xb8, Direction: 1, EndReason: 3,
	}
}

// Ping6 is Flow with all that the largest template has.
func Ping6() netflow.Record {
	r := Flow()
	r.SrcAddr, r.DstAddr, r.NextHop = netflow.Addr{0x20, 1, 15: 1}, netflow.Addr{0x20, 2, 15: 2}, netflow.Addr{0xfe, 0x80, 15: 3}
	r.IPVersion, r.Proto, r.SrcPort, r.DstPort, r.ICMPType, r.ICMPCode, r.TCPFlags = 6, 58, 0, 0, 128, 7, 0
	r.VLAN, r.SrcMAC, r.DstMAC = 0x0123, netflow.MAC{2, 0, 0, 0, 0, 1}, netflow.MAC{2, 0, 0, 0, 0, 2}
	r.ReversePackets, r.ReverseBytes, r.ReverseTCPFlags = 0x21, 0x2223, 0x19
	r.SrcAS, r.DstAS, r.SrcMask, r.DstMask, r.ForwardingStatus = 64512, 1<<16+1, 48, 64, 0x40
	return r
}

// Hex is the bytes that digits tell, spaces between them.
func Hex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Encoder is that of package v5, v9 or ipfix.
type Encoder interface {
	Append(now netflow.Timestamp, r *netflow.Record) bool
	AppendMessage(dst []byte, now netflow.Timestamp) []byte
}

// EncodingDoesNotAllocate encodes flows in turn, datagram after datagram.
func EncodingDoesNotAllocate(t *testing.T, e Encoder, flows ...netflow.Record) {
	t.Helper()
	buf := make([]byte, 0, 1500)
	if n := testing.AllocsPerRun(100, func() {
		for i := range 100 {
			if !e.Append(Now, &flows[i%len(flows)]) {
				buf = e.AppendMessage(buf[:0], Now)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
