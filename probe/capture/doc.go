// Package capture gives frames to the meter: from a network interface or from a capture file, behind one [Source].
//
// [OpenFile] reads pcap and pcapng files, or standard input. [OpenLive] captures from an interface: on Linux through a
// TPACKET_V3 ring that is shared with the kernel, so that a frame is neither copied nor costs a system call; on the
// BSDs and macOS through /dev/bpf. Both need no C library.
//
// A Source lends each frame until the next call of Next. One goroutine calls Next; Stats and Stop may be called from
// others. What a Source could not deliver it counts: frames that the kernel dropped because the meter was too slow,
// and, from the interface's own counters, what never came as far.
//
// Live capture sees both directions of an interface, arriving and leaving packets, and both count as seen at that
// interface. Only on Linux's loopback, where every packet would come twice, the leaving copy is left out. A tag that the
// network card took off (VLAN offload) is put back into the frame. A VLAN's packets are also seen, tagged, on its parent
// interface: capturing both counts them twice.
//
// Interfaces that come later, when there are no privileges any more, are for a [Pool], with one ring or several as those of
// [OpenRings]; a [Tap] sends frames on.
//
// A filter (package probe/filter) is run by the kernel, which copies nothing of other frames, and of those it takes the
// first SnapLen bytes. On Linux it sees frames before the tag is put back: "tcp" takes tagged frames too, whose outermost
// tag only vlan asks about.
package capture
