//go:build !linux

package listen

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
)

// dualStack says that one IPv6 socket on the wildcard address takes IPv4 datagrams too.
const dualStack = runtime.GOOS != "openbsd" && runtime.GOOS != "dragonfly"

var listenConfig net.ListenConfig

// receiver holds the buffer of one socket.
type receiver struct {
	s   *Socket
	buf []byte
	ds  [1]decode.Datagram
}

func newReceiver(s *Socket) (*receiver, error) {
	return &receiver{s: s, buf: make([]byte, maxDatagram)}, nil
}

// receive waits for one datagram, at most until the socket's read deadline.
func (r *receiver) receive() ([]decode.Datagram, error) {
	n, from, err := r.s.conn.ReadFromUDPAddrPort(r.buf)
	if err != nil {
		return nil, err
	}
	r.ds[0] = decode.Datagram{
		Exporter: unmap(from),
		Received: netflow.TimestampOf(time.Now()),
		Payload:  r.buf[:n],
	}
	return r.ds[:], nil
}

// poll takes a datagram that is there, whatever the deadline was, and waits for none.
func (r *receiver) poll() ([]decode.Datagram, error) {
	if err := r.s.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		return nil, err
	}
	return r.receive()
}

// configure asks for the receive buffer, and for less while the system refuses, and returns the buffer got.
func configure(conn *net.UDPConn, buffer int) (got int, err error) {
	for ask := buffer; ask >= 1<<16; ask /= 2 { // the BSDs refuse what exceeds kern.ipc.maxsockbuf
		if conn.SetReadBuffer(ask) == nil {
			break
		}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		got, serr = receiveBufferOf(fd)
	})
	if err == nil {
		err = serr
	}
	return got, err
}

func receiveBufferOf(fd uintptr) (int, error) {
	return syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
}

// pollDrops does nothing: these systems count datagrams dropped for all sockets together (netstat -s -p udp).
func (s *Socket) pollDrops() {}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
