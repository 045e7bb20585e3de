package service

import "golang.org/x/sys/unix"

// monotonic is CLOCK_MONOTONIC in microseconds, by which systemd tells an answer to its own request from an older one.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano() / 1000
}
