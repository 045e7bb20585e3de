//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd

package capture

import "github.com/caprock-net/caprock/netflow"

// BootTime returns 0: this system is not asked.
func BootTime() netflow.Timestamp { return 0 }
