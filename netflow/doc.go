// Package netflow holds the nouns that probe, collector and storage share: a flow as a row (Record), many flows as
// columns (Batch), the table of columns (Column) and the information elements of IPFIX (Element).
//
// It imports only the standard library, opens nothing and starts nothing. The wire formats live in the folders below:
// v5 (versions 1, 5 and 7), v9 and ipfix, each in both directions; template keeps what v9 and IPFIX exporters announce.
//
// Conventions, true everywhere in the project:
//
//   - Times are microseconds since 1970-01-01T00:00:00Z (Timestamp). Zero means "not told".
//   - Addresses are 16 bytes, IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2). The zero Addr means "not told" for
//     next hops and exporters; for the two ends of a flow IPVersion says whether there is an address, because :: is one.
//   - Counters are as the exporter sent them. SamplingRate lies beside them; applying it is the reader's choice.
//   - A field that the exporter did not send is zero.
package netflow
