package export

import "time"

// A pacer sleeps only when it is ahead by more than burst, because a sleep takes about that long at least; so datagrams
// leave in bursts worth a millisecond. When a sleep took longer, as on a busy machine, it catches up, but not on more than
// catchUp datagrams or maxCredit: a collector's receive buffer is what pacing is for, and the usual 208 KiB hold about 90.
const (
	burst     = time.Millisecond
	catchUp   = 32
	minCredit = 2 * time.Millisecond
	maxCredit = 20 * time.Millisecond
)

// pacer spreads datagrams over time. The zero pacer does not wait.
type pacer struct {
	interval time.Duration // between datagrams; 0: no limit
	credit   time.Duration // how much lateness is made up for
	next     time.Time     // when the next datagram is due
}

func newPacer(perSecond int) pacer {
	if perSecond <= 0 {
		return pacer{}
	}
	interval := time.Second / time.Duration(perSecond)
	return pacer{interval: interval, credit: min(max(catchUp*interval, minCredit), maxCredit)}
}

// wait returns when the next datagram may be sent.
func (p *pacer) wait() {
	if p.interval == 0 {
		return
	}
	now := time.Now()
	if now.Sub(p.next) > p.credit {
		p.next = now.Add(-p.credit)
	}
	if ahead := p.next.Sub(now); ahead > burst {
		time.Sleep(ahead)
	}
	p.next = p.next.Add(p.interval)
}
