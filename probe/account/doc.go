// Package account keeps IPCAD's accounting table: packets and IP bytes by source and destination address, and where
// capture-ports is on also by ports, protocol and interface. Batches of dissected packets go in ([Interface.Add]), tables
// come out ([Account.View], [View.WriteText], [View.WriteDump]).
//
// There are two tables. Packets are counted in the active one; Clear makes it the checkpoint and begins an empty one, so
// that nothing is lost between reading and clearing. A table takes at most [Config].MemoryLimit bytes, [EntrySize] for
// each entry; when it is full, packets that would need a new entry are counted as exceeded instead.
//
// Rows are unidirectional, with addresses as in the packets unless a rule aggregates them; bytes are those of IP packets,
// without link headers. All methods may be called from any goroutine.
package account
