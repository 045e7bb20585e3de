package blast

import (
	"errors"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// sender sends many datagrams with one system call.
type sender struct {
	raw  syscall.RawConn
	msgs [burst]mmsghdr
	iovs [burst]unix.Iovec
}

func (s *sender) init(conn *net.UDPConn) (err error) {
	s.raw, err = conn.SyscallConn()
	return err
}

// send returns how many of the first datagrams it sent.
func (s *sender) send(msgs [][]byte) (n int, err error) {
	msgs = msgs[:min(len(msgs), burst)]
	for i, m := range msgs {
		s.iovs[i].Base = &m[0]
		s.iovs[i].SetLen(len(m))
		s.msgs[i].hdr.Iov = &s.iovs[i]
		s.msgs[i].hdr.SetIovlen(1)
	}
	var errno syscall.Errno
	werr := s.raw.Write(func(fd uintptr) bool {
		for {
			r, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.msgs[0])), uintptr(len(msgs)),
				unix.MSG_DONTWAIT, 0, 0)
			n, errno = int(r), e
			if errno != unix.EINTR {
				return errno != unix.EAGAIN
			}
		}
	})
	if werr != nil {
		return 0, werr
	}
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

func isRefused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }
