// Package template keeps what exporters of NetFlow v9 and IPFIX announce: the templates that say how data records are
// laid out, and what options data tell about sampling and clocks.
//
// A Store holds the templates of all exporters within bounds; a Domain, made by Store.Domain, is the view of one exporter
// address, observation domain (v9: source id) and protocol version. Packages v9 and ipfix walk the sets of a message and
// give each to its Domain: Announce for template sets, Data for data sets. What happened is added to a Report.
//
// A template is validated when it comes and compiled into a plan; it is immutable and replaced as a whole, at that
// place in the message. Announcing the same layout again, which exporters do every minute or so, compares bytes and does
// nothing else. Templates and options templates share the ids of a domain. When a bound is reached, the template that
// was not used for the longest time goes, first within the exporter's share, then in all.
//
// A Store and its Domains belong to one goroutine at a time.
package template
