//go:build darwin || freebsd || netbsd || openbsd

package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

// idle is the longest that a read waits, in microseconds; then there is ErrIdle. The kernel hands its buffer over when it
// is full or when this has passed.
const idle = 100_000

// maxBuffer bounds what is asked of the kernel for each of its two buffers. Systems have a lower bound of their own
// (sysctl net.bpf.maxbufsize or alike) and give what they give.
const maxBuffer = 16 << 20

// Live is a Source that captures from an interface through /dev/bpf.
type Live struct {
	fd      int
	name    string
	index   int
	link    dissect.LinkType
	buf     []byte
	unread  []byte // of buf: packets not yet delivered
	rest    int    // after Stop: reads that are still made for what the kernel holds
	stopped atomic.Bool
	downs   atomic.Uint64
	first   Counters // when the capture began
	known   bool
}

// OpenLive begins to capture from an interface. It needs to read /dev/bpf.
func OpenLive(cfg LiveConfig) (*Live, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	cfg = cfg.withDefaults()
	l := &Live{fd: -1, name: cfg.Interface, rest: 2}
	if err := l.open(cfg); err != nil {
		l.Close()
		return nil, fmt.Errorf("interface %s: %w", cfg.Interface, err)
	}
	return l, nil
}

func (l *Live) open(cfg LiveConfig) error {
	i, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		if e := (*net.OpError)(nil); errors.As(err, &e) {
			return e.Err
		}
		return err
	}
	l.index = i.Index
	if l.fd, err = openDevice(); err != nil {
		return err
	}
	// The size must be set before the interface. The kernel takes the nearest one it allows, or refuses: ask for less.
	for size := min(cfg.RingSize, maxBuffer); ; size /= 2 {
		if err = unix.IoctlSetPointerInt(l.fd, unix.BIOCSBLEN, size); err == nil {
			break
		}
		if size < 64<<10 {
			return fmt.Errorf("buffer: %w", err)
		}
	}
	var request [256]byte // struct ifreq, whose size differs: only the name at its beginning is read
	copy(request[:unix.IFNAMSIZ-1], cfg.Interface)
	if err := ioctl(l.fd, unix.BIOCSETIF, unsafe.Pointer(&request)); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	var size, link uint32
	if err := ioctl(l.fd, unix.BIOCGBLEN, unsafe.Pointer(&size)); err != nil {
		return fmt.Errorf("buffer: %w", err)
	}
	if err := ioctl(l.fd, unix.BIOCGDLT, unsafe.Pointer(&link)); err != nil {
		return fmt.Errorf("link type: %w", err)
	}
	l.buf = make([]byte, size)
	l.link = linkType(link)
	l.first, l.known = interfaceCounters(l.index)
	if err := syscall.SetBpfTimeout(l.fd, &syscall.Timeval{Usec: idle}); err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	p := filter.Program{{Op: unix.BPF_RET | unix.BPF_K, K: uint32(cfg.SnapLen)}}
	if cfg.Filter != nil {
		if p, err = cfg.Filter.Compile(filter.Target{Link: l.link, SnapLen: uint32(cfg.SnapLen)}); err != nil {
			return err
		}
	}
	code := make([]syscall.BpfInsn, len(p))
	for i, c := range p {
		code[i] = syscall.BpfInsn{Code: c.Op, Jt: c.Jt, Jf: c.Jf, K: c.K}
	}
	if err := syscall.SetBpf(l.fd, code); err != nil { // it also forgets what came since the interface was attached
		return fmt.Errorf("filter of %d instructions: %w", len(code), err)
	}
	if cfg.Promiscuous && i.Flags&net.FlagLoopback == 0 {
		if err := ioctl(l.fd, unix.BIOCPROMISC, nil); err != nil {
			return fmt.Errorf("promiscuous mode (--no-promisc does without): %w", err)
		}
	}
	return nil
}

// openDevice opens the device that makes a new one at each open, else the first free of the numbered ones.
func openDevice() (int, error) {
	open := func(name string) (int, error) { return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0) }
	name := "/dev/bpf"
	fd, err := open(name)
	for i := 0; i < 256 && (errors.Is(err, fs.ErrNotExist) && i == 0 || err == unix.EBUSY || err == unix.ENXIO); i++ {
		name = fmt.Sprintf("/dev/bpf%d", i)
		fd, err = open(name)
	}
	if errors.Is(err, fs.ErrPermission) {
		return -1, fmt.Errorf("%w: run as root, or give the group read access to %s", &os.PathError{Op: "open", Path: name, Err: err}, name)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

// linkType translates a DLT_ value. They are the LINKTYPE_ values, but for some of which each system has its own.
func linkType(dlt uint32) dissect.LinkType {
	switch {
	case runtime.GOOS == "openbsd" && dlt == 12:
		return dissect.LinkLoop
	case runtime.GOOS == "openbsd" && dlt == 14, runtime.GOOS != "openbsd" && dlt == 12:
		return dissect.LinkRaw
	}
	return dissect.LinkType(dlt)
}

func ioctl(fd int, request uint, p unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(p)); errno != 0 {
		return errno
	}
	return nil
}

// Name is the interface's name as given to OpenLive.
func (l *Live) Name() string { return l.name }

// Index is the interface's ifIndex.
func (l *Live) Index() int { return l.index }

// Next implements Source.
func (l *Live) Next(f *Frame) error {
	for {
		if l.deliver(f) {
			return nil
		}
		if l.stopped.Load() {
			if l.rest == 0 {
				return io.EOF
			}
			l.rest--
		}
		n, err := unix.Read(l.fd, l.buf)
		switch {
		case err == unix.ENXIO: // the interface was detached
			return fmt.Errorf("interface %s: %w", l.name, ErrGone)
		case err == unix.ENETDOWN:
			l.downs.Add(1)
			return ErrIdle
		case err == unix.EINTR || err == unix.EAGAIN || err == nil && n == 0:
			return ErrIdle
		case err != nil:
			return fmt.Errorf("interface %s: read: %w", l.name, err)
		}
		l.unread = l.buf[:n]
	}
}

// deliver makes a frame of the next packet of the buffer.
func (l *Live) deliver(f *Frame) bool {
	if len(l.unread) < int(unsafe.Sizeof(unix.BpfHdr{})) {
		return false
	}
	h := (*unix.BpfHdr)(unsafe.Pointer(&l.unread[0])) // aligned: the buffer is, and each packet is padded
	from := int(h.Hdrlen)
	to := from + int(h.Caplen)
	if to > len(l.unread) {
		l.unread = nil
		return false
	}
	f.Time = netflow.Timestamp(int64(h.Tstamp.Sec)*1e6 + int64(h.Tstamp.Usec))
	f.WireLen = int(h.Datalen)
	f.Data = l.unread[from:to:to]
	f.Interface = uint32(l.index)
	f.Link = l.link
	l.unread = l.unread[min((to+unix.BPF_ALIGNMENT-1)&^(unix.BPF_ALIGNMENT-1), len(l.unread)):]
	return true
}

// Stop implements Source. Next returns within the time of one read.
func (l *Live) Stop() { l.stopped.Store(true) }

// Stats implements Source.
func (l *Live) Stats() Stats {
	s := Stats{Downs: l.downs.Load()}
	if k, err := syscall.BpfStats(l.fd); err == nil {
		s.Dropped = uint64(k.Drop)
	}
	if l.known {
		if now, ok := interfaceCounters(l.index); ok {
			d := now.sub(l.first)
			s.Interface = &d
		}
	}
	return s
}

// Close implements Source. It must not run beside Next.
func (l *Live) Close() error {
	if l.fd < 0 {
		return nil
	}
	err := unix.Close(l.fd)
	l.fd = -1
	return err
}
