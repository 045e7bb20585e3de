// Package wire reads the big-endian fields of export datagrams.
package wire

import (
	"encoding/binary"
	"errors"
)

// ErrShort says that a read went past the end of the bytes.
var ErrShort = errors.New("too short")

// Cursor reads big-endian fields one after another. After the first read past the end every read yields zero and Err
// stays ErrShort, so a header is a straight line of reads with one check at its end. It never copies: what Take returns
// aliases the bytes given to New.
type Cursor struct {
	rest []byte
	err  error
}

// New returns a cursor at the first byte of b.
func New(b []byte) Cursor { return Cursor{rest: b} }

// Err returns ErrShort once a read went past the end, else nil.
func (c *Cursor) Err() error { return c.err }

// Len returns how many bytes are unread; zero after an error.
func (c *Cursor) Len() int { return len(c.rest) }

// Take reads n bytes. It returns nil when there are fewer, or when n is negative.
func (c *Cursor) Take(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.rest, c.err = nil, ErrShort
		return nil
	}
	p := c.rest[:n:n]
	c.rest = c.rest[n:]
	return p
}

// Uint8 reads one byte.
func (c *Cursor) Uint8() uint8 {
	if p := c.Take(1); p != nil {
		return p[0]
	}
	return 0
}

// Uint16 reads two bytes.
func (c *Cursor) Uint16() uint16 {
	if p := c.Take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// Uint32 reads four bytes.
func (c *Cursor) Uint32() uint32 {
	if p := c.Take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// Uint reads an unsigned integer of len(b) bytes, 0 to 8. Exporters send integers in fewer bytes than their type has
// (reduced-size encoding, RFC 7011 section 6.2) and sometimes in more.
func Uint(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	var v uint64
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}
