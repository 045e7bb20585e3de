package capture

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/netflow"
)

// Names lists the interfaces of the system, with their aliases for descriptions.
func Names() []netflow.Interface {
	all, _ := Interfaces() // what cannot be listed is not told
	list := make([]netflow.Interface, len(all))
	for n, i := range all {
		list[n] = netflow.Interface{Index: uint32(i.Index), Name: i.Name, Description: i.Alias}
	}
	return list
}

// BootTime returns when the system was started, or 0 if it does not say.
func BootTime() netflow.Timestamp {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return 0
	}
	return netflow.TimestampOf(time.Now().Add(-time.Duration(since.Nano())))
}
