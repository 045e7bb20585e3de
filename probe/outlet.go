package probe

import (
	"sync"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/export"
)

// outlet gives the exporter the flows of chunks. The goroutine behind the queue does so, that no live meter waits for a socket;
// but one that reads captures by itself waits anyway, and does it too: handing flows to another processor costs more than
// it saves. Who has time but no processors to spare is served so, and the other one by Config.Rings.
type outlet struct {
	exporter *export.Exporter

	mu           sync.Mutex
	now, flushed netflow.Timestamp
}

// apart is by how much the clocks of several meters may differ; a clock that goes back by more was set.
const apart = 10 * second

// send gives on the flows of a chunk, or does what it asks for. Datagrams that are not full leave every second of packet
// time, which is that of the meter that is ahead.
func (o *outlet) send(c *chunk) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.do != nil {
		c.do(o.now)
		return
	}
	if c.now > o.now || o.now-c.now > apart {
		o.now = c.now
	}
	for i := range c.flows {
		_ = o.exporter.Export(o.now, &c.flows[i]) // fails only when closed
	}
	if o.now-o.flushed >= second || o.now < o.flushed {
		_ = o.exporter.Flush(o.now)
		o.flushed = o.now
	}
}

// drain sends what comes by the queue, until it is closed.
func (o *outlet) drain(q *queue) {
	for chunks := q.Take(nil); len(chunks) > 0; chunks = q.Take(chunks) {
		for _, c := range chunks {
			o.send(c)
			if c.do == nil {
				q.Release(c)
			}
		}
	}
	_ = o.exporter.Flush(o.now)
}
