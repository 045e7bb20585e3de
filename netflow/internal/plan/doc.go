// Package plan compiles the layout of a data record into a list of column operations, once, and decodes records with it.
//
// Of fixed-length records all of a set are decoded together, one column at a time: for each operation a tight loop copies
// one field of every record into a column of a netflow.Batch. Records with variable-length fields (RFC 7011 section 7) are
// measured one by one and copied, some kilobytes at a time, into records of fixed length, which go through the same
// operations. NetFlow v5 has a plan too, a constant one, so there is one place that knows how a wire field becomes a
// column.
//
// A Plan is immutable and may be used by many goroutines at once, each with its own batch. Work is bounded by the bytes
// decoded: every operation reads at least one byte of the record that the previous ones did not, but for a fixed handful.
package plan
