package export

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

const (
	blockedFor    = 2 * time.Second  // at most, and half of it at least, that a datagram waits for room in the socket's buffer
	bufferTries   = 5                // more, 1, 2, 4... ms apart, when the kernel has no buffers
	complainEvery = time.Minute      // errors of one destination are logged at most so often
	resolveFor    = 10 * time.Second // at most, that finding an address may take
)

// encoder is one of the encoders of packages v5, v9 and ipfix.
type encoder interface {
	Append(now netflow.Timestamp, r *netflow.Record) bool
	AppendMessage(dst []byte, now netflow.Timestamp) []byte
	Len() int
}

// teller is an encoder with templates, which a collector that starts late has to be told again.
type teller interface{ ResendTemplates() }

// socket is the part of a net.UDPConn that a destination uses.
type socket interface {
	Write(p []byte) (int, error)
	SetWriteDeadline(t time.Time) error
	Close() error
}

// destination sends one collector its datagrams, with sequence numbers and templates of its own.
type destination struct {
	encoder  encoder
	socket   socket
	pacer    pacer
	log      *slog.Logger
	buf      []byte
	deadline time.Time // of the socket's writes
	silent   time.Time // errors are not logged before
	stats    DestinationStats
}

// dial resolves the name and opens a socket of its own, so that the source port stays the same and ICMP errors come back.
func dial(name string, enc encoder, cfg *Config) (*destination, error) {
	d := net.Dialer{Timeout: resolveFor}
	conn, err := d.Dial("udp", name)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", name, err)
	}
	dest := newDestination(name, enc, conn, cfg)
	dest.stats.Remote, dest.stats.Local = conn.RemoteAddr().String(), conn.LocalAddr().String()
	return dest, nil
}

func newDestination(name string, enc encoder, s socket, cfg *Config) *destination {
	return &destination{
		encoder: enc, socket: s, pacer: newPacer(cfg.MaxRate),
		log: cfg.Logger.With("destination", name), buf: make([]byte, 0, cfg.MTU),
		stats: DestinationStats{Destination: name},
	}
}

// add puts a flow, or a part of one, into the datagram at hand, and sends that first if the flow does not fit. It reports
// whether it did.
func (d *destination) add(now netflow.Timestamp, r *netflow.Record, t Tally) (sent bool) {
	if !d.encoder.Append(now, r) {
		d.send(now)
		sent = true
		if !d.encoder.Append(now, r) {
			panic("export: an empty datagram has no room for a flow")
		}
	}
	d.stats.Buffered.add(t)
	return sent
}

// send sends the datagram at hand, if it has a flow. Its sequence number is used up whether that succeeds or not, so that
// the collector sees the gap.
func (d *destination) send(now netflow.Timestamp) {
	records := d.encoder.Len()
	if records == 0 {
		return
	}
	d.buf = d.encoder.AppendMessage(d.buf[:0], now)
	flows := d.stats.Buffered
	d.stats.Buffered = Tally{}
	d.pacer.wait()
	if err := d.write(d.buf); err != nil {
		lost := &d.stats.Lost[faultOf(err)]
		lost.Datagrams++
		lost.add(flows)
		return
	}
	d.stats.Datagrams++
	d.stats.DatagramBytes += uint64(len(d.buf))
	d.stats.Records += uint64(records)
	d.stats.Exported.add(flows)
}

// write sends p, trying again where that promises something: an ICMP answer is an earlier datagram's fate and must not
// cost this one, and a lack of buffers passes. Every error is counted.
func (d *destination) write(p []byte) error {
	d.extendDeadline()
	refused := false
	for try := 0; ; try++ {
		_, err := d.socket.Write(p)
		if err == nil {
			return nil
		}
		fault := faultOf(err)
		d.stats.Errors[fault]++
		d.complain(fault, err)
		switch {
		case fault == FaultRefused && !refused:
			refused = true
			if t, ok := d.encoder.(teller); ok {
				t.ResendTemplates() // whoever listens next will not have them
			}
		case fault == FaultNoBuffers && try < bufferTries:
			time.Sleep(time.Millisecond << try)
		default:
			return err
		}
	}
}

// extendDeadline keeps the deadline of writes ahead, without setting it for each datagram. A deadline that has passed
// would fail every write.
func (d *destination) extendDeadline() {
	now := time.Now()
	if d.deadline.Sub(now) >= blockedFor/2 {
		return
	}
	d.deadline = now.Add(blockedFor)
	if err := d.socket.SetWriteDeadline(d.deadline); err != nil {
		d.complain(FaultOther, err) // of a closed socket, which the write will report too
	}
}

func (d *destination) complain(fault Fault, err error) {
	now := time.Now()
	if now.Before(d.silent) {
		return
	}
	d.silent = now.Add(complainEvery)
	d.log.Warn("sending failed", "fault", fault.String(), "err", err)
}
