package capture

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A block is what the kernel hands over at once, and after a few milliseconds though there is but one frame in it. In a
// small ring they are smaller, so that there are more of them: a reader that has to wait for its turn on a busy machine
// finds what has come meanwhile in as many.
const (
	blockSize      = 1 << 20
	smallBlockSize = 256 << 10
	fewBlocks      = 8
)

// blockSizeOf is that of a ring, each of whose frames has to fit into a block.
func blockSizeOf(size, snapLen int) int {
	if size < fewBlocks*blockSize && snapLen <= smallBlockSize/4 {
		return smallBlockSize
	}
	return blockSize
}

// ring is the TPACKET_V3 buffer that is shared with the kernel (Documentation/networking/packet_mmap.rst): blocks that
// belong either to the kernel or to us, told by a word in their header, and are handed over in turn.
type ring struct {
	mem       []byte
	blockSize int
	cur       int // offset of the block that comes next, or that is ours
}

// newRing gives a packet socket a ring of at least size bytes, for frames of up to snapLen. It must happen before the
// socket is bound.
func newRing(fd, size, snapLen int) (*ring, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("TPACKET_V3: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_RESERVE, headroom); err != nil {
		return nil, fmt.Errorf("headroom: %w", err)
	}
	const frameSize = 2048 // version 3 packs frames as they come and only wants the numbers to fit
	blockSize := blockSizeOf(size, snapLen)
	blocks := (size + blockSize - 1) / blockSize
	req := unix.TpacketReq3{
		Block_size: uint32(blockSize), Block_nr: uint32(blocks),
		Frame_size: frameSize, Frame_nr: uint32(blocks * (blockSize / frameSize)),
		Retire_blk_tov: retire,
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("ring of %d KiB (--ring-size takes a smaller one): %w", blocks*blockSize>>10, err)
	}
	mem, err := unix.Mmap(fd, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ring of %d KiB (--ring-size takes a smaller one): %w", blocks*blockSize>>10, err)
	}
	return &ring{mem: mem, blockSize: blockSize}, nil
}

// status is the word of the current block that says whose it is.
func (r *ring) status() *uint32 {
	return &(*unix.TpacketHdrV1)(unsafe.Pointer(&r.mem[r.cur+8])).Block_status // behind version and offset_to_priv
}

// take returns the next block when it is ours. It stays ours until release.
func (r *ring) take() (block, bool) {
	if atomic.LoadUint32(r.status())&unix.TP_STATUS_USER == 0 {
		return block{}, false
	}
	h := (*unix.TpacketHdrV1)(unsafe.Pointer(&r.mem[r.cur+8]))
	return block{mem: r.mem[r.cur : r.cur+r.blockSize], left: h.Num_pkts, at: h.Offset_to_first_pkt}, true
}

// release gives the current block back to the kernel and goes on to the following one.
func (r *ring) release() {
	atomic.StoreUint32(r.status(), unix.TP_STATUS_KERNEL)
	if r.cur += r.blockSize; r.cur == len(r.mem) {
		r.cur = 0
	}
}

// close unmaps the ring. Frames in it must no longer be used.
func (r *ring) close() error { return unix.Munmap(r.mem) }

// block is a block of the ring that is being read.
type block struct {
	mem  []byte
	left uint32 // packets not yet returned
	at   uint32 // offset of the next packet
}

// packet is the header of a packet in a block, and its offset there.
type packet struct {
	*unix.Tpacket3Hdr
	block []byte
	at    uint32
}

// next returns the following packet of the block. Offsets are the kernel's and therefore believed, as far as Go's own
// bounds checks let pass.
func (b *block) next() (packet, bool) {
	if b.left == 0 {
		return packet{}, false
	}
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&b.mem[b.at]))
	p := packet{h, b.mem, b.at}
	b.left--
	b.at += h.Next_offset
	return p, true
}

// address is the packet's struct sockaddr_ll, which lies behind its header.
func (p packet) address() *unix.RawSockaddrLinklayer {
	return (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&p.block[p.at+unix.SizeofTpacket3Hdr]))
}

// from returns the packet's bytes, beginning before the first captured one (there is headroom for it).
func (p packet) from(before int) []byte {
	at := int(p.at) + int(p.Mac)
	return p.block[at-before : at+int(p.Snaplen)]
}
