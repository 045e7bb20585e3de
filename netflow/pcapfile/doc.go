// Package pcapfile reads and writes packet capture files.
//
// A [Reader] takes what tcpdump, Wireshark and their kin write: classic pcap (microseconds and nanoseconds, both byte
// orders, the "modified" variant of old Linux kernels) and pcapng (sections of either byte order, any number of
// interfaces with their own link type and clock, enhanced, simple and obsolete packet blocks; other blocks are skipped),
// each of them also compressed by gzip. The format is told by the first bytes, never by the name. [Open] opens a file,
// or standard input by the name "-"; [NewReader] takes any stream, so a capture may come through a pipe while it is
// being made.
//
// [Reader.Next] gives one [Frame] after the other. Its bytes lie in the reader's own buffer and are valid until the next
// call; nothing is allocated per packet and no length in the file is believed before it is checked, so memory stays at
// the one buffer whatever the input. A damaged file gives its good frames first and then an [*Error] with the place of
// the damage; one that ends in the middle of a packet is told apart by errors.Is(err, [io.ErrUnexpectedEOF]).
//
// A Reader belongs to one goroutine; [Reader.Progress] alone may be called from another one.
//
// The formats are those of draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
package pcapfile
