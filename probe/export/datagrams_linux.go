package export

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// many is what sendmmsg(2) wants to know of the datagrams.
type many struct {
	parts    [outboxLen]unix.Iovec
	messages [outboxLen]struct {
		unix.Msghdr
		sent uint32
	}
}

// WriteMany sends datagrams in their order, at most outboxLen, and returns how many went before one failed. The error is
// that of the first, as Write's. That of another is not told: one that lasts is met again by the next call, but an ICMP answer
// to those before it, if it comes this soon, is forgotten.
func (d *datagrams) WriteMany(ps [][]byte) (int, error) {
	m := &d.many
	for i, p := range ps {
		m.parts[i].Base = unsafe.SliceData(p)
		m.parts[i].SetLen(len(p))
		m.messages[i].Iov = &m.parts[i]
		m.messages[i].SetIovlen(1)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(d.fd), uintptr(unsafe.Pointer(&m.messages)), uintptr(len(ps)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		default:
			return 0, os.NewSyscallError("sendmmsg", errno)
		}
	}
}
