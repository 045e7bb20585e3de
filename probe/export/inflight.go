package export

import (
	"net"
	"sync/atomic"
)

// tcpConn counts what is written to a connection, below TLS if that is used.
type tcpConn struct {
	*net.TCPConn
	written atomic.Uint64
	acked   atomic.Uint64 // as of note
	known   atomic.Bool   // acked is known
}

func (c *tcpConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.written.Add(uint64(n))
	return n, err
}

// note remembers what was acknowledged up to now. Closing would make the kernel forget it.
func (c *tcpConn) note() {
	if n, ok := acknowledged(c.TCPConn); ok {
		c.acked.Store(max(n, c.acked.Load()))
		c.known.Store(true)
	}
}

// inFlight is the messages of a connection that the kernel may not yet have delivered: those of the last bytes that its
// buffer can hold.
type inFlight struct {
	messages []message // in order
}

type message struct {
	end uint64 // bytes written to the connection up to its end
	Tally
}

func (f *inFlight) add(end uint64, t Tally) {
	for len(f.messages) > 0 && end-f.messages[0].end > 2*sendBuffer {
		f.messages = f.messages[1:]
	}
	f.messages = append(f.messages, message{end, t})
}

// after adds up the messages that do not end within the first acked bytes.
func (f *inFlight) after(acked uint64) (t Tally) {
	for _, m := range f.messages {
		if m.end > acked {
			t.add(m.Tally)
		}
	}
	return t
}
