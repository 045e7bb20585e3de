//go:build openbsd || netbsd

package capture

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	listFacility = unix.NET_RT_IFLIST
	listMessage  = unix.RTM_IFINFO
	messageLen   = int(unsafe.Sizeof(unix.IfMsghdr{}))
)

// messageCounters reads an interface message of at least messageLen bytes.
func messageCounters(b []byte) (index int, c Counters) {
	m := (*unix.IfMsghdr)(unsafe.Pointer(&b[0]))
	d := &m.Data
	return int(m.Index), Counters{
		RxPackets: d.Ipackets, RxBytes: d.Ibytes, RxErrors: d.Ierrors, RxDropped: d.Iqdrops, TxPackets: d.Opackets, TxBytes: d.Obytes,
	}
}
