//go:build darwin || freebsd || netbsd || openbsd

package capture

import (
	"encoding/binary"
	"syscall"
)

// interfaceCounters asks the kernel's routing table for the counters of an interface; it is false when there is none.
func interfaceCounters(index int) (Counters, bool) {
	table, err := syscall.RouteRIB(listFacility, index)
	if err != nil {
		return Counters{}, false
	}
	for len(table) >= 4 { // each message: its length, a version, its type
		n := int(binary.NativeEndian.Uint16(table))
		if n < 4 || n > len(table) {
			break
		}
		if table[3] == listMessage && n >= messageLen {
			if i, c := messageCounters(table[:n]); i == index {
				return c, true
			}
		}
		table = table[n:]
	}
	return Counters{}, false
}
