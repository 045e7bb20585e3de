package parquet

import (
	"encoding/binary"
	"iter"
)

// Types of Thrift's compact protocol.
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
	thriftUUID   = 13
)

const thriftDepth = 16 // of nested structs and lists

// thriftWriter appends structs in Thrift's compact protocol.
type thriftWriter struct {
	b     []byte
	last  int16 // number of the last field of the innermost open struct
	outer []int16
}

// open begins a struct, as a field's value, a list's element or the outermost one.
func (w *thriftWriter) open() {
	w.outer = append(w.outer, w.last)
	w.last = 0
}

func (w *thriftWriter) close() {
	w.b = append(w.b, thriftStop)
	w.last = w.outer[len(w.outer)-1]
	w.outer = w.outer[:len(w.outer)-1]
}

func (w *thriftWriter) field(id int16, typ byte) {
	if d := id - w.last; d > 0 && d < 16 {
		w.b = append(w.b, byte(d)<<4|typ)
	} else {
		w.b = binary.AppendVarint(append(w.b, typ), int64(id))
	}
	w.last = id
}

func (w *thriftWriter) i8(id int16, v int8) { w.field(id, thriftByte); w.b = append(w.b, byte(v)) }

func (w *thriftWriter) i16(id int16, v int16) {
	w.field(id, thriftI16)
	w.b = binary.AppendVarint(w.b, int64(v))
}

func (w *thriftWriter) i32(id int16, v int32) {
	w.field(id, thriftI32)
	w.b = binary.AppendVarint(w.b, int64(v))
}

func (w *thriftWriter) i64(id int16, v int64) {
	w.field(id, thriftI64)
	w.b = binary.AppendVarint(w.b, v)
}

func (w *thriftWriter) bool(id int16, v bool) {
	if v {
		w.field(id, thriftTrue)
	} else {
		w.field(id, thriftFalse)
	}
}

func (w *thriftWriter) str(id int16, s string) {
	w.field(id, thriftBinary)
	w.element(s)
}

// element appends a string as an element of a list.
func (w *thriftWriter) element(s string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *thriftWriter) list(id int16, typ byte, n int) {
	w.field(id, thriftList)
	if n < 15 {
		w.b = append(w.b, byte(n)<<4|typ)
	} else {
		w.b = binary.AppendUvarint(append(w.b, 0xf0|typ), uint64(n))
	}
}

// structure begins a struct as a field. An empty struct is the way of Thrift unions to say which member is meant.
func (w *thriftWriter) structure(id int16) {
	w.field(id, thriftStruct)
	w.open()
}

// empty appends an empty struct as a field.
func (w *thriftWriter) empty(id int16) {
	w.structure(id)
	w.close()
}

// thriftReader takes structs of Thrift's compact protocol off b. After the first failure bad stays set, every read gives
// zero and field ends every loop. No read takes memory: strings alias b, and a list never claims more elements than there are bytes.
type thriftReader struct {
	b   []byte
	bad bool
}

func (r *thriftReader) fail() { r.b, r.bad = nil, true }

func (r *thriftReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *thriftReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *thriftReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *thriftReader) int() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// int32 reads an integer and fails when it does not fit.
func (r *thriftReader) int32() int32 {
	v := r.int()
	if v != int64(int32(v)) {
		r.fail()
		return 0
	}
	return int32(v)
}

func (r *thriftReader) bytes() []byte { return r.take(r.uvarint()) }

// fields iterates over the fields of a struct: their numbers and types. The loop has to read, or skip, each value. It ends
// with the struct, and after a failure.
func (r *thriftReader) fields() iter.Seq2[int16, byte] {
	return func(yield func(id int16, typ byte) bool) {
		for last := int16(0); ; {
			h := r.byte()
			if h == thriftStop || r.bad {
				return
			}
			if d := h >> 4; d != 0 {
				last += int16(d)
			} else {
				v := r.int()
				if v != int64(int16(v)) {
					r.fail()
					return
				}
				last = int16(v)
			}
			if typ := h & 15; typ == thriftStop || !yield(last, typ) {
				return
			}
		}
	}
}

// list reads the header of a list of elements of the type wanted.
func (r *thriftReader) list(want byte) int {
	n, typ := r.anyList()
	if typ != want && n > 0 {
		r.fail()
		return 0
	}
	return n
}

func (r *thriftReader) anyList() (n int, typ byte) {
	h := r.byte()
	size := uint64(h >> 4)
	if size == 15 {
		size = r.uvarint()
	}
	if size > uint64(len(r.b)) { // every element takes a byte at least
		r.fail()
		return 0, 0
	}
	return int(size), h & 15
}

// expect fails when a field's type is not the one wanted, and returns whether to read the value.
func (r *thriftReader) expect(typ, want byte) bool {
	if typ != want {
		r.fail()
		return false
	}
	return true
}

// skip passes over a value.
func (r *thriftReader) skip(typ byte) { r.skipNested(typ, 0) }

func (r *thriftReader) skipNested(typ byte, depth int) {
	if depth > thriftDepth {
		r.fail()
		return
	}
	switch typ {
	case thriftTrue, thriftFalse: // the type is the value
	case thriftByte:
		r.byte()
	case thriftI16, thriftI32, thriftI64:
		r.uvarint()
	case thriftDouble:
		r.take(8)
	case thriftUUID:
		r.take(16)
	case thriftBinary:
		r.bytes()
	case thriftList, thriftSet:
		n, elem := r.anyList()
		for i := 0; i < n && !r.bad; i++ {
			r.skipElement(elem, depth+1)
		}
	case thriftMap:
		n := r.uvarint()
		if n == 0 {
			return
		}
		types := r.byte()
		if n > uint64(len(r.b)) {
			r.fail()
		}
		for i := uint64(0); i < n && !r.bad; i++ {
			r.skipElement(types>>4, depth+1)
			r.skipElement(types&15, depth+1)
		}
	case thriftStruct:
		for _, t := range r.fields() {
			r.skipNested(t, depth+1)
		}
	default:
		r.fail()
	}
}

// skipElement is skip inside a list or map, where a bool takes a byte.
func (r *thriftReader) skipElement(typ byte, depth int) {
	if typ == thriftTrue || typ == thriftFalse {
		r.byte()
		return
	}
	r.skipNested(typ, depth)
}
