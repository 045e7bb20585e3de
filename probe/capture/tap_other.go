//go:build !linux

package capture

import (
	"fmt"
	"runtime"
)

// Tap sends captured frames on another interface; on this system there is none.
type Tap struct{}

// OpenTap fails: taps are for Linux.
func OpenTap(name string) (*Tap, error) {
	return nil, fmt.Errorf("tap %s: %w on %s", name, ErrUnsupported, runtime.GOOS)
}

// Check fails.
func (*Tap) Check(string) error { return ErrUnsupported }

// Close closes nothing.
func (*Tap) Close() error { return nil }

// TapPort sends nothing.
type TapPort struct{}

// NewPort makes a TapPort.
func (*Tap) NewPort() *TapPort { return &TapPort{} }

// Add takes nothing.
func (*TapPort) Add(*Frame) bool { return false }

// Flush sends nothing.
func (*TapPort) Flush() {}

// Take returns nothing.
func (*TapPort) Take() TapCounts { return TapCounts{} }

// More is false.
func (*Live) More() bool { return false }
