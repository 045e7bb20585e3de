package export

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
)

const (
	// sendBuffer is what we ask the kernel to buffer of a connection, which Linux doubles. So much at most of what counts as
	// exported is lost when a connection breaks, besides what the collector's kernel holds for it.
	sendBuffer = 256 << 10

	silentFor = 30 * time.Second // a peer that acknowledges nothing for so long is gone
)

var errClosed = errors.New("closed by the collector")

// run keeps a connection until the end.
func (s *stream) run(ctx context.Context) {
	defer close(s.done)
	defer s.cancel()
	var at netip.AddrPort // to be tried next
	wait := s.patience.backoff
	tried := 0 // addresses since the last pause
	for !s.finished() && ctx.Err() == nil {
		if !at.IsValid() {
			at = s.resolver.addresses()[0]
		}
		began := time.Now()
		err := s.session(ctx, at)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.complain(err)
		if s.finished() {
			return
		}
		s.resolver.ask()
		lived := time.Since(began) >= s.patience.lived
		if lived {
			wait = s.patience.backoff
		}
		addresses := s.resolver.addresses()
		if !lived || !slices.Contains(addresses, at) {
			at = s.resolver.after(at)
		}
		if tried++; tried < len(addresses) {
			continue
		}
		tried = 0
		// Half of the time is random, so that the probes of a collector that comes back do not come all at once.
		if !s.pause(ctx, wait/2+rand.N(wait/2+1)) {
			return
		}
		wait = min(2*wait, s.patience.longest)
	}
}

// finished reports whether there is nothing to connect for any more.
func (s *stream) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing && s.queue.len() == 0
}

// pause waits before the next try to connect. At the end it waits too, but not for nothing.
func (s *stream) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		case <-s.wake:
			if s.finished() {
				return false
			}
		}
	}
}

// session is one connection from its beginning to its end. It returns nil when all was sent and the end was asked for.
func (s *stream) session(ctx context.Context, at netip.AddrPort) error {
	began := time.Now()
	conn, tcp, err := s.connect(ctx, at)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	roundTrip := time.Since(began)

	// A collector has nothing to say but that it closes, or in an alert of TLS why.
	gone := make(chan struct{})
	var reason error
	go func() {
		_, reason = io.Copy(io.Discard, conn)
		tcp.note()
		conn.Close() // wakes a write
		close(gone)
	}()
	s.connected(conn, at)
	settle := s.patience.settle
	if s.tls != nil {
		settle = s.patience.settleTLS
	}
	err = s.send(ctx, conn, tcp, gone, max(2*roundTrip, settle))
	if err == nil {
		err = sayGoodbye(conn, gone, s.patience.goodbye)
	}
	tcp.note()
	conn.Close()
	<-gone
	if reason != nil && !errors.Is(reason, net.ErrClosed) {
		err = reason // it says more than a failed write
	}
	s.disconnected(tcp, err != nil)
	return err
}

// connect opens a connection, up to the end of the TLS handshake.
func (s *stream) connect(ctx context.Context, at netip.AddrPort) (connection, *tcpConn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience.connect)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silentFor / 2, Interval: silentFor / 6, Count: 3}}
	c, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, nil, err
	}
	conn := &tcpConn{TCPConn: c.(*net.TCPConn)}
	if err := errors.Join(conn.SetWriteBuffer(sendBuffer), giveUpAfter(conn.TCPConn, silentFor)); err != nil {
		s.log.Debug("socket options", "err", err) // it works without
	}
	if s.tls == nil {
		return conn, conn, nil
	}
	secure := tls.Client(conn, s.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return secure, conn, nil
}

func (s *stream) connected(c connection, at netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Connections++
	s.stats.Remote, s.stats.Local = at.String(), c.LocalAddr().String()
	s.held, s.open, s.flying = 0, true, inFlight{}
	s.log.Info("connected", "remote", s.stats.Remote, "local", s.stats.Local)
}

func (s *stream) disconnected(tcp *tcpConn, broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.open = 0, false
	if broken || tcp.known.Load() {
		s.stats.Unconfirmed.add(s.flying.after(tcp.acked.Load()))
	}
}

// send sends templates, and then flows until the end. A collector that closes at once, such as one that does not like our
// certificate (which TLS 1.3 tells after the handshake) or a proxy without one behind it, shall not swallow flows: for
// the time settle it gets the templates only.
func (s *stream) send(ctx context.Context, conn connection, tcp *tcpConn, gone <-chan struct{}, settle time.Duration) error {
	enc := ipfix.NewEncoder(ipfix.EncoderConfig{
		MaxBytes: s.cfg.MTU, Domain: s.cfg.Domain, Sampling: s.cfg.sampling(), SamplingRandom: s.cfg.SamplingAlgorithm == SamplingRandom,
		TemplateEvery: math.MaxInt64, TemplateMessages: math.MaxInt,
	})
	buf := enc.AppendTemplates(make([]byte, 0, 1<<13), netflow.TimestampOf(time.Now()))
	if err := s.write(conn, buf); err != nil {
		return err
	}
	s.sent(tcp, len(buf))
	if err := s.announce(conn, enc, true); err != nil {
		return err
	}
	t := time.NewTimer(settle)
	defer t.Stop()
	select {
	case <-gone:
		return errClosed
	case <-t.C:
	}
	for {
		var err error
		if buf, err = s.next(ctx, enc, gone, buf[:0]); err != nil || len(buf) == 0 {
			return err
		}
		if err := s.write(conn, buf); err != nil {
			return err
		}
		s.sent(tcp, len(buf))
		if err := s.announce(conn, enc, false); err != nil {
			return err
		}
	}
}

// next waits for a message to send; an empty one is the end.
func (s *stream) next(ctx context.Context, enc *ipfix.Encoder, gone <-chan struct{}, buf []byte) ([]byte, error) {
	for {
		select {
		case <-gone:
			return nil, errClosed
		default:
		}
		if msg, end := s.fill(enc, buf); len(msg) > 0 || end {
			return msg, ctx.Err()
		}
		select {
		case <-s.wake:
		case <-gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fill puts queued flows into the message at hand, and returns it when it is to be sent.
func (s *stream) fill(enc *ipfix.Encoder, buf []byte) (msg []byte, end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := false
	for s.held < s.queue.len() && !full {
		if full = !enc.Append(s.now, s.queue.at(s.held)); !full {
			s.held++
		} else if s.held == 0 {
			panic("export: an empty message has no room for a flow")
		}
	}
	s.idle = false
	switch {
	case s.held > 0 && (full || s.out < s.mark || s.closing || s.queue.full()):
		return enc.AppendMessage(buf, s.now), false
	case s.closing:
		return nil, true
	}
	s.idle = true
	return nil, false
}

func (s *stream) write(conn connection, msg []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(s.patience.write)); err != nil {
		return err
	}
	_, err := conn.Write(msg)
	return err
}

// sent counts a message, and takes its flows from the queue.
func (s *stream) sent(tcp *tcpConn, length int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t Tally
	for i := range s.held {
		t.add(tallyOf(s.queue.at(i)))
	}
	s.stats.Datagrams++
	s.stats.DatagramBytes += uint64(length)
	s.stats.Records += t.Flows
	s.stats.Exported.add(t)
	s.stats.Buffered.sub(t)
	s.flying.add(tcp.written.Load(), t)
	if s.held > 0 {
		s.queue.drop(s.held)
		s.out += uint64(s.held)
		s.held, s.stuck = 0, time.Time{}
		signal(s.room)
	}
}

// complain counts an error, and logs it if that was not done lately.
func (s *stream) complain(err error) {
	f := streamFault(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Errors[f]++
	now := time.Now()
	if now.Before(s.silent) {
		return
	}
	s.silent = now.Add(s.patience.complain)
	s.log.Warn("no connection", "fault", f.String(), "err", err)
}

// streamFault is faultOf for connections.
func streamFault(err error) Fault {
	var op *net.OpError
	switch {
	case errors.Is(err, errClosed):
		return FaultClosed
	case isTLS(err):
		return FaultTLS
	case errors.As(err, &op) && op.Op == "dial" && op.Timeout():
		return FaultUnreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return FaultBlocked
	}
	return faultOf(err)
}
