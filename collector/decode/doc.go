// Package decode turns export datagrams into batches of flows, and keeps the accounts of who sent what.
//
// A Decoder takes the datagrams of all exporters and versions, one after another: the version is in the first two bytes.
// For each exporter address, observation domain (v9: source id; v5: engine) and version it keeps templates, samplers and
// a sequence tracker, so that what was lost on the way is known in the units of each version: flows of v5 and v7,
// datagrams of v9, data records of IPFIX.
//
// Input is never an error. What cannot be decoded is counted by Reason, per exporter; the first case is logged, and
// then at most one a minute. Every flow of every datagram is appended, or counted as not appended.
//
// Memory is bounded by Config, whoever sends: exporters that were idle for longest are forgotten first, and so are
// templates. Work is bounded by the bytes received.
package decode
