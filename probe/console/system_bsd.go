//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package console

import (
	"time"

	"golang.org/x/sys/unix"
)

// systemUptime returns how long the machine has been up; 0: not known.
func systemUptime() time.Duration {
	boot, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return 0
	}
	return time.Since(time.Unix(boot.Unix()))
}
