package export

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

const (
	blockedFor    = 2 * time.Second // at most that a datagram waits for room in the socket's buffer
	bufferTries   = 5               // more, 1, 2, 4... ms apart, when the kernel has no buffers
	complainEvery = time.Minute     // errors of one destination are logged at most so often
	failuresRow   = 8               // after so many errors, no further apart than failuresGap, another address is tried
	failuresGap   = 30 * time.Second
)

// encoder is one of the encoders of packages v5, v9 and ipfix.
type encoder interface {
	Append(now netflow.Timestamp, r *netflow.Record) bool
	AppendMessage(dst []byte, now netflow.Timestamp) []byte
	Len() int
}

// teller is an encoder with templates, which a collector that starts late has to be told again.
type teller interface{ ResendTemplates() }

// socket is a *datagrams, but in tests.
type socket interface {
	Write(p []byte) (int, error)
	WriteMany(ps [][]byte) (int, error)
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	Close() error
}

// sender is a destination: a *destination for UDP, a *stream for TCP and TLS.
type sender interface {
	add(now netflow.Timestamp, r *netflow.Record, t Tally) (sent bool)
	flush(now netflow.Timestamp)
	snapshot() DestinationStats
	start()       // goroutines, if it has any
	end()         // begins to close
	close() error // completes it
}

// destination sends one collector its datagrams, with sequence numbers and templates of its own.
type destination struct {
	encoder encoder
	socket  socket
	pacer   pacer
	log     *slog.Logger
	atHand  Tally // flows in the encoder
	outbox  outbox
	silent  time.Time // errors are not logged before
	stats   DestinationStats

	announcer announcer

	resolver *resolver // nil in tests
	dial     func(netip.AddrPort) (socket, error)
	remote   netip.AddrPort
	seen     *[]netip.AddrPort // the addresses that remote was chosen from
	failures int               // in a row
	failed   time.Time         // last of them
	moved    time.Time         // when another address was last tried
}

// openDestination resolves the name and opens a socket of its own, so that the source port stays the same and ICMP errors
// come back. That there is no route may be left to time.
func openDestination(name string, e endpoint, cfg *Config) (*destination, error) {
	r, err := newResolver(e, cfg)
	if err != nil {
		return nil, err
	}
	d := newDestination(name, newEncoder(cfg), nil, cfg)
	d.resolver, d.dial = r, dialUDP
	d.seen = r.found.Load()
	for _, a := range *d.seen {
		if err = d.connect(a); err == nil {
			return d, nil
		}
	}
	if cfg.LateRoute && mayBeRouted(err) {
		d.await(err)
		return d, nil
	}
	return nil, err
}

// connect replaces the socket. On failure the old one stays.
func (d *destination) connect(a netip.AddrPort) error {
	conn, err := d.dial(a)
	if err != nil {
		return err
	}
	if d.socket != nil {
		_ = d.socket.Close()
	}
	d.socket, d.remote = conn, a
	d.stats.Remote, d.stats.Local = conn.RemoteAddr().String(), conn.LocalAddr().String()
	d.tellAgain() // that is another collector, or to it we are
	return nil
}

// follow goes where the name points now, if the present address is no longer one of its.
func (d *destination) follow() {
	if d.resolver == nil {
		return
	}
	d.seek()
	found := d.resolver.found.Load()
	if found == d.seen {
		return
	}
	d.seen = found
	if !slices.Contains(*found, d.remote) {
		for _, a := range *found {
			if d.move(a) {
				break
			}
		}
	}
}

// move reports whether there is a socket for the address.
func (d *destination) move(a netip.AddrPort) bool {
	from := d.remote
	if err := d.connect(a); err != nil {
		d.stats.Errors[faultOf(err)]++
		d.complain(faultOf(err), err)
		return false
	}
	d.log.Debug("a new socket", "from", from.String(), "to", a.String()) // that the name moved is told by the resolver
	return true
}

// fail notes an error. When they do not cease, the name is looked up again and its next address tried; or the same one
// with a new socket, if it is not that nobody listens: our own address may have changed.
func (d *destination) fail(f Fault) {
	if d.resolver == nil {
		return
	}
	now := time.Now()
	if now.Sub(d.failed) > failuresGap {
		d.failures = 0
	}
	d.failures++
	d.failed = now
	if d.failures < failuresRow || now.Sub(d.moved) < resolveAgain {
		return
	}
	d.failures, d.moved = 0, now
	d.resolver.ask()
	next := d.remote
	for range d.resolver.addresses() {
		next = d.resolver.after(next)
		if next == d.remote && f != FaultUnreachable && f != FaultOther || d.move(next) {
			return
		}
	}
}

func newDestination(name string, enc encoder, s socket, cfg *Config) *destination {
	return &destination{
		encoder: enc, socket: s, pacer: newPacer(cfg.MaxRate),
		log:   cfg.Logger.With("destination", name),
		stats: DestinationStats{Destination: name}, announcer: newAnnouncer(cfg),
	}
}

// tellAgain has the next datagrams tell templates and options.
func (d *destination) tellAgain() {
	if t, ok := d.encoder.(teller); ok {
		t.ResendTemplates()
	}
	d.announcer.again()
}

// add puts a flow, or a part of one, into the datagram at hand, and sends that first if the flow does not fit. It reports
// whether any were sent.
func (d *destination) add(now netflow.Timestamp, r *netflow.Record, t Tally) (sent bool) {
	if !d.encoder.Append(now, r) {
		sent = d.send(now)
		if !d.encoder.Append(now, r) {
			panic("export: an empty datagram has no room for a flow")
		}
	}
	d.atHand.add(t)
	d.stats.Buffered.add(t)
	return sent
}

// send puts the datagram at hand, if it has a flow, behind those in the outbox, and reports whether they were sent: when
// they are enough, or each is to wait for its time.
func (d *destination) send(now netflow.Timestamp) (sent bool) {
	records := d.encoder.Len()
	if records == 0 {
		return false
	}
	if d.announcer.due(now) {
		d.leave(now) // in the order of their numbers
		d.announce(now)
		sent = true
	}
	d.outbox.put(d.encoder.AppendMessage(d.outbox.buf, now), records, d.atHand)
	d.atHand = Tally{}
	if d.outbox.n == outboxLen || d.pacer.interval != 0 {
		d.leave(now)
		sent = true
	}
	return sent
}

// write sends p.
func (d *destination) write(p []byte) error {
	_, err := d.socket.Write(p)
	return d.retry(p, err)
}

// retry sends p again after an error where that promises something: an ICMP answer is an earlier datagram's fate and must
// not cost this one, and a lack of buffers passes. Every error is counted.
func (d *destination) retry(p []byte, err error) error {
	refused := false
	for try := 0; err != nil; try++ {
		fault := faultOf(err)
		d.stats.Errors[fault]++
		d.complain(fault, err)
		d.fail(fault)
		switch {
		case fault == FaultRefused && !refused:
			refused = true
			d.tellAgain() // whoever listens next will not know
		case fault == FaultNoBuffers && try < bufferTries:
			time.Sleep(time.Millisecond << try)
		default:
			return err
		}
		_, err = d.socket.Write(p)
	}
	return nil
}

func (d *destination) flush(now netflow.Timestamp) {
	d.send(now)
	d.leave(now)
	d.follow() // while no datagram is begun: the next one, for another collector, has the templates
}

func (d *destination) snapshot() DestinationStats { return d.stats }

func (d *destination) start() { d.resolver.start() }

func (d *destination) end() {}

func (d *destination) close() error {
	d.resolver.stop()
	return d.socket.Close()
}

func (d *destination) complain(fault Fault, err error) {
	now := time.Now()
	if now.Before(d.silent) {
		return
	}
	d.silent = now.Add(complainEvery)
	d.log.Warn("sending failed", "fault", fault.String(), "err", err)
}
