package capture

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The second version of the list has counters of 64 bits.
const (
	listFacility = unix.NET_RT_IFLIST2
	listMessage  = unix.RTM_IFINFO2
	messageLen   = int(unsafe.Sizeof(unix.IfMsghdr2{}))
)

// messageCounters reads an interface message of at least messageLen bytes.
func messageCounters(b []byte) (index int, c Counters) {
	m := (*unix.IfMsghdr2)(unsafe.Pointer(&b[0]))
	d := &m.Data
	return int(m.Index), Counters{
		RxPackets: d.Ipackets, RxBytes: d.Ibytes, RxErrors: d.Ierrors, RxDropped: d.Iqdrops, TxPackets: d.Opackets, TxBytes: d.Obytes,
	}
}
