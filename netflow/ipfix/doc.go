// Package ipfix decodes and encodes IPFIX (RFC 7011), version 10 of the NetFlow family.
//
// A message is a header of 16 bytes and Sets: an id and a length (2 bytes each, the length includes these four), then
// records and padding shorter than any record of the Set. Set 2 announces templates, 3 options templates, 256 and above
// carry data laid out as the template of that id says.
//
// What exporters announce is kept by package template; one template.Domain holds the templates and samplers of one
// exporter and observation domain. Decode appends flows to a netflow.Batch and reports what else it met. The transport is
// taken to be UDP, over which template withdrawals are ignored (RFC 7011 section 8.4).
//
// An Encoder makes messages of flows, with the templates that collectors need and options data about the exporter, for UDP or
// for a session over TCP or TLS (AppendTemplates).
package ipfix
