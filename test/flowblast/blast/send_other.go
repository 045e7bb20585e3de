//go:build !linux

package blast

import (
	"errors"
	"net"
	"syscall"
)

// sender sends one datagram with one system call.
type sender struct{ conn *net.UDPConn }

func (s *sender) init(conn *net.UDPConn) error {
	s.conn = conn
	return nil
}

// send returns how many of the first datagrams it sent.
func (s *sender) send(msgs [][]byte) (n int, err error) {
	if _, err := s.conn.Write(msgs[0]); err != nil {
		return 0, err
	}
	return 1, nil
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
