// Package fields makes templates of chosen fields, for the encoders of NetFlow v9 and IPFIX.
//
// Parse reads a list of names: those of information elements in IANA's registry, as in sourceTransportPort, the names of
// our columns, as in src_port, and the groups default and all. The List it returns says which columns of a flow are
// needed (Columns), and to the encoders it makes a template for each address family (Templates), chooses one for a flow
// (Of) and writes the record (Write). A List is immutable and may be used by many goroutines at once.
//
// The table in table.go is the one place that knows an element: number, length, column, and the function that writes it.
package fields
