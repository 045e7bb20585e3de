package pcapfile

import (
	"io"
	"sync/atomic"
)

// bufferSize is how much is read at once. It is also the largest block of pcapng that is looked into.
const bufferSize = 1 << 20

// buffer reads a stream in large pieces and lends them out without copying.
type buffer struct {
	src   io.Reader
	b     []byte
	r, w  int   // b[r:w] is read but not consumed
	start int64 // offset of b[0] in the stream
	err   error // of src, kept until b[r:w] is used up
}

// offset is that of the next byte.
func (b *buffer) offset() int64 { return b.start + int64(b.r) }

// peek returns the next n bytes, n <= bufferSize, without consuming them; fewer with the error that ended the stream.
// They are valid until the next peek or discard. It waits for no more than n bytes, so that a pipe is read as it fills.
func (b *buffer) peek(n int) ([]byte, error) {
	if b.w-b.r >= n {
		return b.b[b.r : b.r+n], nil
	}
	return b.fill(n)
}

func (b *buffer) fill(n int) ([]byte, error) {
	b.start += int64(b.r)
	b.w = copy(b.b, b.b[b.r:b.w])
	b.r = 0
	for empty := 0; b.w < n && b.err == nil; {
		var k int
		k, b.err = b.src.Read(b.b[b.w:])
		b.w += k
		if k > 0 {
			empty = 0
		} else if empty++; empty == 100 && b.err == nil {
			b.err = io.ErrNoProgress
		}
	}
	if b.w < n {
		return b.b[:b.w], b.err
	}
	return b.b[:n], nil
}

// discard consumes n bytes.
func (b *buffer) discard(n int64) error {
	for {
		k := min(n, int64(b.w-b.r))
		b.r += int(k)
		if n -= k; n == 0 {
			return nil
		}
		if _, err := b.fill(1); err != nil {
			return err
		}
	}
}

// counter counts the bytes that come from the file, before decompression.
type counter struct {
	src  io.Reader
	done atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.done.Add(int64(n))
	return n, err
}
