// Package archive keeps captured packets on disk: a rolling set of pcap files, each with an index that says which flows
// lie where in it.
//
// Frames go in through a [Recorder], one for each goroutine that captures, which appends them to a block in memory. Whole
// blocks pass through a bounded queue to the one goroutine that runs [Archive.Run]; it finds the flows of a block,
// appends block and index entry to the open files, starts new files by size and time, and deletes the oldest when a bound
// of the ring asks for it. Nothing in a Recorder waits for the disk: a packet that finds no free block is counted, as is
// one that the disk has no room for, so that packets given = archived + not archived by reason + under way ([Stats]).
//
// An open file is named tmp-packets.*, and complete up to its last block at any time: what a killed process leaves is
// cut to its last whole packet, indexed and renamed by the next [New]. FORMAT.md describes names and bytes.
//
// [List] and [File] read an archive, also one that is being written, block by block, so that a reader such as flowpcap
// touches only the blocks whose index entries it wants.
package archive
