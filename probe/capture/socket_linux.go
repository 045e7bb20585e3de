package capture

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/filter"
)

// hardwareType returns the ARPHRD_ value of an interface.
func hardwareType(name string) (uint16, error) {
	if name == "any" {
		return unix.ARPHRD_NONE, nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, req); err != nil {
		return 0, fmt.Errorf("hardware type: %w", err)
	}
	return req.Uint16(), nil // sa_family of ifr_hwaddr
}

// firstBytes is the filter that takes the first n bytes of each packet.
func firstBytes(n int) filter.Program {
	return filter.Program{{Op: unix.BPF_RET | unix.BPF_K, K: uint32(n)}}
}

// attach makes a program the socket's filter.
func attach(fd int, p filter.Program) error {
	return setProgram(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, p)
}

// setProgram is setsockopt with a struct sock_fprog.
func setProgram(fd, level, option int, p filter.Program) error {
	code := make([]unix.SockFilter, len(p))
	for i, c := range p {
		code[i] = unix.SockFilter{Code: c.Op, Jt: c.Jt, Jf: c.Jf, K: c.K}
	}
	return unix.SetsockoptSockFprog(fd, level, option, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

// refuse takes no more packets.
func refuse(fd int) error { return attach(fd, firstBytes(0)) }

// interfaceCounters asks the kernel for the counters of an interface (RTM_GETLINK, struct rtnl_link_stats64). The error is
// errNoInterface when there is none of that number, and another one when the question failed. Not /sys/class/net: that
// belongs to a mount, which may be of another network namespace.
func interfaceCounters(index int) (c Counters, err error) {
	found := false
	err = eachInterface(func(info *unix.IfInfomsg, attributes []syscall.NetlinkRouteAttr) bool {
		if int(info.Index) != index {
			return true
		}
		found = true
		for _, a := range attributes {
			if a.Attr.Type == unix.IFLA_STATS64 && len(a.Value) >= 9*8 {
				c = linkStats(a.Value)
			}
		}
		return false
	})
	if err == nil && !found {
		err = errNoInterface
	}
	return c, err
}

// linkStats reads the beginning of a struct rtnl_link_stats64 (linux/if_link.h).
func linkStats(b []byte) Counters {
	field := func(i int) uint64 { return binary.NativeEndian.Uint64(b[8*i:]) }
	c := Counters{RxPackets: field(0), TxPackets: field(1), RxBytes: field(2), TxBytes: field(3), RxErrors: field(4), RxDropped: field(6)}
	if len(b) >= 16*8 {
		c.RxMissed = field(15)
	}
	return c
}
