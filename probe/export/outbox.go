package export

import "github.com/caprock-net/caprock/netflow"

// outboxLen is how many full datagrams leave together: of what the system takes to send one, waking the receiver included,
// much is the same for several.
const outboxLen = 16

// outbox holds datagrams that are full until there are enough of them, or no more are to come soon.
type outbox struct {
	buf   []byte // all of them, one behind the other
	items [outboxLen]outboxItem
	n     int
	parts [outboxLen][]byte // of buf
}

type outboxItem struct {
	end     int // in buf
	records int
	flows   Tally
}

// put appends the datagram by which buf has grown.
func (o *outbox) put(buf []byte, records int, flows Tally) {
	o.buf = buf
	o.items[o.n] = outboxItem{len(buf), records, flows}
	o.n++
}

// datagrams are the bytes of all.
func (o *outbox) datagrams() [][]byte {
	from := 0
	for i, item := range o.items[:o.n] {
		o.parts[i] = o.buf[from:item.end]
		from = item.end
	}
	return o.parts[:o.n]
}

func (o *outbox) empty() {
	o.buf, o.n = o.buf[:0], 0
}

// leave sends the datagrams in the outbox. Their sequence numbers are used up whether that succeeds or not, so that the
// collector sees the gap.
func (d *destination) leave(now netflow.Timestamp) {
	datagrams := d.outbox.datagrams()
	for i := 0; i < len(datagrams); {
		d.pacer.wait()
		n, err := d.socket.WriteMany(datagrams[i:])
		for range n {
			d.left(&d.outbox.items[i], len(datagrams[i]))
			i++
		}
		if err == nil {
			continue
		}
		if err = d.retry(datagrams[i], err); err == nil {
			d.left(&d.outbox.items[i], len(datagrams[i]))
		} else {
			d.lose(&d.outbox.items[i], faultOf(err))
			d.announcer.lost(now)
		}
		i++
	}
	d.outbox.empty()
}

// left counts a datagram that was sent.
func (d *destination) left(item *outboxItem, size int) {
	d.stats.Datagrams++
	d.stats.DatagramBytes += uint64(size)
	d.stats.Records += uint64(item.records)
	d.stats.Exported.add(item.flows)
	d.stats.Buffered.sub(item.flows)
}

// lose counts one that could not be.
func (d *destination) lose(item *outboxItem, f Fault) {
	lost := &d.stats.Lost[f]
	lost.Datagrams++
	lost.add(item.flows)
	d.stats.Buffered.sub(item.flows)
}
