//go:build !linux

package capture

import (
	"errors"
	"fmt"
	"runtime"
)

// OpenRings is OpenLive: on this system an interface has one ring.
func OpenRings(cfg LiveConfig, n int) ([]*Live, error) {
	if n > 1 {
		return nil, fmt.Errorf("interface %s: %d rings: %s has no way to share out an interface's packets, do with one: %w", cfg.Interface, n, runtime.GOOS, errors.ErrUnsupported)
	}
	l, err := OpenLive(cfg)
	return []*Live{l}, err
}
