package capture

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Pool captures from interfaces that come when privileges are gone: a packet socket needs CAP_NET_RAW to be opened, but
// not to be bound to an interface, nor for its ring, filter and promiscuous mode. So sockets are opened beforehand, of both
// kinds, since an interface decides only when it comes which it is for. A socket comes back when its interface is removed.
type Pool struct {
	cfg LiveConfig

	mu   sync.Mutex
	free [2][]int // raw, cooked
}

// ErrPoolEmpty is the cause when as many interfaces are captured from as a Pool has sockets.
var ErrPoolEmpty = errors.New("no socket is left for it")

// NewPool opens sockets for n interfaces at a time. It needs CAP_NET_RAW. cfg's Interface and Persist have no effect.
func NewPool(cfg LiveConfig, n int) (*Pool, error) {
	p := &Pool{cfg: cfg.withDefaults()}
	for kind := range p.free {
		for range n {
			fd, err := packetSocket(kind == 1)
			if err != nil {
				return nil, errors.Join(err, p.Close())
			}
			p.free[kind] = append(p.free[kind], fd)
		}
	}
	return p, nil
}

// Open begins to capture from an interface.
func (p *Pool) Open(i Interface) (*Live, error) {
	l := &Live{fd: -1, name: i.Name, index: i.Index, stop: [2]int{-1, -1}, lo: i.hardware == unix.ARPHRD_LOOPBACK, pool: p}
	l.link, l.cooked = linkType(i.hardware)
	if l.fd = p.take(l.cooked); l.fd < 0 {
		return nil, fmt.Errorf("interface %s: %w", i.Name, ErrPoolEmpty)
	}
	if err := l.begin(p.cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("interface %s: %w", i.Name, err), l.Close())
	}
	_ = l.socketError() // it may be down yet: that is not going down
	l.downs.Store(0)
	return l, nil
}

func (p *Pool) take(cooked bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := &p.free[kindOf(cooked)]
	n := len(*free)
	if n == 0 {
		return -1
	}
	fd := (*free)[n-1]
	*free = (*free)[:n-1]
	return fd
}

func kindOf(cooked bool) int {
	if cooked {
		return 1
	}
	return 0
}

// give takes a socket back whose ring is unmapped. One of an interface that is still there is no longer what it was, and
// is closed; its place is lost, which is only so at the end and after a failure to begin.
func (p *Pool) give(l *Live) error {
	a, err := unix.Getsockname(l.fd)
	at, ok := a.(*unix.SockaddrLinklayer)
	if err == nil && ok && (at.Ifindex == 0 || at.Ifindex != l.index) && freeRing(l.fd) == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free[kindOf(l.cooked)] = append(p.free[kindOf(l.cooked)], l.fd)
		return nil
	}
	return unix.Close(l.fd)
}

// Close closes the sockets that no interface has. What Open has returned is closed by itself, before.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for kind, fds := range p.free {
		for _, fd := range fds {
			errs = append(errs, unix.Close(fd))
		}
		p.free[kind] = nil
	}
	return errors.Join(errs...)
}

// freeRing gives the memory of a ring back, so that the socket is as before newRing.
func freeRing(fd int) error {
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{}); err != nil {
		return err
	}
	_, err := unix.GetsockoptTpacketStatsV3(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS) // its counters begin anew
	return err
}
