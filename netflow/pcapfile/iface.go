package pcapfile

import (
	"math"
	"math/bits"
)

// Options of an interface description block, section 4.2.
const (
	optEnd      = 0
	optTSResol  = 9
	optTSOffset = 14
)

// iface is an interface description of pcapng.
type iface struct {
	link   uint16
	resol  uint8  // if_tsresol: 10^-n seconds a tick, with the highest bit set 2^-n
	snap   uint32 // bytes; 0: no limit
	offset int64  // if_tsoffset, seconds
}

// addInterface reads the body of an interface description block.
func (r *Reader) addInterface(b []byte) error {
	if len(b) < 8 {
		return corrupt("an interface description of %d bytes", len(b)+minBlockLen)
	}
	if len(r.sect.interfaces) == maxInterfaces {
		return corrupt("more than %d interfaces", maxInterfaces)
	}
	in := iface{link: r.uint16(b), snap: r.uint32(b[4:]), resol: 6}
	for b = b[8:]; len(b) >= 4; {
		code, n := r.uint16(b), int(r.uint16(b[2:]))
		b = b[4:]
		if code == optEnd {
			break
		}
		if n > len(b) {
			return corrupt("an interface option of %d bytes with %d left", n, len(b))
		}
		switch {
		case code == optTSResol && n == 1:
			in.resol = b[0]
		case code == optTSOffset && n == 8:
			hi, lo := r.uint32(b), r.uint32(b[4:])
			if r.little {
				hi, lo = lo, hi
			}
			in.offset = int64(uint64(hi)<<32 | uint64(lo))
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	r.sect.interfaces = append(r.sect.interfaces, in)
	return nil
}

var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// nanoseconds places ticks of the interface's clock on the time line. Times beyond the reach of an int64 (the year 2262)
// stay at its end.
func (in *iface) nanoseconds(ticks uint64) int64 {
	var ns uint64
	switch n := int(in.resol &^ 0x80); {
	case in.resol == 6:
		ns = mulSaturate(ticks, 1e3)
	case in.resol&0x80 != 0:
		hi, lo := bits.Mul64(ticks, 1e9)
		switch {
		case n >= 64:
			ns = hi >> (n - 64)
		case hi>>n != 0:
			ns = math.MaxUint64
		default:
			ns = hi<<(64-n) | lo>>n
		}
	case n <= 9:
		ns = mulSaturate(ticks, pow10[9-n])
	case n-9 < len(pow10):
		ns = ticks / pow10[n-9]
	}
	return addSaturate(ns, in.offset)
}

func mulSaturate(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

// addSaturate adds seconds to nanoseconds.
func addSaturate(ns uint64, seconds int64) int64 {
	t := int64(min(ns, math.MaxInt64))
	if seconds == 0 {
		return t
	}
	const most = math.MaxInt64 / int64(1e9)
	o := min(max(seconds, -most), most) * 1e9
	switch {
	case o > 0 && t > math.MaxInt64-o:
		return math.MaxInt64
	default:
		return t + o // t >= 0: no underflow
	}
}
