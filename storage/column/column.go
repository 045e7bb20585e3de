// Package column is what a query sees of stored flows: chunks of rows, read one column at a time.
//
// A Chunk is a row group of a Parquet file or a Batch from a journal or a pipe; the query engine does not know which.
// A Vector is one column of a chunk, either dense (a value a row) or dictionary-coded (a code a row and a value a code),
// which lets a query evaluate a predicate or format an address once per distinct value.
package column

import "github.com/caprock-net/caprock/netflow"

// Vector holds one column of a chunk. Its buffers are reused from one Read to the next.
//
// Values of KindAddr are in Addr; all other kinds are in Num: unsigned integers as they are, times as the bits of an
// int64, MAC addresses as MAC.Uint64.
type Vector struct {
	Coded bool           // the column is dictionary-coded
	Codes []uint32       // when Coded: one a row, each below the number of values
	Num   []uint64       // when Coded: the dictionary; else one a row
	Addr  []netflow.Addr // likewise, for KindAddr
}

// Reset empties the vector and keeps its buffers.
func (v *Vector) Reset() {
	v.Coded = false
	v.Codes, v.Num, v.Addr = v.Codes[:0], v.Num[:0], v.Addr[:0]
}

// Chunk is a run of rows that can be read column by column. Different chunks may be read at the same time by different
// goroutines; one chunk by one goroutine at a time.
type Chunk interface {
	// Rows returns the number of rows.
	Rows() int
	// Read fills v with column c: exactly Rows rows. A column that the chunk does not have reads as zeros, coded
	// with a dictionary of one value.
	Read(c netflow.Column, v *Vector) error
	// Bounds returns the smallest and the largest value of a column that is not of KindAddr, in the representation of
	// Vector.Num (times compare as int64), or ok false when they are not known without reading.
	Bounds(c netflow.Column) (min, max uint64, ok bool)
	// MayContain returns false only when it is certain that no row has address a in column c, which is of KindAddr.
	MayContain(c netflow.Column, a netflow.Addr) bool
	// Close gives back what the chunk holds. The chunk must not be used afterwards.
	Close() error
}
