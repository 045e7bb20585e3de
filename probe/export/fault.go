package export

import (
	"errors"
	"os"
	"syscall"
)

// Fault is a kind of error in sending.
type Fault uint8

// The faults.
const (
	FaultRefused     Fault = iota // the host answered that nobody listens (ICMP port unreachable)
	FaultUnreachable              // no route, or the network or host is down
	FaultNoBuffers                // the kernel had no memory or no room in the interface's queue
	FaultBlocked                  // the socket took nothing for seconds
	FaultTooLong                  // the datagram is longer than the path or the socket allows
	FaultOther                    // anything else, such as a firewall's rule

	NumFaults = int(FaultOther) + 1
)

// String says the fault in words.
func (f Fault) String() string {
	return [NumFaults]string{"refused", "unreachable", "no buffers", "blocked", "too long", "other"}[f]
}

func faultOf(err error) Fault {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return FaultBlocked
		}
		return FaultOther
	}
	switch errno {
	case syscall.ECONNREFUSED:
		return FaultRefused
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN:
		return FaultUnreachable
	case syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN:
		return FaultNoBuffers
	case syscall.EMSGSIZE:
		return FaultTooLong
	}
	return FaultOther
}
