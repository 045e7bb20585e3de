package capture

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is struct if_msghdr with struct if_data as they are since FreeBSD 11; package unix exports an older layout.
type message struct {
	_                                                [4]byte // length, version, type
	_                                                [2]int32
	Index                                            uint16
	_                                                uint16
	_                                                [8]byte // of if_data: kinds and lengths
	_                                                [2]uint32
	_                                                uint64 // baudrate
	Ipackets, Ierrors, Opackets, Oerrors, Collisions uint64
	Ibytes, Obytes, Imcasts, Omcasts, Iqdrops        uint64
}

const (
	listFacility = unix.NET_RT_IFLIST
	listMessage  = unix.RTM_IFINFO
	messageLen   = int(unsafe.Sizeof(message{}))
)

// messageCounters reads an interface message of at least messageLen bytes.
func messageCounters(b []byte) (index int, c Counters) {
	m := (*message)(unsafe.Pointer(&b[0]))
	return int(m.Index), Counters{
		RxPackets: m.Ipackets, RxBytes: m.Ibytes, RxErrors: m.Ierrors, RxDropped: m.Iqdrops, TxPackets: m.Opackets, TxBytes: m.Obytes,
	}
}
