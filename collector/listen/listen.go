// Package listen receives export datagrams from UDP sockets and hands them over in batches.
//
// Listen binds the addresses; a Socket's Run receives until its context ends, then hands over what the kernel still
// holds and returns. Each socket is served by the one goroutine that calls Run, which also calls the Handler: nothing
// is shared, nothing is locked, and no datagram is copied after the kernel has copied it out.
//
// What cannot be taken is counted: datagrams that the kernel dropped because the receive buffer was full (Linux only;
// the BSDs do not tell a socket of its own), and datagrams longer than a buffer. On Linux datagrams come by recvmmsg
// with the kernel's receive time; elsewhere one at a time, with the time at which they were read.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
)

// Tick is how often at least a socket calls its Handler's Tick, be it busy or idle.
const Tick = 200 * time.Millisecond

// drainLimit bounds how long a socket that was told to stop goes on handing over what the kernel holds.
const drainLimit = 2 * time.Second

// maxDatagram is the longest UDP payload that IP can carry without jumbograms, with room to spare: 65,535 bytes.
const maxDatagram = 1 << 16

// Handler takes what a socket received. Its methods are called by the goroutine in Run, one at a time.
type Handler interface {
	// Datagrams takes a batch. The slice and the payloads are valid until it returns.
	Datagrams(ds []decode.Datagram)
	// Tick is called about every Tick while the socket runs, for work that must not wait for the next datagram.
	Tick(now time.Time)
}

// Stats counts what a socket did since it was bound.
type Stats struct {
	Datagrams   uint64 // handed over
	Bytes       uint64 // payload bytes of them
	Truncated   uint64 // datagrams longer than 65,536 bytes, handed over by their first 65,536
	KernelDrops uint64 // datagrams that the kernel dropped, mostly because the receive buffer was full
	Reads       uint64 // calls that brought at least one datagram
}

// Socket is one bound UDP socket.
type Socket struct {
	conn   *net.UDPConn
	asked  int // receive buffer, bytes
	buffer int

	datagrams, bytes, truncated, reads atomic.Uint64
	drops                              dropCounter
}

// Listen binds every address, each HOST:PORT, where an empty host means all addresses of this machine, IPv4 and IPv6.
// It asks the kernel for a receive buffer of so many bytes per socket; Socket.ReceiveBuffer tells what it gave. One
// address may make two sockets, on systems where an IPv6 socket does not take IPv4 as well. When one address fails, the
// others are closed again.
func Listen(ctx context.Context, addresses []string, receiveBuffer int) ([]*Socket, error) {
	var sockets []*Socket
	for _, address := range addresses {
		some, err := bind(ctx, address, receiveBuffer)
		sockets = append(sockets, some...)
		if err != nil {
			for _, s := range sockets {
				s.Close()
			}
			return nil, err
		}
	}
	return sockets, nil
}

func bind(ctx context.Context, address string, receiveBuffer int) ([]*Socket, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", address, err)
	}
	networks := []string{"udp"}
	if host == "" && !dualStack {
		networks = []string{"udp4", "udp6"}
	}
	var sockets []*Socket
	for _, network := range networks {
		s, err := open(ctx, network, address, receiveBuffer)
		if err != nil {
			return sockets, err
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func open(ctx context.Context, network, address string, receiveBuffer int) (*Socket, error) {
	conn, err := listenConfig.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s := &Socket{conn: conn.(*net.UDPConn), asked: receiveBuffer}
	if s.buffer, err = configure(s.conn, receiveBuffer); err != nil {
		conn.Close()
		return nil, fmt.Errorf("receive buffer of %s: %w", s.Addr(), err)
	}
	return s, nil
}

// Addr returns the address that the socket is bound to, with the port that the system chose when 0 was asked for.
func (s *Socket) Addr() netip.AddrPort {
	return s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// ReceiveBuffer returns the bytes asked for and got. Linux reserves twice as much, for its own bookkeeping; a datagram
// of 1,400 bytes takes about 2,300 of those.
func (s *Socket) ReceiveBuffer() (asked, got int) { return s.asked, s.buffer }

// Stats returns the counters. It may be called at any time from any goroutine.
func (s *Socket) Stats() Stats {
	return Stats{
		Datagrams:   s.datagrams.Load(),
		Bytes:       s.bytes.Load(),
		Truncated:   s.truncated.Load(),
		KernelDrops: s.drops.total.Load(),
		Reads:       s.reads.Load(),
	}
}

// Close closes the socket. Run closes it too, when it returns; Close is for a socket that never ran.
func (s *Socket) Close() error { return s.conn.Close() }

// Run receives until ctx ends, hands over what had arrived by then, and closes the socket. It returns nil after such a
// stop, else the error that ended it. Run may be called once.
func (s *Socket) Run(ctx context.Context, h Handler) (err error) {
	defer func() {
		if cerr := s.conn.Close(); err == nil {
			err = cerr
		}
	}()
	r, err := newReceiver(s)
	if err != nil {
		return err
	}
	// The deadline does two jobs: it wakes a blocked read for a tick, and, set into the past, for the end.
	defer context.AfterFunc(ctx, func() { s.conn.SetReadDeadline(time.Unix(1, 0)) })()
	next := time.Time{}
	for ctx.Err() == nil {
		if now := time.Now(); !now.Before(next) {
			h.Tick(now)
			s.pollDrops()
			next = now.Add(Tick)
			if err := s.conn.SetReadDeadline(next); err != nil {
				return err
			}
			continue // ctx may have ended before the deadline was set: look again
		}
		ds, err := r.receive()
		switch {
		case err == nil:
			s.hand(h, ds)
		case errors.Is(err, errAgain), isTimeout(err):
		default:
			return fmt.Errorf("receive on %s: %w", s.Addr(), err)
		}
	}
	return s.drain(r, h)
}

// drain hands over the datagrams that the kernel took before now.
func (s *Socket) drain(r *receiver, h Handler) error {
	stop := time.Now()
	last := netflow.TimestampOf(stop)
	for time.Since(stop) < drainLimit {
		ds, err := r.poll()
		if errors.Is(err, errAgain) || isTimeout(err) {
			break
		}
		if err != nil {
			return fmt.Errorf("receive on %s: %w", s.Addr(), err)
		}
		s.hand(h, ds)
		if len(ds) > 0 && ds[len(ds)-1].Received > last {
			break
		}
	}
	s.pollDrops()
	h.Tick(time.Now())
	return nil
}

func (s *Socket) hand(h Handler, ds []decode.Datagram) {
	if len(ds) == 0 {
		return
	}
	bytes := uint64(0)
	for i := range ds {
		bytes += uint64(len(ds[i].Payload))
	}
	s.reads.Add(1)
	s.datagrams.Add(uint64(len(ds)))
	s.bytes.Add(bytes)
	h.Datagrams(ds)
}

// errAgain says that there is nothing to receive just now.
var errAgain = errors.New("nothing to receive")

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// dropCounter turns the kernel's counter of dropped datagrams, 32 bits that wrap, into a total. It is written by one
// goroutine.
type dropCounter struct {
	last  uint32
	total atomic.Uint64
}

// saw takes a reading. A reading older than the newest one changes nothing: the counter that comes with a datagram
// was read when the datagram was queued, the one asked of the socket is of now.
func (c *dropCounter) saw(v uint32) {
	if d := int32(v - c.last); d > 0 {
		c.last = v
		c.total.Add(uint64(d))
	}
}
