//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd

package capture

import (
	"fmt"
	"io"
	"runtime"
)

// Live is a Source that captures from an interface; on this system there is none.
type Live struct{}

// OpenLive fails: live capture needs Linux, OpenBSD, FreeBSD, NetBSD or macOS.
func OpenLive(cfg LiveConfig) (*Live, error) {
	return nil, fmt.Errorf("interface %s: %w on %s: capture into a file and read that", cfg.Interface, ErrUnsupported, runtime.GOOS)
}

// Name is the interface's name.
func (*Live) Name() string { return "" }

// Index is the interface's ifIndex.
func (*Live) Index() int { return 0 }

// Next implements Source.
func (*Live) Next(*Frame) error { return io.EOF }

// Stop implements Source.
func (*Live) Stop() {}

// Stats implements Source.
func (*Live) Stats() Stats { return Stats{} }

// Close implements Source.
func (*Live) Close() error { return nil }
