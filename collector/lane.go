package collector

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage"
)

// stall is how long a lane waits for the storage when its queue is full, before it drops. The socket's buffer takes what
// comes meanwhile, so a short stall costs nothing; after one wait that was in vain there is none until the storage has
// taken a batch again, for a lane that waits and waits would lose the same flows in the kernel, uncounted as flows.
const (
	stall     = 100 * time.Millisecond
	stallStep = time.Millisecond
)

// lane is the way of the datagrams of one socket: through the list of allowed exporters and a decoder of its own into
// a batch, which goes to the storage when it is full and at each tick. Its methods belong to the socket's goroutine; the
// counters may be read by any.
type lane struct {
	writer  *storage.Writer
	decoder *decode.Decoder
	allow   []netip.Prefix
	batch   *netflow.Batch
	behind  bool // the last wait for the storage was in vain

	asked   netip.Addr // the exporter that was looked up last
	allowed bool

	refused    atomic.Uint64 // datagrams of exporters that are not allowed
	queueFull  atomic.Uint64 // flows dropped because the storage did not keep up
	unfinished atomic.Uint64 // flows that were decoded and not taken when the collector ended
}

func newLane(w *storage.Writer, d *decode.Decoder, allow []netip.Prefix) *lane {
	return &lane{writer: w, decoder: d, allow: allow, batch: w.Batch()}
}

// Datagrams implements listen.Handler.
func (l *lane) Datagrams(ds []decode.Datagram) {
	for i := range ds {
		if !l.admits(&ds[i]) {
			continue
		}
		if errors.Is(l.decoder.Decode(l.batch, &ds[i]), decode.ErrFull) {
			l.handOver()
			l.decoder.Decode(l.batch, &ds[i]) // an empty batch has room for any datagram
		}
	}
}

// Tick implements listen.Handler: flows do not stay in a batch that does not fill.
func (l *lane) Tick(time.Time) {
	if b, err := l.writer.Write(l.batch); err == nil {
		l.batch, l.behind = b, false
	}
}

// admits asks the list of allowed exporters, and counts those who are not on it.
func (l *lane) admits(d *decode.Datagram) bool {
	if len(l.allow) == 0 {
		return true
	}
	if a := d.Exporter.Addr(); a != l.asked {
		l.asked, l.allowed = a, false
		for _, p := range l.allow {
			if p.Contains(a) {
				l.allowed = true
				break
			}
		}
	}
	if !l.allowed {
		l.refused.Add(1)
	}
	return l.allowed
}

// handOver makes room in the batch: the storage takes its flows, or they are dropped.
func (l *lane) handOver() {
	b, err := l.writer.Write(l.batch)
	for wait := stall; errors.Is(err, storage.ErrFull) && !l.behind && wait > 0; wait -= stallStep {
		time.Sleep(stallStep)
		b, err = l.writer.Write(l.batch)
	}
	if l.behind = err != nil; err != nil {
		l.queueFull.Add(uint64(l.batch.Len()))
		l.batch.Reset()
		return
	}
	l.batch = b
}
