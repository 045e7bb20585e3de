// Package flowcache turns packets into flows. Packets, as package dissect reads them, go in with their capture times;
// a netflow.Record comes out, through a function the caller passes, for each flow that ends.
//
// # When a flow ends
//
//   - Active: a packet that would stretch the flow beyond the active timeout ends it and begins the next.
//   - Idle: no packet came for the inactive timeout. Such a flow leaves about a second after its timeout at the latest, if
//     packets or calls of Expire go on. (If the inactive timeout is the longer of the two, a flow ends when it was not
//     seen for the active timeout, with the reason Active.)
//   - End of flow: one second after a FIN from its direction, or a RST, so that the last acknowledgements and
//     retransmissions are part of it. A SYN ends it at once: the ports are used again.
//   - Resources: the table is full. The flow that goes is one that ended already, else the least recently seen one,
//     to the width of a tick (8 ms; 1/32768 of the timeout when that is longer): see Cache.evict.
//   - Forced: Flush.
//
// Packet time drives everything, no clock is read. Which packets make up which record depends on the packets alone,
// not on how they were grouped into batches or when Expire was called; those decide only when a record comes out.
//
// Captures of several interfaces are not quite in order, and merged files not at all. A packet older than the newest
// one seen counts at the newest one's time for the timeouts; Start and End in its record are still its own time. Time
// that steps back by more than the active timeout is a new clock: all flows end, and time goes on from there. Both are
// counted.
//
// # On request
//
// Config.Details, Outers, TCPMetrics and Biflow keep more of each flow, in slabs beside that of the entries; without them there are
// none. A biflow has the packets of both directions: Record's Packets and Bytes are those of the source, its Reverse fields
// those of the destination. It ends as another flow does, but FIN ends it when each direction seen has sent one. Cut by the
// active timeout it keeps its direction.
//
// # Memory and speed
//
// A flow is an entry of 128 bytes in one slab without pointers, nothing for the garbage collector to scan, found by an
// open-addressing table of 8-byte slots (hash and index) that is at most half full. The hash is keyed by secrets drawn
// per Cache (see hasher). A timing wheel of lists through the entries holds each flow at the tick at which it could be
// idle; packets do not move it, only a look at that tick does: one look per flow and timeout, none per packet. AddBatch looks
// up the slots of 32 packets, then touches their entries, then counts, so that cache misses overlap.
//
// A Cache belongs to one goroutine. Several cores have several: Split says which packet goes to which, and Clock and Follow make
// them end flows when one Cache for all packets would.
package flowcache
