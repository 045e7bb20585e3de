package export

import (
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// datagrams is a connected UDP socket to send by. It is not one of package net, because the runtime's poller would know of
// that and wake a thread for each datagram that has left, since there is room in the buffer again.
type datagrams struct {
	fd            int
	local, remote net.Addr
	many          many
}

// dialUDP opens a socket whose writes wait for room in its buffer for as long as blockedFor.
func dialUDP(a netip.AddrPort) (socket, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	d := &datagrams{local: conn.LocalAddr(), remote: conn.RemoteAddr()}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if errControl := raw.Control(func(fd uintptr) { d.fd, err = duplicate(fd, blockedFor) }); errControl != nil {
		return nil, errControl
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// duplicate makes a descriptor for the same socket, on which writes wait for so long.
func duplicate(socket uintptr, wait time.Duration) (int, error) {
	fd, err := unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	timeout := unix.NsecToTimeval(wait.Nanoseconds())
	if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, os.NewSyscallError("setsockopt", err)
	}
	return fd, nil
}

// Write sends a datagram. Its error is os.ErrDeadlineExceeded when the socket's buffer had no room for too long.
func (d *datagrams) Write(p []byte) (int, error) {
	for {
		n, err := unix.Write(d.fd, p)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		default:
			return 0, os.NewSyscallError("write", err)
		}
	}
}

func (d *datagrams) LocalAddr() net.Addr  { return d.local }
func (d *datagrams) RemoteAddr() net.Addr { return d.remote }
func (d *datagrams) Close() error         { return unix.Close(d.fd) }
