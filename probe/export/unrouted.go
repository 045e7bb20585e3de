package export

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// seekEvery is how often, at most, a way is looked for to a collector to which there has been none yet.
const seekEvery = time.Second

// unrouted stands for the socket of a destination to which there has been no route yet (Config.LateRoute): a router may
// begin to meter before it has its routes. What is sent meets the error that connecting met, and so counts as lost.
type unrouted struct{ err error }

func (u unrouted) Write([]byte) (int, error)       { return 0, u.err }
func (u unrouted) WriteMany([][]byte) (int, error) { return 0, u.err }
func (u unrouted) LocalAddr() net.Addr             { return nil }
func (u unrouted) RemoteAddr() net.Addr            { return nil }
func (u unrouted) Close() error                    { return nil }

// mayBeRouted reports whether what failed in connecting may succeed when there are routes, and addresses of our own.
func mayBeRouted(err error) bool {
	return faultOf(err) == FaultUnreachable || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// await begins without a socket, for the error that connecting met.
func (d *destination) await(err error) {
	d.socket, d.remote = unrouted{err}, (*d.seen)[0]
	d.stats.Remote = d.remote.String()
	d.log.Warn("there is no route yet: what is sent is lost until there is one", "to", d.stats.Remote, "err", err)
}

// seek looks for a route again. It is called with each Flush.
func (d *destination) seek() {
	if _, waits := d.socket.(unrouted); !waits || time.Since(d.moved) < seekEvery {
		return
	}
	d.moved = time.Now()
	d.resolver.ask()
	for _, a := range d.resolver.addresses() {
		if d.move(a) {
			d.log.Info("there is a route now", "to", d.stats.Remote)
			return
		}
	}
}
