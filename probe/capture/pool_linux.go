package capture

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Pool captures from interfaces that come when privileges are gone: a packet socket needs CAP_NET_RAW to be opened, but
// not to be bound to an interface, nor for its ring, filter and promiscuous mode. So sockets are opened beforehand, of both
// kinds, since an interface decides only when it comes which it is for. A socket comes back when its interface is removed.
//
// An interface may have several rings, as those of OpenRings. They share the packets out by a filter each: the kernel lets a
// socket join a group without privileges too, but never leave it, nor be bound to anything else then.
type Pool struct {
	cfg   LiveConfig
	rings int // of an interface

	mu   sync.Mutex
	free [2][]int // raw, cooked
}

// ErrPoolEmpty is the cause when as many interfaces are captured from as a Pool has sockets.
var ErrPoolEmpty = errors.New("no socket is left for it")

// NewPool opens sockets for n interfaces at a time, each with as many rings, which divide RingSize. It needs CAP_NET_RAW.
// cfg's Interface has no effect.
func NewPool(cfg LiveConfig, n, rings int) (*Pool, error) {
	p := &Pool{cfg: cfg.withDefaults(), rings: max(rings, 1)}
	p.cfg.RingSize = ringShare(p.cfg.RingSize, p.rings)
	for kind := range p.free {
		for range n * p.rings {
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
func (p *Pool) Open(i Interface) ([]*Live, error) {
	rings, err := p.open(i)
	if err != nil {
		err = fmt.Errorf("interface %s: %w", i.Name, err)
		for _, l := range rings {
			err = errors.Join(err, l.Close())
		}
		return nil, err
	}
	return rings, nil
}

func (p *Pool) open(i Interface) (rings []*Live, err error) {
	link, cooked := linkType(i.hardware)
	for _, fd := range p.take(cooked) {
		rings = append(rings, &Live{
			fd: fd, name: i.Name, index: i.Index, stop: [2]int{-1, -1}, lo: i.hardware == unix.ARPHRD_LOOPBACK, link: link, cooked: cooked, pool: p,
		})
	}
	if len(rings) == 0 {
		return nil, ErrPoolEmpty
	}
	if len(rings) > 1 {
		shareOut(rings, newSpread())
	}
	for n, l := range rings {
		if err := l.begin(p.cfg); err != nil {
			return rings, err
		}
		_ = l.socketError() // it may be down yet: that is not going down
		l.downs.Store(0)
		l.known = l.known && n == 0
	}
	return rings, nil
}

// take takes the sockets for an interface, or none.
func (p *Pool) take(cooked bool) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := &p.free[kindOf(cooked)]
	n := len(*free) - p.rings
	if n < 0 {
		return nil
	}
	fds := slices.Clone((*free)[n:])
	*free = (*free)[:n]
	return fds
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
	fds := slices.Concat(p.free[:]...)
	p.free = [2][]int{}
	// The kernel waits some 13 ms at each until no packet is under way to it, at several at a time if it can.
	const atOnce = 32
	errs := make([]error, len(fds))
	for from := 0; from < len(fds); from += atOnce {
		var closing sync.WaitGroup
		for i := from; i < min(from+atOnce, len(fds)); i++ {
			closing.Go(func() { errs[i] = unix.Close(fds[i]) })
		}
		closing.Wait()
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
