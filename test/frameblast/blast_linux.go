package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// burst is how many frames go into one system call.
const burst = 32

// blast sends. The thread stays on its processor, which also does the receiver's part of the work for a veth pair.
func blast(c config) (result, error) {
	var r result
	msgs, ipv4, err := load(c.file)
	if err != nil {
		return r, err
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if c.processor >= 0 {
		var set unix.CPUSet
		set.Set(c.processor)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return r, fmt.Errorf("processor %d: %w", c.processor, err)
		}
	}
	fd, err := open(c.name)
	if err != nil {
		return r, err
	}
	defer unix.Close(fd)

	began := time.Now()
	end, next := began.Add(c.duration), 0
	for now := began; now.Before(end); now = time.Now() {
		n := min(burst, len(msgs)-next)
		if c.rate > 0 {
			due := int64(now.Sub(began).Seconds() * float64(c.rate))
			if n = int(min(int64(n), due-int64(r.Frames))); n <= 0 {
				continue // the processor is ours: sleeping would only make bursts
			}
		}
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[next])), uintptr(n), 0, 0, 0)
		switch errno {
		case 0:
		case unix.ENOBUFS, unix.EAGAIN, unix.EINTR:
			r.Busy++
			continue
		default:
			return r, fmt.Errorf("sendmmsg: %w", errno)
		}
		for _, m := range msgs[next : next+int(sent)] {
			r.Bytes += uint64(m.len)
		}
		for _, is := range ipv4[next : next+int(sent)] {
			r.IPv4 += uint64(is)
		}
		r.Frames += uint64(sent)
		if next += int(sent); next == len(msgs) {
			next = 0
		}
	}
	r.Seconds = time.Since(began).Seconds()
	r.Rate = float64(r.Frames) / r.Seconds
	return r, nil
}

// open makes a socket that sends to an interface past its queue, and receives nothing.
func open(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: i.Index}))
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// load reads a capture and makes the messages that send its frames. Those of IPv4 are marked by 1.
func load(name string) ([]mmsghdr, []uint8, error) {
	r, err := pcapfile.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var data []byte
	var ends []int
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		data = append(data, f.Data...)
		ends = append(ends, len(data))
	}
	if len(ends) == 0 {
		return nil, nil, errors.New("no frames")
	}
	ipv4 := make([]uint8, len(ends))
	msgs, parts := make([]mmsghdr, len(ends)), make([]unix.Iovec, len(ends))
	begin := 0
	for i, end := range ends {
		parts[i].Base = &data[begin]
		parts[i].SetLen(end - begin)
		msgs[i].hdr.Iov = &parts[i]
		msgs[i].hdr.SetIovlen(1)
		if end-begin > 14 && data[begin+12] == 8 && data[begin+13] == 0 {
			ipv4[i] = 1
		}
		begin = end
	}
	return msgs, ipv4, nil
}
