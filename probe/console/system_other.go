//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package console

import "time"

func systemUptime() time.Duration { return 0 }
