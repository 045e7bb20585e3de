//go:build !linux

package capture

import (
	"net"

	"github.com/caprock-net/caprock/netflow"
)

// Names lists the interfaces of the system.
func Names() []netflow.Interface {
	var list []netflow.Interface
	all, _ := net.Interfaces() // what cannot be listed is not told
	for _, i := range all {
		list = append(list, netflow.Interface{Index: uint32(i.Index), Name: i.Name})
	}
	return list
}
