package capture

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

const (
	idle     = 100 // milliseconds until ErrIdle
	retire   = 10  // milliseconds after which the kernel hands over a block that is not full
	headroom = 32  // bytes before each frame for the VLAN tag and cooked header that prepare writes there
)

// Live is a Source that captures from an interface.
type Live struct {
	fd      int
	name    string
	index   int // 0: all interfaces
	ring    *ring
	cooked  bool // frames come without link header; they get one of LINKTYPE_LINUX_SLL
	link    dissect.LinkType
	lo      bool      // the loopback interface
	block   block     // being read; returned to the kernel by the Next after its last frame
	held    bool      // block is ours
	stop    [2]int    // pipe: written by Stop, so that a poll wakes
	last    bool      // no more frames will come: deliver the rest, then end
	end     error     // what to end with
	wasDown bool      // the interface has been down: it may be gone
	looked  time.Time // when that was last looked at
	stopped atomic.Bool
	dup     atomic.Uint64
	downs   atomic.Uint64

	mu      sync.Mutex
	dropped uint64
	first   Counters
	known   bool // first has been read

	promiscuous bool
	pool        *Pool  // that the socket is from, or nil
	share       *share // of the packets, by a filter; nil: all, or as the kernel shares them out
}

// OpenLive begins to capture from an interface. It needs CAP_NET_RAW, in the network namespace of the calling thread.
func OpenLive(cfg LiveConfig) (*Live, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	cfg = cfg.withDefaults()
	l := &Live{fd: -1, name: cfg.Interface, stop: [2]int{-1, -1}}
	if err := l.open(cfg); err != nil {
		l.Close()
		return nil, fmt.Errorf("interface %s: %w", cfg.Interface, err)
	}
	return l, nil
}

func (l *Live) open(cfg LiveConfig) error {
	if cfg.Interface != "any" {
		i, err := net.InterfaceByName(cfg.Interface)
		if err != nil {
			return noSuchInterface(err)
		}
		l.index = i.Index
	}
	hardware, err := hardwareType(cfg.Interface)
	if err != nil {
		return err
	}
	l.lo = hardware == unix.ARPHRD_LOOPBACK
	l.link, l.cooked = linkType(hardware)
	if l.fd, err = packetSocket(l.cooked); err != nil {
		return err
	}
	return l.begin(cfg)
}

// packetSocket opens a socket that is bound to nothing: protocol 0 receives nothing before bind has chosen the interface.
func packetSocket(cooked bool) (int, error) {
	kind := unix.SOCK_RAW
	if cooked {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", permission(err))
	}
	return fd, nil
}

// begin captures from the interface that is known by now, with a socket that is bound to none. It needs no privileges.
func (l *Live) begin(cfg LiveConfig) error {
	err := unix.Pipe2(l.stop[:], unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	// Before bind: no packet comes by that the filter has not seen.
	if cfg.deaf {
		err = refuse(l.fd)
	} else {
		err = l.listen(cfg)
	}
	if err != nil {
		return err
	}
	if l.ring, err = newRing(l.fd, cfg.RingSize, cfg.SnapLen); err != nil {
		return err
	}
	if l.promiscuous = cfg.Promiscuous && l.index != 0 && !l.lo; l.promiscuous {
		m := unix.PacketMreq{Ifindex: int32(l.index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(l.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("promiscuous mode (--no-promisc does without): %w", err)
		}
	}
	if now, err := interfaceCounters(l.index); err == nil && l.index != 0 {
		l.first, l.known = now, true
	}
	if err := unix.Bind(l.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: l.index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// listen sets the filter that says what is taken, and how much of it.
func (l *Live) listen(cfg LiveConfig) error {
	p := firstBytes(cfg.SnapLen)
	var err error
	if cfg.Filter != nil {
		if p, err = cfg.Filter.Compile(filter.Target{Link: l.link, SnapLen: uint32(cfg.SnapLen), Kernel: true}); err != nil {
			return err
		}
	}
	if l.share != nil {
		if p, err = l.share.filter(l.link, l.cooked, p); err != nil {
			return err
		}
	}
	if err := attach(l.fd, p); err != nil {
		return fmt.Errorf("filter of %d instructions: %w", len(p), err)
	}
	return nil
}

// noSuchInterface keeps of net's errors what a person needs.
func noSuchInterface(err error) error {
	if e := (*net.OpError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// permission says what is missing.
func permission(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		exe, e := os.Executable()
		if e != nil {
			exe = "probe"
		}
		return fmt.Errorf("%w: run as root, or once: setcap cap_net_raw+ep %s", err, exe)
	}
	return err
}

// Name is the interface's name as given to OpenLive.
func (l *Live) Name() string { return l.name }

// Index is the interface's ifIndex; 0 for all interfaces.
func (l *Live) Index() int { return l.index }

// Next implements Source.
func (l *Live) Next(f *Frame) error {
	for {
		if !l.held {
			if err := l.wait(); err != nil {
				return err
			}
		}
		p, ok := l.block.next()
		if !ok {
			l.ring.release()
			l.held = false
			continue
		}
		if l.fill(f, p) {
			return nil
		}
		l.dup.Add(1)
	}
}

// wait returns nil when a block has come.
func (l *Live) wait() error {
	if l.stopped.Load() && !l.last {
		if err := refuse(l.fd); err != nil { // what came before is still delivered
			return l.errorf("stop: %w", err)
		}
		l.last, l.end = true, io.EOF
	}
	if l.take() {
		return nil
	}
	fds := [2]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.stop[0]), Events: unix.POLLIN}}
	watched, timeout := fds[:], idle
	if l.last {
		watched, timeout = fds[:1], 5*retire // the block that the kernel was filling
	}
	_, err := unix.Poll(watched, timeout)
	switch {
	case l.take():
		return nil
	case err == unix.EINTR:
		return ErrIdle
	case err != nil:
		return l.errorf("poll: %w", err)
	case fds[0].Revents&unix.POLLERR != 0:
		if err := l.socketError(); err != nil {
			return err
		}
	}
	switch {
	case l.last:
		return l.end
	case l.wasDown && l.gone():
		l.last, l.end = true, l.errorf("%w", ErrGone) // the kernel may still be filling a block with what came before
	}
	return ErrIdle
}

// take takes the next block of the ring, if the kernel is done with it.
func (l *Live) take() bool {
	l.block, l.held = l.ring.take()
	return l.held
}

// gone looks, at most once a second, whether the interface still exists: the kernel says that one goes down, but not that
// it is removed then. It takes the socket off an interface that is removed or leaves the namespace, and a new one is
// another one even if it got the same name and ifIndex.
func (l *Live) gone() bool {
	now := time.Now()
	if l.index == 0 || now.Sub(l.looked) < time.Second {
		return false
	}
	l.looked = now
	a, err := unix.Getsockname(l.fd)
	at, ok := a.(*unix.SockaddrLinklayer)
	return err == nil && ok && at.Ifindex != l.index // -1
}

// socketError handles the error that waits at the socket. An interface that is down may come up again.
func (l *Live) socketError() error {
	code, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return l.errorf("socket: %w", err)
	}
	switch errno := unix.Errno(code); errno {
	case 0:
		return nil
	case unix.ENETDOWN:
		l.downs.Add(1)
		l.wasDown, l.looked = true, time.Time{}
		return nil
	default:
		return l.errorf("socket: %w", errno)
	}
}

func (l *Live) errorf(format string, args ...any) error {
	return fmt.Errorf("interface "+l.name+": "+format, args...)
}

// Stop implements Source.
func (l *Live) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped.Swap(true) && l.stop[1] >= 0 { // else it is closed
		unix.Write(l.stop[1], []byte{0}) // the pipe is empty: it cannot fail
	}
}

// Stats implements Source.
func (l *Live) Stats() Stats {
	s := Stats{Duplicate: l.dup.Load(), Downs: l.downs.Load()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, err := unix.GetsockoptTpacketStatsV3(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		l.dropped += uint64(k.Drops) // reading sets the kernel's counter to zero
	}
	s.Dropped = l.dropped
	if l.known {
		if now, err := interfaceCounters(l.index); err == nil {
			d := now.sub(l.first)
			s.Interface = &d
		}
	}
	return s
}

// Close implements Source. It must not run beside Next.
func (l *Live) Close() error {
	var err error
	if l.ring != nil {
		err = l.ring.close()
		l.ring, l.held = nil, false
	}
	if l.pool != nil && l.fd >= 0 {
		err = errors.Join(err, l.pool.give(l))
		l.fd = -1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fd := range []int{l.fd, l.stop[0], l.stop[1]} {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	l.fd, l.stop = -1, [2]int{-1, -1}
	return err
}
