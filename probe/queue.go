package probe

import (
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/internal/handover"
)

// chunkFlows is how many flows go through the queue at a time.
const chunkFlows = 256

// QueueFlows bounds the flows that wait for the exporter, in each Probe. They take 248 bytes each.
const QueueFlows = 1 << 16

// patientChunks is how many chunks there may be when the meter can wait, beside one for each worker of a file: so few
// that they stay in the processor's cache.
const patientChunks = 16

// chunk carries flows from a meter to the exporter.
type chunk struct {
	now   netflow.Timestamp // packet time when it was handed on
	flows []netflow.Record
	do    func(now netflow.Timestamp) // to be called in its turn, instead
}

type queue struct{ *handover.Queue[chunk] }

func newQueue() *queue {
	return &queue{handover.New(
		func() *chunk { return &chunk{flows: make([]netflow.Record, 0, chunkFlows)} },
		func(c *chunk) { c.flows = c.flows[:0] },
		QueueFlows/chunkFlows, patientChunks)}
}

// call has f called, with the time of the packets, by the exporter's goroutine, behind the flows that are in the queue, and
// waits for that. It is false when the queue is closed.
func (q *queue) call(f func(now netflow.Timestamp)) bool {
	done := make(chan struct{})
	if !q.PutIfOpen(&chunk{do: func(now netflow.Timestamp) { f(now); close(done) }}) {
		return false
	}
	<-done
	return true
}
