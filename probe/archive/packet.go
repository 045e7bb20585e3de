package archive

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// Packet is a packet of the archive.
type Packet struct {
	Time    netflow.Timestamp
	WireLen int    // bytes it had on the wire
	Data    []byte // captured bytes
}

// appendPcapHeader appends the header of a capture: classic pcap, little endian, microseconds.
func appendPcapHeader(dst []byte, snapLen int, link dissect.LinkType) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, pcapMagic)
	dst = le.AppendUint16(dst, 2)
	dst = le.AppendUint16(dst, 4)
	dst = le.AppendUint64(dst, 0)
	dst = le.AppendUint32(dst, uint32(snapLen))
	return le.AppendUint32(dst, uint32(link))
}

func readPcapHeader(b []byte) (dissect.LinkType, error) {
	le := binary.LittleEndian
	if len(b) < pcapHeaderLen || le.Uint32(b) != pcapMagic || le.Uint16(b[4:]) != 2 || le.Uint16(b[6:]) != 4 || le.Uint32(b[20:]) > math.MaxUint16 {
		return 0, fmt.Errorf("%w: not a capture of a packet archive", ErrCorrupt)
	}
	return dissect.LinkType(le.Uint32(b[20:])), nil
}

// storable reports whether pcap's 32 bits of seconds hold a time.
func storable(t netflow.Timestamp) bool { return t > 0 && t < (math.MaxUint32+1)*1e6 }

// appendPacket appends a packet as the capture holds it.
func appendPacket(dst []byte, p *Packet) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(p.Time/1e6))
	dst = le.AppendUint32(dst, uint32(p.Time%1e6))
	dst = le.AppendUint32(dst, uint32(len(p.Data)))
	dst = le.AppendUint32(dst, uint32(min(uint64(max(p.WireLen, len(p.Data))), math.MaxUint32)))
	return append(dst, p.Data...)
}

// readPacket reads the packet that b begins with and returns how many bytes it takes; 0 if it is cut or none.
func readPacket(b []byte) (p Packet, n int) {
	if len(b) < packetHeaderLen {
		return p, 0
	}
	le := binary.LittleEndian
	sec, micro, captured, wire := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	if captured > MaxSnapLen || captured > wire || micro >= 1e6 || uint64(captured) > uint64(len(b)-packetHeaderLen) || sec|micro|wire == 0 {
		return p, 0
	}
	n = packetHeaderLen + int(captured)
	return Packet{netflow.Timestamp(sec)*1e6 + netflow.Timestamp(micro), int(wire), b[packetHeaderLen:n:n]}, n
}

// packetsOf returns the packets that b begins with, and their offsets in b. The data is not copied.
func packetsOf(b []byte) iter.Seq2[int, Packet] {
	return func(yield func(int, Packet) bool) {
		for at := 0; at < len(b); {
			p, n := readPacket(b[at:])
			if n == 0 || !yield(at, p) {
				return
			}
			at += n
		}
	}
}
