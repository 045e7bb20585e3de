package capture

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// rejoin looks, at most once a second, whether there is an interface of the name again, and captures from that with the
// socket and ring there are: that needs no privileges. Until then l.away stays. Promiscuous mode went with the former one.
func (l *Live) rejoin() error {
	now := time.Now()
	if now.Sub(l.looked) < time.Second {
		return nil
	}
	l.looked = now
	i, err := InterfaceNamed(l.name)
	if err != nil {
		return nil // ask again
	}
	index := i.Index
	if link, cooked := linkType(i.hardware); link != l.link || cooked != l.cooked {
		return fmt.Errorf("it came back as another kind of interface: %w", ErrGone)
	}
	if l.promiscuous {
		m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(l.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return came(fmt.Errorf("promiscuous mode: %w", err))
		}
	}
	if err := unix.Bind(l.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return came(fmt.Errorf("bind: %w", err))
	}
	l.away = false
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index, l.known = index, false // its counters are others
	l.returns++
	return nil
}

// came leaves out the error of an interface that has gone again.
func came(err error) error {
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
