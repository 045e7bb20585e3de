package capture

import (
	"errors"
	"fmt"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

// Frame is one captured frame.
type Frame struct {
	Time      netflow.Timestamp
	WireLen   int              // bytes on the wire; Data may be shorter
	Data      []byte           // from the link header on; valid until the next call of Next
	Interface uint32           // ifIndex; in a file 1 plus the number of the interface
	Link      dissect.LinkType // of Data
}

// Source delivers frames in the order in which they were captured.
type Source interface {
	// Next waits for the next frame. ErrIdle says that a live source has seen none for about 100 ms. At the end, and when
	// what was captured before Stop has been delivered, the error is io.EOF.
	Next(f *Frame) error
	// Stop ends the capture. A blocked Next returns.
	Stop()
	// Stats may be called at any time before Close.
	Stats() Stats
	Close() error
}

var (
	// ErrIdle is returned by Next of a live source when no frame came for a while.
	ErrIdle = errors.New("no packets")
	// ErrGone is the cause when the interface has been removed.
	ErrGone = errors.New("the interface is gone")
	// ErrUnsupported is the cause when this system, or this kind of interface, cannot be captured from.
	ErrUnsupported = errors.New("live capture is not supported")
)

// Stats counts what a source saw beside the frames that it delivered. Files have none of it.
type Stats struct {
	Dropped   uint64    // frames that the kernel dropped because the buffer was full
	Duplicate uint64    // leaving copies on the loopback interface, left out
	Downs     uint64    // times that the interface went down
	Interface *Counters // of the interface itself, since the capture began; nil: not known
}

// Add adds what another capture from the interface of that name saw. The interface's own counters are known only if both are.
func (s *Stats) Add(t Stats) {
	s.Dropped += t.Dropped
	s.Duplicate += t.Duplicate
	s.Downs += t.Downs
	if s.Interface == nil || t.Interface == nil {
		s.Interface = nil
		return
	}
	sum := s.Interface.plus(*t.Interface)
	s.Interface = &sum
}

// Counters are what the system counts at an interface.
type Counters struct {
	RxPackets, RxBytes, RxErrors uint64
	RxDropped                    uint64 // by the driver, or for want of a receiver: also includes RxMissed on some systems
	RxMissed                     uint64 // by the network card
	TxPackets, TxBytes           uint64
}

func (c Counters) plus(d Counters) Counters {
	return Counters{
		RxPackets: c.RxPackets + d.RxPackets,
		RxBytes:   c.RxBytes + d.RxBytes,
		RxErrors:  c.RxErrors + d.RxErrors,
		RxDropped: c.RxDropped + d.RxDropped,
		RxMissed:  c.RxMissed + d.RxMissed,
		TxPackets: c.TxPackets + d.TxPackets,
		TxBytes:   c.TxBytes + d.TxBytes,
	}
}

// sub returns what was counted since an earlier reading. Counters that were reset in between count from zero.
func (c Counters) sub(from Counters) Counters {
	diff := func(now, then uint64) uint64 {
		if now < then {
			return now
		}
		return now - then
	}
	return Counters{
		RxPackets: diff(c.RxPackets, from.RxPackets),
		RxBytes:   diff(c.RxBytes, from.RxBytes),
		RxErrors:  diff(c.RxErrors, from.RxErrors),
		RxDropped: diff(c.RxDropped, from.RxDropped),
		RxMissed:  diff(c.RxMissed, from.RxMissed),
		TxPackets: diff(c.TxPackets, from.TxPackets),
		TxBytes:   diff(c.TxBytes, from.TxBytes),
	}
}

// Bounds and defaults of LiveConfig.
const (
	MinRingSize     = 2 << 20 // two of the largest blocks: one to read, one to fill
	MaxRingSize     = 1 << 30
	DefaultRingSize = 64 << 20
	MinSnapLen      = 64
	MaxSnapLen      = 256 << 10
	DefaultSnapLen  = 256
)

// LiveConfig says how to capture from an interface.
type LiveConfig struct {
	Interface   string // name; on Linux also "any": all interfaces, without changing their mode
	RingSize    int    // bytes of buffer shared with the kernel, MinRingSize to MaxRingSize; rounded up to whole MiB. 0: the default
	SnapLen     int    // bytes taken of each frame, MinSnapLen to MaxSnapLen. 0: the default, enough for the headers
	Promiscuous bool   // also take frames for other stations

	// Filter is run by the kernel: other frames are neither delivered nor counted. nil: all are taken.
	Filter *filter.Filter

	deaf bool // nothing is taken before listen is called
}

// Validate reports all that is wrong with the configuration.
func (c LiveConfig) Validate() error {
	var errs []error
	if c.Interface == "" {
		errs = append(errs, errors.New("interface: no name"))
	}
	if c.RingSize != 0 && (c.RingSize < MinRingSize || c.RingSize > MaxRingSize) {
		errs = append(errs, fmt.Errorf("ring size: %d bytes, must be %d to %d MiB", c.RingSize, MinRingSize>>20, MaxRingSize>>20))
	}
	if c.SnapLen != 0 && (c.SnapLen < MinSnapLen || c.SnapLen > MaxSnapLen) {
		errs = append(errs, fmt.Errorf("snap length: %d bytes, must be %d to %d", c.SnapLen, MinSnapLen, MaxSnapLen))
	}
	return errors.Join(errs...)
}

func (c LiveConfig) withDefaults() LiveConfig {
	if c.RingSize == 0 {
		c.RingSize = DefaultRingSize
	}
	if c.SnapLen == 0 {
		c.SnapLen = DefaultSnapLen
	}
	return c
}
