package capture

import (
	"io"
	"sync"
)

// pumpSize is the size of each of a pump's two buffers.
const pumpSize = 256 << 10

// pump is a Reader that can be stopped while it waits. A read of standard input cannot be: it may be a terminal, a file or
// a pipe in blocking mode, and switching the mode would switch it for other processes too. So a goroutine of its own
// reads ahead, one buffer while the other is being used. After stop it stays in its read until that returns or the
// process ends.
type pump struct {
	filled chan piece
	empty  chan []byte
	done   chan struct{}
	once   sync.Once
	cur    piece // not used up
	whole  []byte
}

// piece is what one read returned.
type piece struct {
	buf []byte
	n   int
	err error
}

func newPump(src io.Reader) *pump {
	p := &pump{filled: make(chan piece), empty: make(chan []byte, 2), done: make(chan struct{})}
	for range cap(p.empty) {
		p.empty <- make([]byte, pumpSize)
	}
	go p.run(src)
	return p
}

func (p *pump) run(src io.Reader) {
	for {
		select {
		case buf := <-p.empty:
			n, err := src.Read(buf)
			select {
			case p.filled <- piece{buf, n, err}:
			case <-p.done:
				return
			}
			if err != nil {
				return
			}
		case <-p.done:
			return
		}
	}
}

// Read returns what has been read ahead; io.EOF after stop.
func (p *pump) Read(b []byte) (int, error) {
	for p.cur.n == 0 {
		if p.cur.err != nil {
			return 0, p.cur.err
		}
		if p.whole != nil {
			p.empty <- p.whole // never blocks: there are two buffers and room for two
			p.whole = nil
		}
		select {
		case p.cur = <-p.filled:
			p.whole = p.cur.buf
		case <-p.done:
			return 0, io.EOF
		}
	}
	n := copy(b, p.cur.buf[:p.cur.n])
	p.cur.buf = p.cur.buf[n:]
	p.cur.n -= n
	return n, nil
}

// stop lets Read return; it may be called from any goroutine, and again.
func (p *pump) stop() { p.once.Do(func() { close(p.done) }) }
