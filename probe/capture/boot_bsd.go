//go:build darwin || freebsd || netbsd || openbsd

package capture

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/netflow"
)

// BootTime returns when the system was started, or 0 if it does not say.
func BootTime() netflow.Timestamp {
	at, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return 0
	}
	return netflow.TimestampOf(time.Unix(at.Unix()))
}
