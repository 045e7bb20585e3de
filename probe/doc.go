// Package probe meters packets: frames from network interfaces or capture files go in, flows go out to collectors.
//
//	capture.Source ─▶ dissect.Dissect ─▶ flowcache.Cache ─▶ queue ─▶ export.Exporter ─▶ UDP, TCP, TLS
//	└───────────── a goroutine per interface ──────────┘   └────── one goroutine ─────┘
//
// [New] checks the configuration and opens interfaces and sockets, which may need privileges; [Probe.Run] does the work
// until its context ends or the files do, and needs none. Each interface has a flow cache of its own. Files are read one after
// the other, in the order given, into one cache: a capture that was cut into several files gives the flows of the whole. One
// goroutine does all of that, exporting included.
//
// With [Config].Rings several processors share the work. An interface has as many rings then, each with a goroutine and a
// table of its own. Files are still read by one goroutine, which also dissects; it shares the packets out to as many workers,
// which have the tables and go by the file's clock, so that the same flows come out, in another order.
//
// The capture times of packets drive all timeouts, so that a file gives the flows that the live traffic gave. A live
// interface without packets goes by the clock of the machine.
//
// With [Config].Accounting the packets of each batch are also counted in a table of package account, one for all interfaces,
// and package console answers IPCAD's commands about it, which never hold a meter for more than some thousand rows.
//
// [Probe.Reload] changes timeouts, collectors and rates while packets are metered. Interfaces of a pattern come and go, and
// with [Config].Persist all do (wildcard.go), each with a meter for each ring as long as it is there; what is read may be
// sent on at another interface (tap.go). The Summary has one source for all rings and lives of an interface (source.go).
//
// What is lost, and where. A meter that is too slow loses packets in the kernel, which counts them. When the
// collectors' side is too slow (pacing, a blocked socket), up to [QueueFlows] flows wait; then a live probe loses flows, and
// counts them, rather than packets; reading a file waits instead. The exporter counts what a protocol cannot carry and what
// the network refused. [Probe.Summary] has all of it, at any time, and [Summary.Balance] says whether it adds up.
package probe
