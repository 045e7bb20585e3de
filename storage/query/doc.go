// Package query selects, sums, sorts and lists stored flows.
//
// What goes in are column.Chunks: row groups of files or batches from a journal or a pipe, in any number. What comes out
// is a Result (Aggregate: totals, or one Group for each value of chosen Fields) or netflow.Batches of the matching rows
// in order (Scan). A Filter, written in the language below, chooses the rows; it and a query read only the columns they
// need, skip chunks whose bounds or Bloom filters rule a match out, and evaluate a test once per dictionary entry.
//
// Finding chunks, and opening and closing files, is left to package storage. A Filter is immutable and may be used by
// many goroutines. Aggregate and Scan run workers of their own and return when these have ended.
//
// # The filter language
//
// It is the language of nfdump, in both the dialect of 1.7.1 and the one of later releases, and a little more.
// Keywords are case-insensitive, blanks and line breaks separate, # begins a comment. Tests are combined by not (!),
// and (&&), or (||), which bind in this order, and parentheses.
//
//	any                                   every flow
//	ipv4  ipv6                            also inet, inet6
//	proto NAME|N                          and the bare names: tcp, udp, icmp, icmp6, sctp, gre, esp ...
//	[SIDE] ip ADDR                        also host; a prefix is taken too; ip in [A B/24 C/64]
//	[SIDE] net ADDR/BITS                  short: net 10/8; by mask: net 10.0.0.0 255.0.0.0
//	[SIDE] port N                         a number or a well-known service; port > 1023; port in [80 443 6000-6063]
//	[SIDE] as N, [SIDE] mask N, [SIDE] mac MAC
//	[in|out] if N
//	icmp type N, icmp code N              also icmp-type, icmp-code; only ICMP and ICMPv6 have them
//	flags SA                              all of these TCP flags are set; letters FSRPAUEC, X for the first six
//	flags = SA, flags 0x12                exactly these
//	tos N, vlan N, flowdir ingress|egress, fwdstat N|forwarded|dropped|consumed
//	packets N, bytes N                    factors k, m, g, t are decimal, 1.5M is taken; in is the same
//	out packets N, out bytes N            the reverse direction, where the exporter reported it (also out flags)
//	duration MS                           end - start in milliseconds; units ms, s, min, h are taken
//	pps N, bps N, bpp N                   integers; 0 where the flow has no duration or no packets
//	first seen T, last seen T, received T 2026-11-21T16:05:09.25, tail cut as wanted; local time, or with Z or +01:00
//	exporter ADDR, next ip ADDR           exporter net, exporter ip in [...] and so on; router is another name
//	[SIDE] tun ip ADDR, [SIDE] tun net ADDR/BITS, tun proto NAME|N, tunnel_type N, tunnel_id N   around the packets
//	domain N, sampling N, version N       observation domain, 1 packet in N, version of the export protocol
//	endreason N|idle|active|eof|forced|resources
//
// N may be preceded by =, ==, eq, !=, <, lt, <=, le, >, gt, >=, ge, and in [...] tests for membership. SIDE is src or dst.
// Without one a test holds if it holds for either side, except that != wants both sides to differ, so that
// "port != 80" means "not port 80"; "src or dst" and "src and dst" say which is meant. The names of columns are taken too,
// src_addr for src ip and so on.
//
// A flow that lacks a field fails every test on it, so "not" finds it. Lacking are: the addresses of a flow that has no IP
// version; ports never; icmp type outside ICMP, flags outside TCP; and as, if, mask, vlan, mac, sampling, endreason,
// version, tun ip, tun proto, times and reverse counters that are 0. These last are found by naming zero: "src as 0".
//
// A time with its tail cut stands for its first instant when it is compared by order, as in nfdump, and for the whole
// year, month, day, hour, minute or second when compared by = and !=.
package query
