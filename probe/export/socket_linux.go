package export

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// acknowledged returns how many of the bytes written to a connection the other side's kernel has acknowledged. It works on
// a connection that broke, too, until it is closed.
func acknowledged(c *net.TCPConn) (n uint64, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n, ok = max(info.Bytes_acked, 1)-1, true // the SYN counts as one
		}
	})
	return n, ok && err == nil
}

// giveUpAfter makes the kernel end a connection when the other side has not acknowledged data for d, and not only after a
// quarter of an hour.
func giveUpAfter(c *net.TCPConn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var errSet error
	err = raw.Control(func(fd uintptr) {
		errSet = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err == nil {
		err = errSet
	}
	return err
}
