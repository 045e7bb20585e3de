package archive

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Bounds and defaults of Config.
const (
	DefaultSize    = 1 << 30
	DefaultRotate  = time.Hour
	MinSize        = 2 << 20
	MinSnapLen     = 96 // the headers up to the ports, behind two VLAN tags also of IPv6
	MaxSnapLen     = 256 << 10
	DefaultSnapLen = MaxSnapLen

	// QueueBlocks bounds the blocks that are filled, or wait for the disk, besides one for each Recorder.
	QueueBlocks = 32
)

// Config says where packets are kept, and how many.
type Config struct {
	Dir     string        // folder of the files; made when missing. One archive at a time writes to it
	Size    int64         // bytes: a file does not grow beyond; 0: DefaultSize, or an eighth of MaxBytes if that is less
	Rotate  time.Duration // a file holds packets of one interval of this length, counted from 1970 in UTC; 0: only by size
	SnapLen int           // bytes kept of a packet; 0: DefaultSnapLen, which is all that was captured

	// The ring: when one of these would be exceeded, the oldest files are deleted. 0: no bound.
	MaxBytes int64 // of all files and their indexes together
	MaxFiles int   // captures, the open one included
	MinFree  int64 // bytes to be left free on the file system

	Logger *slog.Logger // nil: silent
}

// Validate reports all that is wrong with the configuration.
func (c *Config) Validate() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf("archive "+format, args...)) }
	if c.Dir == "" {
		complain("folder: none given")
	}
	if c.Size != 0 && c.Size < MinSize {
		complain("file size: %d bytes, must be at least %d", c.Size, MinSize)
	}
	if c.Rotate != 0 && c.Rotate < time.Second {
		complain("rotation: %v, must be at least 1s, or 0", c.Rotate)
	}
	if c.SnapLen != 0 && (c.SnapLen < MinSnapLen || c.SnapLen > MaxSnapLen) {
		complain("snap length: %d bytes, must be %d to %d", c.SnapLen, MinSnapLen, MaxSnapLen)
	}
	switch {
	case c.MaxBytes == 0:
	case c.MaxBytes < 8*MinSize:
		complain("bound: %d bytes, must be at least %d", c.MaxBytes, 8*MinSize)
	case c.Size > c.MaxBytes/2:
		complain("file size: %d bytes, must be at most half of the archive's bound, %d", c.Size, c.MaxBytes)
	}
	if c.MaxFiles != 0 && c.MaxFiles < 2 {
		complain("number of files: %d, must be at least 2", c.MaxFiles)
	}
	if c.MinFree < 0 || c.MaxBytes < 0 {
		complain("bounds must not be negative")
	}
	return errors.Join(errs...)
}

func (c *Config) setDefaults() {
	if c.Size == 0 {
		c.Size = DefaultSize
		if c.MaxBytes > 0 {
			c.Size = min(c.Size, c.MaxBytes/8)
		}
	}
	if c.SnapLen == 0 {
		c.SnapLen = DefaultSnapLen
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// ring reports whether old files may be deleted.
func (c *Config) ring() bool { return c.MaxBytes > 0 || c.MaxFiles > 0 || c.MinFree > 0 }
