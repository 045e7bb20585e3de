package capture

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// OpenRings begins to capture from an interface by n rings, which divide RingSize and the packets between them: each packet
// comes by one ring, all packets between two addresses by the same (see spread). Each is a Source of its own; only the first
// one has the counters of the interface. An interface that is removed ends them: the kernel lets no ring that is joined to
// others change to another interface.
func OpenRings(cfg LiveConfig, n int) (rings []*Live, err error) {
	if n <= 1 {
		l, err := OpenLive(cfg)
		return []*Live{l}, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return openRings(cfg.withDefaults(), n, join)
}

func openRings(cfg LiveConfig, n int, join func([]*Live, spread) error) (rings []*Live, err error) {
	defer func() {
		if err != nil {
			for _, l := range rings {
				l.Close()
			}
			rings, err = nil, fmt.Errorf("interface %s: %w", cfg.Interface, err)
		}
	}()
	cfg.RingSize, cfg.deaf = ringShare(cfg.RingSize, n), true
	for range n {
		l := &Live{fd: -1, name: cfg.Interface, stop: [2]int{-1, -1}}
		rings = append(rings, l)
		// A ring takes nothing until all have been joined: what comes meanwhile would come by each of them.
		if err := l.open(cfg); err != nil {
			return rings, err
		}
	}
	s := newSpread()
	if err := join(rings, s); errors.Is(err, unix.EINVAL) {
		shareOut(rings, s) // before Linux 6.13 a ring could join others only while its interface was up
	} else if err != nil {
		return rings, err
	}
	for i, l := range rings {
		if l.known = l.known && i == 0; l.known {
			if l.first, err = interfaceCounters(l.index); err != nil {
				return rings, err
			}
		}
		if err := l.listen(cfg); err != nil {
			return rings, err
		}
	}
	return rings, nil
}

// ringShare is the size of each of n rings that have a size together.
func ringShare(size, n int) int {
	if n == 1 {
		return size
	}
	return max(size/n, MinRingSize)
}

// shareOut has each ring take its share of the packets by a filter of its own, in place of join: then it may be bound to
// another interface later. But every ring's filter runs for every packet, which costs some 0.1 µs each.
func shareOut(rings []*Live, s spread) {
	for i, l := range rings {
		l.share = &share{s, i, len(rings)}
	}
}

// join makes the rings a group of their own (PACKET_FANOUT_FLAG_UNIQUEID: other processes' groups have other numbers).
// Datagrams are not put together before (PACKET_FANOUT_FLAG_DEFRAG), since what is metered are packets, and a ring that is
// full does not spill over into others (PACKET_FANOUT_FLAG_ROLLOVER), since that would tear flows apart when they are many.
func join(rings []*Live, s spread) error {
	const kind = unix.PACKET_FANOUT_CBPF
	first := rings[0].fd
	set := func(fd, id, flags int) error {
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, id|(kind|flags)<<16)
	}
	if err := set(first, 0, unix.PACKET_FANOUT_FLAG_UNIQUEID); err != nil {
		return fmt.Errorf("several rings: %w", err)
	}
	group, err := unix.GetsockoptInt(first, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return fmt.Errorf("several rings: %w", err)
	}
	p, err := s.chooser()
	if err != nil {
		return err
	}
	if err := setProgram(first, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, p); err != nil {
		return fmt.Errorf("several rings: program of %d instructions: %w", len(p), err)
	}
	for i, l := range rings[1:] {
		if err := set(l.fd, group&0xffff, 0); err != nil {
			return fmt.Errorf("ring %d of %d: %w", i+2, len(rings), err)
		}
	}
	return nil
}
