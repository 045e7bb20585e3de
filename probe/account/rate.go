package account

import "time"

// RatePeriod is the time over which rates are averaged, TickEvery how often Tick is to be called.
const (
	RatePeriod = 5 * time.Minute
	TickEvery  = 2 * time.Second
)

// rate is IPCAD's exponential average: load is what is reckoned to have come in the last RatePeriod.
type rate struct {
	ticked               time.Time
	seen                 Tally // of total, at the last tick
	loadPackets, loadOct float64
	running              bool
}

// Tick brings the averages up to date. The first one sets where counting begins.
func (a *Account) Tick(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.feeds {
		r := &f.rate
		if r.ticked.IsZero() {
			r.ticked, r.seen = now, f.total
			continue
		}
		dt := now.Sub(r.ticked)
		if dt <= 0 {
			continue
		}
		packets, octets := float64(f.total.Packets-r.seen.Packets), float64(f.total.Bytes-r.seen.Bytes)
		if r.running {
			keep := max(0, 1-float64(dt)/float64(RatePeriod))
			r.loadPackets = keep*r.loadPackets + packets
			r.loadOct = keep*r.loadOct + octets
		} else {
			scale := float64(RatePeriod) / float64(dt)
			r.loadPackets, r.loadOct, r.running = packets*scale, octets*scale, true
		}
		r.ticked, r.seen = now, f.total
	}
}

// Rate returns the average of an interface, as of the last Tick.
func (i *Interface) Rate() (bytesPerSecond, packetsPerSecond uint64) {
	i.account.mu.Lock()
	defer i.account.mu.Unlock()
	s := RatePeriod.Seconds()
	return uint64(i.rate.loadOct / s), uint64(i.rate.loadPackets / s)
}
