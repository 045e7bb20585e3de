// Package v9 decodes and encodes NetFlow version 9 (RFC 3954).
//
// A datagram is a header of 20 bytes and FlowSets: an id and a length (2 bytes each, the length includes these four), then
// records and 0 to 3 bytes of padding. FlowSet 0 announces templates, 1 options templates, 256 and above carry data laid
// out as the template of that id says. FlowSets are walked by their length; the header's count of records, which many
// exporters get wrong, is never trusted.
//
// What exporters announce is kept by package template; one template.Domain holds the templates and samplers of one
// exporter and source id. Decode appends flows to a netflow.Batch and reports what else it met.
//
// An Encoder makes datagrams of flows, with the templates that collectors need and options data about the exporter.
package v9
