package capture

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Changes says that something has changed about the system's interfaces, and not what: that is for Interfaces to tell.
type Changes struct {
	fd int // of rtnetlink, group RTNLGRP_LINK

	mu      sync.Mutex // of Stop and Close
	stop    [2]int     // pipe
	stopped bool
}

// WatchInterfaces begins to listen. It needs no privileges.
func WatchInterfaces() (*Changes, error) {
	c := &Changes{fd: -1, stop: [2]int{-1, -1}}
	var err error
	if c.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE); err == nil {
		if err = unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err == nil {
			err = unix.Pipe2(c.stop[:], unix.O_CLOEXEC|unix.O_NONBLOCK)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("changes of interfaces: %w", err), c.Close())
	}
	return c, nil
}

// Wait returns when there was a change, after the time given at the latest, and at once after Stop.
func (c *Changes) Wait(atMost time.Duration) {
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}, {Fd: int32(c.stop[0]), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, int(atMost.Milliseconds())); err != nil {
		return
	}
	var scratch [8 << 10]byte
	for { // what does not fit into the socket's buffer is lost, but not that there was something
		if n, err := unix.Read(c.fd, scratch[:]); n <= 0 && err != unix.ENOBUFS && err != unix.EINTR {
			return
		}
	}
}

// Stop lets Wait return.
func (c *Changes) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped && c.stop[1] >= 0 {
		unix.Write(c.stop[1], []byte{0})
	}
	c.stopped = true
}

// Close must not run beside Wait.
func (c *Changes) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for _, fd := range []int{c.fd, c.stop[0], c.stop[1]} {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	c.fd, c.stop = -1, [2]int{-1, -1}
	return err
}
