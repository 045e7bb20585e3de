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
	FaultClosed                   // the collector ended the connection
	FaultTLS                      // a certificate, ours or the collector's, or its version of TLS was refused
	FaultQueueFull                // flows found the queue of the destination full
	FaultUnsent                   // flows that were still queued at the end

	NumFaults = int(FaultUnsent) + 1
)

// String says the fault in words.
func (f Fault) String() string {
	return [NumFaults]string{"refused", "unreachable", "no buffers", "blocked", "too long", "other", "closed", "TLS", "queue full", "unsent at the end"}[f]
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
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN, syscall.ETIMEDOUT:
		return FaultUnreachable
	case syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN:
		return FaultNoBuffers
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE:
		return FaultClosed
	case syscall.EMSGSIZE:
		return FaultTooLong
	}
	return FaultOther
}
