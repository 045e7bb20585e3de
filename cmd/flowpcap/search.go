package main

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/dissect"
)

// search looks for packets: list looks at what the archive has, and packets at the index of a file when its time comes, and
// at the blocks of packets that it names.
type search struct {
	dir     string
	from    netflow.Timestamp // from <= time < to; 0: no bound
	to      netflow.Timestamp
	link    int                // link type; -1: any
	matcher *matcher           // nil: all packets
	choice  *archive.Selection // what indexes are asked for
	warn    func(error)        // of a file that is passed over, or a part of one

	files   []source                  // not looked at yet, in the order of their first packets
	links   map[dissect.LinkType]bool // of the files
	hits    []hit                     // not read yet, in the order of their first packets
	open    map[string]*opened
	blocks  blocks   // read, with packets to come
	buffers [][]byte // not in use

	damaged map[string]bool // files
	stats   stats
}

// stats is how much was looked at.
type stats struct {
	blocks            int   // read
	bytes, bytesRead  int64 // of the captures
	indexes, indexAll int64 // bytes read of the indexes, and those they have
}

// source is a capture of the archive.
type source struct {
	base  string
	first netflow.Timestamp
}

// hit is a block that is to be read.
type hit struct {
	base           string
	offset         int64
	bytes, packets int
	first          netflow.Timestamp
}

// opened is a capture of which blocks are to be read.
type opened struct {
	*archive.File
	left int // blocks
}

// block has packets that match, in time order, at least one.
type block struct {
	hit
	packets []archive.Packet
	buffer  []byte
}

// blocks is a heap: first the one with the earliest packet, of equals the one that the archive has first.
type blocks []*block

func (b blocks) Len() int      { return len(b) }
func (b blocks) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b blocks) Less(i, j int) bool {
	x, y := b[i], b[j]
	return cmp.Or(cmp.Compare(x.packets[0].Time, y.packets[0].Time), cmp.Compare(x.base, y.base), cmp.Compare(x.offset, y.offset)) < 0
}
func (b *blocks) Push(x any) { *b = append(*b, x.(*block)) }
func (b *blocks) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

// list fills files and links. Of files whose index does not end with a summary, as the one being written, all of the index
// is looked at.
func (s *search) list(ctx context.Context) error {
	names, err := archive.List(s.dir)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: no packet archive: probe --archive makes one", s.dir)
	}
	s.links, s.open, s.damaged = map[dissect.LinkType]bool{}, map[string]*opened{}, map[string]bool{}
	for _, base := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.complain(base, s.listFile(base))
	}
	slices.SortStableFunc(s.files, func(a, b source) int { return cmp.Compare(a.first, b.first) })
	s.sortHits()
	return nil
}

func (s *search) sortHits() {
	slices.SortStableFunc(s.hits, func(a, b hit) int { return cmp.Compare(a.first, b.first) })
}

func (s *search) listFile(base string) error {
	f, err := archive.OpenFile(s.dir, base)
	if err != nil {
		return err
	}
	defer f.Close()
	if s.link >= 0 && int(f.Link) != s.link {
		return nil
	}
	s.links[f.Link] = true
	s.stats.bytes += f.Size()
	s.stats.indexAll += f.IndexSize()
	if first, last, ok := f.Times(); ok {
		if s.choice.Within(first, last) {
			s.files = append(s.files, source{base, first})
		}
		s.stats.indexes += f.IndexRead()
		return nil
	}
	return s.look(f, base)
}

// complain warns once of each file, unless it was only deleted by the ring.
func (s *search) complain(base string, err error) {
	if err != nil && !errors.Is(err, os.ErrNotExist) && !s.damaged[base] {
		s.damaged[base] = true
		s.warn(fmt.Errorf("%s: %w", base, err))
	}
}

// look fills hits from the index of a file.
func (s *search) look(f *archive.File, base string) error {
	before := len(s.hits)
	err := f.Blocks(s.choice, func(b *archive.Block) error {
		if s.matcher == nil || slices.ContainsFunc(b.Keys, func(k archive.Key) bool { return s.matcher.match(&k) }) ||
			b.NonIP > 0 && s.matcher.match(&archive.Key{}) {
			s.hits = append(s.hits, hit{base, b.Offset, b.Bytes, b.Packets, b.First})
		}
		return nil
	})
	if found := len(s.hits) - before; found > 0 {
		s.open[base] = &opened{left: found}
	}
	s.stats.bytesRead += f.BytesRead()
	s.stats.indexes += f.IndexRead()
	return err
}

// linkType is that of the output.
func (s *search) linkType() (dissect.LinkType, error) {
	links := slices.Sorted(maps.Keys(s.links))
	switch len(links) {
	case 0:
		if s.link >= 0 {
			return dissect.LinkType(s.link), nil
		}
		return dissect.LinkEthernet, nil
	case 1:
		return links[0], nil
	}
	return 0, fmt.Errorf("the archive has packets of link types %v, and a pcap file can have one: choose by --link", links)
}

// packets calls emit with the packets that match, in time order; those of one time in the order of the archive. In memory
// are the blocks that overlap in time, and the places of those of the files that do.
func (s *search) packets(ctx context.Context, emit func(pcapfile.Frame) error) error {
	defer func() {
		for _, o := range s.open {
			if o.File != nil {
				o.Close()
			}
		}
	}()
	link, err := s.linkType()
	if err != nil {
		return err
	}
	const never = math.MaxInt64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		packet, block := netflow.Timestamp(never), netflow.Timestamp(never)
		if len(s.blocks) > 0 {
			packet = s.blocks[0].packets[0].Time
		}
		if len(s.hits) > 0 {
			block = s.hits[0].first
		}
		switch {
		case len(s.files) > 0 && s.files[0].first <= min(packet, block):
			base := s.files[0].base
			s.files = s.files[1:]
			f, err := archive.OpenFile(s.dir, base)
			if err == nil {
				err = errors.Join(s.look(f, base), f.Close())
			}
			s.complain(base, err)
			s.sortHits()
		case len(s.hits) > 0 && block <= packet:
			h := s.hits[0]
			s.hits = s.hits[1:]
			s.complain(h.base, s.read(&h))
		case len(s.blocks) > 0:
			b := s.blocks[0]
			p := b.packets[0]
			if err := emit(pcapfile.Frame{Time: int64(p.Time) * 1000, WireLen: p.WireLen, LinkType: uint16(link), Data: p.Data}); err != nil {
				return fmt.Errorf("standard output: %w", err)
			}
			if b.packets = b.packets[1:]; len(b.packets) > 0 {
				heap.Fix(&s.blocks, 0)
			} else {
				heap.Pop(&s.blocks)
				s.buffers = append(s.buffers, b.buffer)
			}
		default:
			return nil
		}
	}
}

// read puts a block's packets that match into blocks.
func (s *search) read(h *hit) error {
	o := s.open[h.base]
	if o.File == nil {
		var err error
		if o.File, err = archive.OpenFile(s.dir, h.base); err != nil {
			return err
		}
	}
	b := &block{hit: *h}
	if n := len(s.buffers); n > 0 {
		b.buffer, s.buffers = s.buffers[n-1], s.buffers[:n-1]
	}
	before := o.BytesRead()
	packets, err := o.AppendPackets(nil, &archive.Block{Offset: h.offset, Bytes: h.bytes, Packets: h.packets}, &b.buffer)
	s.stats.blocks++
	s.stats.bytesRead += o.BytesRead() - before
	b.packets = slices.DeleteFunc(packets, func(p archive.Packet) bool { return !s.wants(o.Link, &p) })
	slices.SortStableFunc(b.packets, func(a, b archive.Packet) int { return cmp.Compare(a.Time, b.Time) })
	if len(b.packets) > 0 {
		heap.Push(&s.blocks, b)
	} else {
		s.buffers = append(s.buffers, b.buffer)
	}
	if o.left--; o.left == 0 {
		err = errors.Join(err, o.Close())
		delete(s.open, h.base)
	}
	return err
}

func (s *search) wants(link dissect.LinkType, p *archive.Packet) bool {
	if p.Time < s.from || s.to != 0 && p.Time >= s.to {
		return false
	}
	if s.matcher == nil {
		return true
	}
	k := archive.KeyOf(link, p.Data, p.WireLen)
	return s.choice.Has(&k) && s.matcher.match(&k)
}
