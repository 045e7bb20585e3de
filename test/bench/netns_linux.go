package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace of our own, with an end of the wire.
type namespace string

// wire is what the interface of either end is called.
const wire = "wire0"

// cable makes two namespaces with a veth pair between them, on which nobody speaks uninvited.
func cable() (near, far namespace, err error) {
	near, far = namespace(fmt.Sprintf("caprock-bench-%d-1", os.Getpid())), namespace(fmt.Sprintf("caprock-bench-%d-2", os.Getpid()))
	ip := func(args ...string) {
		if err != nil {
			return
		}
		if out, e := exec.Command("ip", args...).CombinedOutput(); e != nil {
			err = fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), e, out)
		}
	}
	ip("netns", "add", string(near))
	ip("netns", "add", string(far))
	ip("-n", string(near), "link", "add", wire, "type", "veth", "peer", "name", wire, "netns", string(far))
	for _, n := range []namespace{near, far} {
		ip("-n", string(n), "link", "set", "lo", "up")
		ip("-n", string(n), "link", "set", wire, "addrgenmode", "none", "up") // no IPv6 address, so no neighbour discovery
	}
	for range 100 {
		out, _ := exec.Command("ip", "-n", string(near), "-o", "link", "show", wire).Output()
		if err != nil || strings.Contains(string(out), "state UP") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return near, far, err
}

func (n namespace) delete() { exec.Command("ip", "netns", "delete", string(n)).Run() }

// command runs a program in the namespace, without a process between: signals reach it.
func (n namespace) command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", string(n), name}, args...)...)
}

// drain is the collector's socket in a namespace. Nobody reads it, and it overflows silently, unless packets are counted.
type drain struct {
	conn    *net.UDPConn
	done    chan struct{}
	counted atomic.Uint64
}

func (n namespace) drain(count bool) (*drain, error) {
	s := &drain{done: make(chan struct{})}
	opened := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which is in the namespace, ends with the goroutine
		opened <- s.open(n, count)
	}()
	if err := <-opened; err != nil {
		return nil, err
	}
	if !count {
		close(s.done)
		return s, nil
	}
	go func() {
		defer close(s.done)
		for b := make([]byte, 1<<16); ; {
			n, err := s.conn.Read(b)
			if err != nil {
				return
			}
			s.count(b[:n])
		}
	}()
	return s, nil
}

func (s *drain) open(n namespace, count bool) error {
	ns, err := os.Open("/run/netns/" + string(n))
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	address, err := net.ResolveUDPAddr("udp", collector)
	if err != nil {
		return err
	}
	if s.conn, err = net.ListenUDP("udp", address); err != nil {
		return err
	}
	raw, err := s.conn.SyscallConn()
	if err != nil || !count {
		return err
	}
	errControl := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20) // all flows come at once, in the end
	})
	return errors.Join(errControl, err)
}

// count adds the packets of a datagram of NetFlow v5.
func (s *drain) count(b []byte) {
	const header, record, dPkts = 24, 48, 16
	if len(b) < header || binary.BigEndian.Uint16(b) != 5 {
		return
	}
	for b = b[header:]; len(b) >= record; b = b[record:] {
		s.counted.Add(uint64(binary.BigEndian.Uint32(b[dPkts:])))
	}
}

// packets are those counted, when nothing has come for a while.
func (s *drain) packets() uint64 {
	for last := s.counted.Load(); ; {
		time.Sleep(100 * time.Millisecond)
		now := s.counted.Load()
		if now == last {
			return now
		}
		last = now
	}
}

func (s *drain) close() {
	s.conn.Close()
	<-s.done
}
