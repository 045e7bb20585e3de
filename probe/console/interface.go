package console

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// ErrNoInterface is the error for a name that the system does not know.
//
//lint:ignore ST1005 IPCAD's words
var ErrNoInterface = errors.New("No such interface")

// Interface is the report on an interface. What is not known is zero, and then its line is left out where it would mislead.
type Interface struct {
	Name             string     `json:"name"`
	Running          bool       `json:"running"`
	Up               bool       `json:"up"`
	Loopback         bool       `json:"loopback"`
	MAC              string     `json:"mac,omitempty"`       // 0004.e229.3bba
	Address          string     `json:"address,omitempty"`   // IPv4
	Mask             string     `json:"mask,omitempty"`      // dotted
	Broadcast        string     `json:"broadcast,omitempty"` // dotted
	MTU              int        `json:"mtu"`
	Bandwidth        uint64     `json:"bandwidth_kbit,omitempty"` // kbit/s
	DropsIn          *uint64    `json:"input_queue_drops,omitempty"`
	Changed          *time.Time `json:"changed,omitempty"` // last administrative status change
	Metered          bool       `json:"metered"`
	BitsPerSecond    uint64     `json:"bits_per_second"` // average of five minutes, if metered
	PacketsPerSecond uint64     `json:"packets_per_second"`
	Counted          bool       `json:"counted"` // the rest is known
	PacketsIn        uint64     `json:"packets_in"`
	BytesIn          uint64     `json:"bytes_in"`
	NoBuffer         uint64     `json:"no_buffer"`
	ErrorsIn         uint64     `json:"errors_in"`
	CRC              uint64     `json:"crc"`
	Frame            uint64     `json:"frame"`
	Overrun          uint64     `json:"overrun"`
	Ignored          uint64     `json:"ignored"`
	Aborts           uint64     `json:"aborts"`
	PacketsOut       uint64     `json:"packets_out"`
	BytesOut         uint64     `json:"bytes_out"`
	Underruns        uint64     `json:"underruns"`
	ErrorsOut        uint64     `json:"errors_out"`
	Collisions       uint64     `json:"collisions"`
	Resets           uint64     `json:"resets"`
	Restarts         uint64     `json:"restarts"`
	DropsOut         *uint64    `json:"drops_out,omitempty"`
}

// lookUp asks the system about an interface.
func lookUp(name string) (*Interface, error) {
	sys, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("%w %s", ErrNoInterface, name)
	}
	i := &Interface{
		Name: sys.Name, Running: sys.Flags&net.FlagRunning != 0, Up: sys.Flags&net.FlagUp != 0,
		Loopback: sys.Flags&net.FlagLoopback != 0, MTU: sys.MTU,
	}
	if m := sys.HardwareAddr; len(m) == 6 && !i.Loopback {
		i.MAC = fmt.Sprintf("%02x%02x.%02x%02x.%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5])
	}
	if addresses, err := sys.Addrs(); err == nil {
		for _, a := range addresses {
			n, ok := a.(*net.IPNet)
			if !ok || n.IP.To4() == nil || len(n.Mask) != net.IPv4len {
				continue
			}
			i.Address, i.Mask = n.IP.String(), net.IP(n.Mask).String()
			if sys.Flags&net.FlagBroadcast != 0 {
				broadcast := net.IP{0, 0, 0, 0}
				for j, b := range n.IP.To4() {
					broadcast[j] = b | ^n.Mask[j]
				}
				i.Broadcast = broadcast.String()
			}
			break
		}
	}
	i.counters(sys.Index)
	return i, nil
}

// WriteText writes the report as IPCAD does.
func (i *Interface) WriteText(w io.Writer) error {
	state := func(up bool) string {
		if up {
			return "up"
		}
		return "down"
	}
	var b []byte
	line := func(format string, args ...any) { b = fmt.Appendf(b, format+"\n", args...) }
	line("%s is %s, line protocol is %s", i.Name, state(i.Running), state(i.Up))
	kind, loop := "Ethernet", "not set"
	if i.Loopback {
		kind, loop = "Loopback", "set"
	}
	if i.MAC != "" {
		line("  Hardware is %s, address is %s", kind, i.MAC)
	} else if i.Loopback {
		line("  Hardware is %s", kind)
	}
	if i.Address != "" {
		line("  Internet address is %s %s", i.Address, i.Mask)
	}
	if i.Broadcast != "" {
		line("  IP broadcast address is %s", i.Broadcast)
	}
	if i.MAC != "" || i.Loopback {
		line("  Encapsulation %s, loopback %s", kind, loop)
	}
	if i.Bandwidth != 0 {
		line("  MTU %d bytes, BW %d Kbit", i.MTU, i.Bandwidth)
	} else {
		line("  MTU %d", i.MTU)
	}
	if i.DropsIn != nil {
		line("  Input queue: %d drops", *i.DropsIn)
	}
	if i.Changed != nil {
		line("  Last administrative status change at %s", i.Changed.Format(time.ANSIC))
	}
	if i.Metered {
		line("  5 minute average rate %d bits/sec, %d packets/sec", i.BitsPerSecond, i.PacketsPerSecond)
	}
	if i.Counted {
		line("     %d packets input, %d bytes, %d no buffer", i.PacketsIn, i.BytesIn, i.NoBuffer)
		line("     %d input errors, %d CRC, %d frame, %d overrun, %d ignored, %d abort", i.ErrorsIn, i.CRC, i.Frame, i.Overrun, i.Ignored, i.Aborts)
		line("     %d packets output, %d bytes, %d underruns", i.PacketsOut, i.BytesOut, i.Underruns)
		line("     %d output errors, %d collisions, %d interface resets, %d restarts", i.ErrorsOut, i.Collisions, i.Resets, i.Restarts)
	}
	if i.DropsOut != nil {
		line("     %d output drops", *i.DropsOut)
	}
	_, err := w.Write(b)
	return err
}
