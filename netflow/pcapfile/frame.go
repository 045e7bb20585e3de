package pcapfile

// MaxFrame is the largest captured length that is believed, in bytes: the largest snapshot length of libpcap
// (MAXIMUM_SNAPLEN). A larger one is damage.
const MaxFrame = 256 << 10

// Frame is one captured packet.
type Frame struct {
	// Time counts nanoseconds since 1970-01-01T00:00:00Z. A simple packet block of pcapng carries no time: it has that of
	// the frame before it, 0 when there is none.
	Time int64
	// WireLen is the length that the packet had on the wire, in bytes, as the file says; len(Data) may be smaller.
	WireLen int
	// Interface is 1 plus the number of the interface in its pcapng section, the ifIndex in a "modified" pcap, else 1.
	Interface uint32
	// LinkType says what the first bytes of Data are: a LINKTYPE_ value (https://www.tcpdump.org/linktypes.html).
	LinkType uint16
	// Data holds the captured bytes. It is valid until the next call of Next.
	Data []byte
}
