package console

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemUptime returns how long the machine has been up; 0: not known.
func systemUptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// counters asks the kernel for what an interface has counted (RTM_GETLINK, struct rtnl_link_stats64 of linux/if_link.h).
func (i *Interface) counters(index int) {
	table, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return
	}
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg ||
			int((*unix.IfInfomsg)(unsafe.Pointer(&m.Data[0])).Index) != index {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return
		}
		for _, a := range attributes {
			if a.Attr.Type == unix.IFLA_STATS64 && len(a.Value) >= 19*8 {
				field := func(n int) uint64 { return binary.NativeEndian.Uint64(a.Value[8*n:]) }
				i.Counted = true
				i.PacketsIn, i.BytesIn, i.PacketsOut, i.BytesOut = field(0), field(2), field(1), field(3)
				i.ErrorsIn, i.CRC, i.Frame, i.Overrun, i.NoBuffer = field(4), field(12), field(13), field(14), field(15)
				i.Ignored = field(6)
				i.ErrorsOut, i.Collisions, i.Underruns = field(5), field(9), field(18)
				drops := field(7)
				i.DropsOut = &drops
				return
			}
		}
	}
}
