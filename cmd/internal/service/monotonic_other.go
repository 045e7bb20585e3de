//go:build !linux

package service

// monotonic is for systemd.
func monotonic() int64 { return 0 }
