//go:build !linux

package capture

import (
	"fmt"
	"runtime"
	"time"
)

// Interface is a network interface of this system.
type Interface struct {
	Name  string
	Index int
	MTU   int
}

// Interfaces fails: it is for what needs Linux.
func Interfaces() ([]Interface, error) {
	return nil, fmt.Errorf("list of interfaces: %w on %s", ErrUnsupported, runtime.GOOS)
}

// Pool captures from interfaces that come later; on this system there is none.
type Pool struct{}

// ErrPoolEmpty is the cause when as many interfaces are captured from as a Pool has sockets.
var ErrPoolEmpty = ErrUnsupported

// NewPool fails: interfaces that come later are captured from on Linux only.
func NewPool(LiveConfig, int, int) (*Pool, error) {
	return nil, fmt.Errorf("interfaces that come and go (patterns, --persist): %w on %s", ErrUnsupported, runtime.GOOS)
}

// Open fails.
func (*Pool) Open(i Interface) ([]*Live, error) {
	return nil, fmt.Errorf("interface %s: %w", i.Name, ErrUnsupported)
}

// Close closes nothing.
func (*Pool) Close() error { return nil }

// Changes says that something has changed about the system's interfaces.
type Changes struct{}

// WatchInterfaces fails.
func WatchInterfaces() (*Changes, error) {
	return nil, fmt.Errorf("changes of interfaces: %w on %s", ErrUnsupported, runtime.GOOS)
}

// Wait sleeps.
func (*Changes) Wait(atMost time.Duration) { time.Sleep(atMost) }

// Stop does nothing.
func (*Changes) Stop() {}

// Close closes nothing.
func (*Changes) Close() error { return nil }
