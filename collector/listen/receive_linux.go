package listen

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
)

// dualStack says that one IPv6 socket on the wildcard address takes IPv4 datagrams too.
const dualStack = true

var listenConfig net.ListenConfig

const (
	batch = 64 // datagrams a recvmmsg

	// stride separates the buffers of a batch: a whole datagram, and some cache lines more, for with a power of two
	// the first lines of all 64 would compete for the same few sets of the processor's caches. Pages that no datagram
	// ever reaches are never touched and cost no memory.
	stride = maxDatagram + 25*64

	// controlSize holds the two ancillary messages asked for: a time of 16 bytes and a counter of 4.
	controlSize = 64

	// nap is how long the receiver leaves datagrams to gather when they come often but not in full batches. A wake-up
	// costs more than a datagram: at 400,000 flows/s napping saves about a third of the collector's processor time. The
	// socket's buffer must be able to hold what comes meanwhile, so there is no nap below napBuffer.
	nap       = time.Millisecond
	napBuffer = 1 << 20
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// receiver holds the buffers of one socket.
type receiver struct {
	s    *Socket
	raw  syscall.RawConn
	msgs [batch]mmsghdr
	iovs [batch]unix.Iovec
	from [batch]unix.RawSockaddrInet6 // the larger of the two that come
	ctrl [batch][controlSize / 8]uint64
	buf  []byte
	ds   [batch]decode.Datagram

	wait, try func(fd uintptr) bool // as RawConn wants them, made once
	n         int                   // what the last of them got
	err       error

	used  int       // messages whose headers the kernel has written to
	last  time.Time // when datagrams last came
	often bool      // they come often, and less than a batch at a time
}

func newReceiver(s *Socket) (*receiver, error) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &receiver{s: s, raw: raw, buf: make([]byte, batch*stride), used: batch}
	for i := range r.msgs {
		r.iovs[i].Base = &r.buf[i*stride]
		r.iovs[i].SetLen(maxDatagram)
		h := &r.msgs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.from[i]))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&r.ctrl[i]))
	}
	r.wait = func(fd uintptr) bool {
		r.n, r.err = r.recvmmsg(fd)
		return r.err != unix.EAGAIN
	}
	r.try = func(fd uintptr) bool {
		r.n, r.err = r.recvmmsg(fd)
		return true
	}
	return r, nil
}

// receive waits for datagrams, at most until the socket's read deadline.
func (r *receiver) receive() ([]decode.Datagram, error) {
	if r.often {
		time.Sleep(nap)
	}
	if err := r.raw.Read(r.wait); err != nil {
		r.often = false
		return nil, err
	}
	ds, err := r.result()
	now := time.Now()
	r.often = len(ds) < batch && now.Sub(r.last) < 2*nap && r.s.buffer >= napBuffer
	r.last = now
	return ds, err
}

// poll takes what is there, without waiting and whatever the deadline.
func (r *receiver) poll() ([]decode.Datagram, error) {
	if err := r.raw.Control(func(fd uintptr) { r.try(fd) }); err != nil {
		return nil, err
	}
	return r.result()
}

func (r *receiver) recvmmsg(fd uintptr) (int, error) {
	for i := range r.used {
		h := &r.msgs[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
		h.Flags = 0
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), batch,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.used = int(n)
			return int(n), nil
		case unix.EINTR:
		default:
			r.used = 0
			return 0, errno
		}
	}
}

// result makes datagrams of what the last system call brought.
func (r *receiver) result() ([]decode.Datagram, error) {
	switch {
	case r.err == nil:
	case errors.Is(r.err, unix.EAGAIN):
		return nil, errAgain
	case errors.Is(r.err, unix.ENOMEM), errors.Is(r.err, unix.ENOBUFS):
		time.Sleep(nap) // the kernel is short of memory for a moment
		return nil, errAgain
	default:
		return nil, r.err
	}
	var now netflow.Timestamp
	for i := range r.n {
		m := &r.msgs[i]
		d := &r.ds[i]
		d.Payload = r.buf[i*stride:][:min(int(m.len), maxDatagram)]
		d.Exporter = address(&r.from[i])
		d.Received = r.ancillary(i)
		if d.Received == 0 { // a kernel without SO_TIMESTAMPNS
			if now == 0 {
				now = netflow.TimestampOf(time.Now())
			}
			d.Received = now
		}
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			r.s.truncated.Add(1)
		}
	}
	return r.ds[:r.n], nil
}

// ancillary reads the control messages of message i: the receive time, which it returns, and the drop counter.
func (r *receiver) ancillary(i int) (received netflow.Timestamp) {
	h := &r.msgs[i].hdr
	b := unsafe.Slice((*byte)(unsafe.Pointer(&r.ctrl[i])), controlSize)[:min(int(h.Controllen), controlSize)]
	for len(b) >= unix.SizeofCmsghdr {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&b[0])) // aligned: the buffer is of uint64, CmsgSpace keeps to it
		size := int(c.Len)
		if size < unix.SizeofCmsghdr || size > len(b) {
			break
		}
		data := b[unix.CmsgLen(0):size]
		if c.Level == unix.SOL_SOCKET {
			switch {
			case (c.Type == unix.SO_TIMESTAMPNS_NEW || c.Type == unix.SO_TIMESTAMPNS) && len(data) == 16:
				t := (*[2]int64)(unsafe.Pointer(&data[0])) // seconds and nanoseconds
				received = netflow.Timestamp(t[0]*1e6 + t[1]/1e3)
			case c.Type == unix.SO_RXQ_OVFL && len(data) == 4:
				r.s.drops.saw(*(*uint32)(unsafe.Pointer(&data[0])))
			}
		}
		b = b[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(b)):]
	}
	return received
}

func address(from *unix.RawSockaddrInet6) netip.AddrPort {
	// The port has the same place in both families, in network byte order.
	port := (*[2]byte)(unsafe.Pointer(&from.Port))
	p := uint16(port[0])<<8 | uint16(port[1])
	switch from.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(from)).Addr), p)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(from.Addr).Unmap(), p)
	}
	return netip.AddrPort{}
}

// configure asks for the receive buffer, privileged and else as far as net.core.rmem_max allows, for receive times and
// for the drop counter, and returns the buffer got: half of what the kernel reserves.
func configure(conn *net.UDPConn, buffer int) (got int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		f := int(fd)
		if buffer > 0 && unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
			if serr = unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); serr != nil {
				return
			}
		}
		if got, serr = unix.GetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RCVBUF); serr != nil {
			return
		}
		got /= 2
		// Neither of these is worth failing for: without the one times are those of reading, without the other
		// pollDrops still counts.
		if unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) != nil { // before Linux 5.1
			unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		}
		unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	})
	return got, errors.Join(err, serr)
}

// pollDrops asks the socket for its drop counter. The one that SO_RXQ_OVFL sends along with a datagram was read when
// that datagram was queued, so drops after the last datagram that got in are seen only here (SO_MEMINFO, Linux 4.12;
// the counter is the one in /proc/net/udp).
func (s *Socket) pollDrops() {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		const drops = 8 // SK_MEMINFO_DROPS of linux/sock_diag.h
		var info [drops + 1]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 && size == uint32(unsafe.Sizeof(info)) {
			s.drops.saw(info[drops])
		}
	})
}
