package export

import "time"

// A pacer sleeps only when it is ahead by more than burst, because a sleep takes about that long at least; so datagrams
// leave in bursts worth a millisecond. It catches up on a sleep that took longer, but not on more than credit: the
// receive buffer of a collector is what pacing is for.
const (
	burst  = time.Millisecond
	credit = 2 * time.Millisecond
)

// pacer spreads datagrams over time. The zero pacer does not wait.
type pacer struct {
	interval time.Duration // between datagrams; 0: no limit
	next     time.Time     // when the next datagram is due
}

func newPacer(perSecond int) pacer {
	if perSecond <= 0 {
		return pacer{}
	}
	return pacer{interval: time.Second / time.Duration(perSecond)}
}

// wait returns when the next datagram may be sent.
func (p *pacer) wait() {
	if p.interval == 0 {
		return
	}
	now := time.Now()
	if now.Sub(p.next) > credit {
		p.next = now.Add(-credit)
	}
	if ahead := p.next.Sub(now); ahead > burst {
		time.Sleep(ahead)
	}
	p.next = p.next.Add(p.interval)
}
