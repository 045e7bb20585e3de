// Package v5 decodes and encodes the fixed formats of NetFlow: versions 1, 5 and 7.
//
// Byte layout, all integers in network order. Header: version, count (2 bytes each), uptime in ms, unix seconds, residual
// nanoseconds (4 each); versions 5 and 7 go on with the number of flows sent before this datagram (4) and four more
// bytes (version 5: engine type, engine id, sampling mode in 2 bits and interval in 14; version 7: reserved). Header
// lengths are 16, 24 and 24 bytes; records of 48, 48 and 52 bytes follow, drawn beside the code that reads them.
//
// Times of flows are uptimes: milliseconds since the exporter booted, 32 bits that wrap after 49.7 days. They are put on
// the wall clock by the header's pair of clocks, with differences taken as signed 32-bit numbers, so a wrap between a
// flow's start and the header is harmless.
//
// Decoding keeps no state and does not allocate; its functions may run concurrently on different batches. An Encoder makes
// one datagram after the other, for one destination.
package v5
