// Package storage keeps flows in a folder: one Parquet file for each slot of time, readable while it is being written.
//
// A Writer owns a folder. Producers fill a Batch and hand it over by Write, which never waits for the disk; Run does the
// rest until its context ends. The files of the slot that begins at 16:00 UTC, in the order in which a flow meets them:
//
//	tmp-flows.2026-11-21.160000Z.journal   the newest flows, as a flow stream (package stream); fsynced each second
//	tmp-flows.2026-11-21.160000Z.parquet   the flows up to the last append, a valid Parquet file (package parquet)
//	flows.2026-11-21.160000Z.parquet       the finished slot, under this name by rename
//	flows.2026-11-21.160000Z.0001.parquet  its continuation: after a restart, or when the first part grew large
//
// The first append of a slot comes two seconds after its first flow, the others when a row group is full or a minute has
// passed.
//
// Frames of the journal are numbered through the slot, over all its parts; the footer of a part says up to which number
// its rows reach (caprock.journal_seq). That one number makes everything exactly-once: a crash between an append and the
// cutting of the journal, a reader that comes at any moment, a rewrite when the slot ends.
//
// A slot's flows are those received in it. Rows that come late, by no more than two seconds, still find their slot; what
// is older than that (the clock was set back) goes to the slot that is open, so that names stay in order and no finished
// file is ever touched again.
//
// OpenSnapshot is the reading side. It needs no lock and no cooperation of the writer: it takes the journal first, then
// the Parquet files with their footers, and looks at the folder's listing again; when that changed, it starts over.
//
// What happens when things go wrong:
//
//   - kill -9: what was handed to the kernel is in the journal; the next NewWriter takes it up. Power loss: the same up
//     to the last fsync.
//   - The disk is full or fails: flows wait in the journal, then in the queue, then Write says ErrFull and its caller
//     counts. After a failed fsync a Parquet file is cut back to its last good footer, finished, and followed by a new part.
//   - Parquet falls behind: the journal grows, memory does not.
//
// A Writer's methods may be called from several goroutines; a Snapshot belongs to one, its chunks to as many as there are.
package storage
