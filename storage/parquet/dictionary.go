package parquet

import (
	"math/bits"
	"math/rand/v2"

	"github.com/caprock-net/caprock/netflow"
)

// A dictionary gives each distinct value a code, in the order in which the values come first. Both kinds keep their memory
// from one column to the next. The hashes are seeded at random: who chooses the addresses of flows cannot choose which of
// them collide.

// numbers is a dictionary of integers.
type numbers struct {
	values []uint64
	small  []uint32 // code+1 of values below 65536
	table  []uint32 // code+1 of other values, by hash; a power of two, at most half full
	seed   uint64
}

func newNumbers() *numbers {
	return &numbers{small: make([]uint32, 1<<16), table: make([]uint32, 1<<12), seed: rand.Uint64() | 1}
}

// encode writes the code of every value to codes. It gives up, with false, when there are more than limit distinct values.
func (d *numbers) encode(codes []uint32, v []uint64, limit int) bool {
	d.clear()
	for i, x := range v {
		if x < 1<<16 {
			c := d.small[x]
			if c == 0 {
				if len(d.values) >= limit {
					return false
				}
				d.values = append(d.values, x)
				c = uint32(len(d.values))
				d.small[x] = c
			}
			codes[i] = c - 1
			continue
		}
		c := d.large(x)
		if int(c) >= limit {
			return false
		}
		codes[i] = c
	}
	return true
}

func (d *numbers) hash(x uint64) uint64 {
	hi, lo := bits.Mul64(x^d.seed, 0x9e3779b97f4a7c15)
	return hi ^ lo
}

func (d *numbers) large(x uint64) uint32 {
	mask := uint64(len(d.table) - 1)
	for i := d.hash(x) & mask; ; i = (i + 1) & mask {
		c := d.table[i]
		if c == 0 {
			d.values = append(d.values, x)
			d.table[i] = uint32(len(d.values))
			if 2*len(d.values) > len(d.table) {
				d.grow()
			}
			return uint32(len(d.values) - 1)
		}
		if d.values[c-1] == x {
			return c - 1
		}
	}
}

func (d *numbers) grow() {
	d.table = make([]uint32, 2*len(d.table))
	mask := uint64(len(d.table) - 1)
	for c, x := range d.values {
		if x < 1<<16 {
			continue
		}
		i := d.hash(x) & mask
		for d.table[i] != 0 {
			i = (i + 1) & mask
		}
		d.table[i] = uint32(c + 1)
	}
}

// clear forgets the values of the column before.
func (d *numbers) clear() {
	large := false
	for _, x := range d.values {
		if x < 1<<16 {
			d.small[x] = 0
		} else {
			large = true
		}
	}
	if large {
		clear(d.table)
	}
	d.values = d.values[:0]
}

// addresses is a dictionary of addresses.
type addresses struct {
	values []netflow.Addr
	absent int      // code of "no address" plus one; 0: none. Its value is the zero Addr
	table  []uint32 // code+1 by hash; a power of two, at most half full
	seed   [2]uint64
}

func newAddresses() *addresses {
	return &addresses{table: make([]uint32, 1<<12), seed: [2]uint64{rand.Uint64(), rand.Uint64()}}
}

// encode writes the code of every address to codes. A zero address is an address where version, which may be nil, is not
// zero; elsewhere it is "no address".
func (d *addresses) encode(codes []uint32, v []netflow.Addr, version []uint8) {
	d.values, d.absent = d.values[:0], 0
	clear(d.table)
	s0, s1 := d.seed[0], d.seed[1]
	table := d.table
	mask := uint64(len(table) - 1)
	for i := range v {
		a := &v[i]
		x, y := le.Uint64(a[:8]), le.Uint64(a[8:])
		if x|y == 0 && (version == nil || version[i] == 0) {
			codes[i] = d.none()
			continue
		}
		hi, lo := bits.Mul64(x^s0, y^s1)
		h := hi ^ lo
		for k := h & mask; ; k = (k + 1) & mask {
			c := table[k]
			if c == 0 {
				d.values = append(d.values, *a)
				c = uint32(len(d.values))
				table[k] = c
				codes[i] = c - 1
				if 2*len(d.values) > len(table) {
					d.grow()
					table = d.table
					mask = uint64(len(table) - 1)
				}
				break
			}
			if b := &d.values[c-1]; le.Uint64(b[:8]) == x && le.Uint64(b[8:]) == y && int(c) != d.absent {
				codes[i] = c - 1
				break
			}
		}
	}
}

func (d *addresses) none() uint32 {
	if d.absent == 0 {
		d.values = append(d.values, netflow.Addr{})
		d.absent = len(d.values)
	}
	return uint32(d.absent - 1)
}

func (d *addresses) grow() {
	d.table = make([]uint32, 2*len(d.table))
	mask := uint64(len(d.table) - 1)
	for c := range d.values {
		if c+1 == d.absent {
			continue
		}
		a := &d.values[c]
		hi, lo := bits.Mul64(le.Uint64(a[:8])^d.seed[0], le.Uint64(a[8:])^d.seed[1])
		i := (hi ^ lo) & mask
		for d.table[i] != 0 {
			i = (i + 1) & mask
		}
		d.table[i] = uint32(c + 1)
	}
}
