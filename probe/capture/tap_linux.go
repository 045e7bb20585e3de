package capture

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/dissect"
)

const (
	tapFrames = 64       // sent at once
	tapBytes  = 64 << 10 // of them; a longer frame goes alone
	tapBuffer = 4 << 20  // asked of the kernel for frames that the interface has not yet sent
)

// Tap sends captured frames on another interface. It does not see what it sends, nor anything else. Several Ports, one for
// each goroutine, share it.
type Tap struct {
	name string
	link dissect.LinkType
	fd   int

	mu     sync.Mutex // of binding again
	index  int
	looked time.Time
}

// OpenTap opens a packet socket to send with. It needs CAP_NET_RAW.
func OpenTap(name string) (*Tap, error) {
	t := &Tap{name: name, fd: -1}
	if err := t.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("tap %s: %w", name, err), t.Close())
	}
	return t, nil
}

func (t *Tap) open() error {
	all, err := Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.Name != t.name {
			continue
		}
		link, cooked := linkType(i.hardware)
		if cooked {
			return fmt.Errorf("it takes no frames with a link header: %w", ErrUnsupported)
		}
		t.link, t.index = link, i.Index
		if t.fd, err = packetSocket(false); err != nil {
			return err
		}
		// Past the queueing discipline: a tap has no use for shaping, and what the device does not take is to be known.
		if err := unix.SetsockoptInt(t.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return fmt.Errorf("queueing discipline: %w", err)
		}
		if unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, tapBuffer) != nil {
			_ = unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, tapBuffer) // as much as there may be
		}
		return t.bind(i.Index)
	}
	return errNoInterface
}

// bind chooses the interface. Protocol 0: nothing is received.
func (t *Tap) bind(index int) error {
	if err := unix.Bind(t.fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// passes returns the interfaces at which what is sent on one of them comes by: itself, its members if it is a bridge or a
// bond, what a VLAN or the like lies on, the other end of a veth pair; and so on.
func passes(all []Interface, index int) map[int]bool {
	found := map[int]bool{}
	for next := []int{index}; len(next) > 0; next = next[1:] {
		if next[0] == 0 || found[next[0]] {
			continue
		}
		found[next[0]] = true
		for _, i := range all {
			switch {
			case i.Index == next[0]:
				next = append(next, i.lower)
			case i.master == next[0]:
				next = append(next, i.Index)
			}
		}
	}
	return found
}

// Check says why what an interface sees must not or cannot be sent.
func (t *Tap) Check(name string) error {
	all, err := Interfaces()
	if err != nil {
		return err
	}
	t.mu.Lock()
	passing := passes(all, t.index)
	t.mu.Unlock()
	for _, i := range all {
		if i.Name != name {
			continue
		}
		if passing[i.Index] {
			return fmt.Errorf("tap %s: what is sent there comes by at %s, and would be sent again", t.name, name)
		}
		if link, _ := linkType(i.hardware); link != t.link {
			return fmt.Errorf("tap %s: the frames of %s are of another link type", t.name, name)
		}
	}
	return nil
}

// Close closes the socket.
func (t *Tap) Close() error {
	if t.fd < 0 {
		return nil
	}
	err := unix.Close(t.fd)
	t.fd = -1
	return err
}

// TapPort sends the frames of one goroutine.
type TapPort struct {
	tap    *Tap
	buf    []byte
	n      int
	iov    [tapFrames]unix.Iovec
	msg    [tapFrames]mmsghdr
	counts TapCounts
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// NewPort makes a TapPort.
func (t *Tap) NewPort() *TapPort { return &TapPort{tap: t, buf: make([]byte, 0, tapBytes)} }

// Add copies a frame, to be sent soon. It returns true when Flush is due.
func (p *TapPort) Add(f *Frame) (due bool) {
	switch {
	case f.Link != p.tap.link:
		p.counts.OtherLink++
		return false
	case len(f.Data) < f.WireLen:
		p.counts.Cut++
		return false
	case len(f.Data) == 0: // an iovec of nothing has no address
		p.counts.Refused++
		return false
	}
	if p.n == tapFrames || p.n > 0 && len(p.buf)+len(f.Data) > cap(p.buf) {
		p.Flush()
	}
	at := len(p.buf)
	p.buf = append(p.buf, f.Data...) // grows for a longer frame only, when there is no other in it
	p.iov[p.n].Base = &p.buf[at]
	p.iov[p.n].SetLen(len(f.Data))
	p.n++
	return p.n == tapFrames
}

// Flush sends what was added. It does not wait: what the interface does not take at once is dropped and counted.
func (p *TapPort) Flush() {
	for i := 0; i < p.n; {
		for k := i; k < p.n; k++ {
			p.msg[k].hdr.Iov = &p.iov[k]
			p.msg[k].hdr.SetIovlen(1)
		}
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(p.tap.fd), uintptr(unsafe.Pointer(&p.msg[i])), uintptr(p.n-i), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno == 0 && n > 0 { // an error of a later frame is told when that is the first
			for k := range int(n) {
				p.counts.Sent++
				p.counts.SentBytes += uint64(p.iov[i+k].Len)
			}
			i += int(n)
			continue
		}
		if errno == unix.ENXIO && p.tap.again() {
			continue
		}
		p.counts.drop(errno)
		i++
	}
	p.n, p.buf = 0, p.buf[:0]
}

// again binds the socket to the next interface of the name, if there is one, when the former was removed. It is tried once
// a second.
func (t *Tap) again() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Sub(t.looked) < time.Second {
		return false
	}
	t.looked = now
	i, err := InterfaceNamed(t.name)
	if err != nil || i.Index == t.index {
		return false
	}
	if link, cooked := linkType(i.hardware); cooked || link != t.link || t.bind(i.Index) != nil {
		return false
	}
	t.index = i.Index
	return true
}

func (c *TapCounts) drop(errno unix.Errno) {
	switch errno {
	case unix.ENOBUFS, unix.EAGAIN:
		c.Full++
	case unix.EMSGSIZE:
		c.TooLong++
	case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		c.Down++
	default:
		c.Refused++
	}
}

// Take returns what became of the frames since the last call. Those that Add has and Flush has not sent are not in it.
func (p *TapPort) Take() TapCounts {
	c := p.counts
	p.counts = TapCounts{}
	return c
}

// More reports whether frames are at hand, which the kernel has handed over together with the last one.
func (l *Live) More() bool { return l.held && l.block.left > 0 }
