package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errNoInterface says that the kernel has answered, and has no such interface.
var errNoInterface = errors.New("no such network interface")

// Interface is a network interface of this system.
type Interface struct {
	Name  string
	Index int
	MTU   int
	Alias string // ip link set NAME alias ...

	hardware uint16 // ARPHRD_ value
	lower    int    // interface of this namespace that its frames go through: a VLAN's parent, the other end of a veth; 0: none
	master   int    // bridge or bond that it is a member of; 0: none
}

// Interfaces asks the kernel for all interfaces. It uses nothing that a sandbox forbids.
func Interfaces() ([]Interface, error) {
	var all []Interface
	err := eachInterface(func(info *unix.IfInfomsg, attributes []syscall.NetlinkRouteAttr) bool {
		i := Interface{Index: int(info.Index), hardware: info.Type}
		elsewhere := false
		for _, a := range attributes {
			switch a.Attr.Type {
			case unix.IFLA_IFNAME:
				i.Name = string(bytes.TrimRight(a.Value, "\x00"))
			case unix.IFLA_IFALIAS:
				i.Alias = string(bytes.TrimRight(a.Value, "\x00"))
			case unix.IFLA_MTU:
				i.MTU = number(a.Value)
			case unix.IFLA_LINK:
				i.lower = number(a.Value)
			case unix.IFLA_LINK_NETNSID:
				elsewhere = true
			case unix.IFLA_MASTER:
				i.master = number(a.Value)
			}
		}
		if elsewhere {
			i.lower = 0
		}
		all = append(all, i)
		return true
	})
	return all, err
}

func number(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}

// InterfaceNamed is Interfaces for one.
func InterfaceNamed(name string) (Interface, error) {
	all, err := Interfaces()
	if err != nil {
		return Interface{}, err
	}
	at := slices.IndexFunc(all, func(i Interface) bool { return i.Name == name })
	if at < 0 {
		return Interface{}, errNoInterface
	}
	return all[at], nil
}

// eachInterface calls f for the interfaces until it returns false (RTM_GETLINK).
func eachInterface(f func(*unix.IfInfomsg, []syscall.NetlinkRouteAttr) bool) error {
	table, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("list of interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return fmt.Errorf("list of interfaces: %w", err)
	}
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return fmt.Errorf("list of interfaces: %w", err)
		}
		if !f((*unix.IfInfomsg)(unsafe.Pointer(&m.Data[0])), attributes) {
			break
		}
	}
	return nil
}
