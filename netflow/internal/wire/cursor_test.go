package wire_test

import (
	"errors"
	"testing"

	"github.com/caprock-net/caprock/netflow/internal/wire"
)

func TestCursorReadsInOrder(t *testing.T) {
	c := wire.New([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	if got := c.Uint8(); got != 1 {
		t.Errorf("Uint8 = %d, want 1", got)
	}
	if got := c.Uint16(); got != 0x0203 {
		t.Errorf("Uint16 = %#x, want 0x0203", got)
	}
	if got := c.Uint32(); got != 0x04050607 {
		t.Errorf("Uint32 = %#x, want 0x04050607", got)
	}
	if got := c.Len(); got != 2 || c.Err() != nil {
		t.Errorf("Len = %d, Err = %v, want 2, nil", got, c.Err())
	}
}

func TestCursorErrorSticks(t *testing.T) {
	c := wire.New([]byte{1, 2, 3})
	if got := c.Uint32(); got != 0 {
		t.Errorf("Uint32 of three bytes = %d, want 0", got)
	}
	if got := c.Uint8(); got != 0 {
		t.Errorf("Uint8 after the error = %d, want 0", got)
	}
	if !errors.Is(c.Err(), wire.ErrShort) {
		t.Errorf("Err = %v, want ErrShort", c.Err())
	}
	c = wire.New([]byte{1})
	if c.Take(-1) != nil || c.Err() == nil {
		t.Error("Take(-1) succeeded")
	}
}

func TestUintOfEveryWidth(t *testing.T) {
	b := []byte{0xf1, 2, 3, 4, 5, 6, 7, 8}
	want := []uint64{0, 0xf1, 0xf102, 0xf10203, 0xf1020304, 0xf102030405, 0xf10203040506, 0xf1020304050607, 0xf102030405060708}
	for n, w := range want {
		if got := wire.Uint(b[:n]); got != w {
			t.Errorf("Uint of %d bytes = %#x, want %#x", n, got, w)
		}
	}
}
