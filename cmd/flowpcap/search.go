package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/dissect"
)

// search looks for packets: find asks the indexes for blocks, packets reads these and looks at each packet.
type search struct {
	dir      string
	from, to netflow.Timestamp // from <= time < to; 0: no bound
	link     int               // link type; -1: any
	matcher  *matcher          // nil: all packets
	warn     func(error)       // of a file that is passed over, or a part of one

	files   []string
	links   map[dissect.LinkType]bool // of the files
	hits    []hit
	damaged int // files

	blocks, bytes, bytesRead int64 // in the archive, within the bounds; of the captures; of packets read
}

// hit is a block that is to be read.
type hit struct {
	file           int
	offset         int64
	bytes, packets int
	first, last    netflow.Timestamp
}

// keysAtOnce is how many keys are gathered before the filter looks at them.
const keysAtOnce = 8192

// find fills hits, in the order of their first packets.
func (s *search) find(ctx context.Context) error {
	var err error
	if s.files, err = archive.List(s.dir); err != nil {
		return err
	}
	if len(s.files) == 0 {
		return fmt.Errorf("%s: no packet archive: probe --archive makes one", s.dir)
	}
	s.links = map[dissect.LinkType]bool{}
	for i, base := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.findIn(ctx, i); err != nil && !errors.Is(err, os.ErrNotExist) { // the ring deletes
			s.damaged++
			s.warn(fmt.Errorf("%s: %w", base, err))
		}
	}
	slices.SortStableFunc(s.hits, func(a, b hit) int { return cmp.Compare(a.first, b.first) })
	return nil
}

func (s *search) findIn(ctx context.Context, file int) error {
	f, err := archive.OpenFile(s.dir, s.files[file])
	if err != nil {
		return err
	}
	defer f.Close()
	if s.link >= 0 && int(f.Link) != s.link {
		return nil
	}
	s.links[f.Link] = true
	s.bytes += f.Size()
	var keys []archive.Key
	var owners []int // of keys: places in blocks
	var blocks []hit
	decide := func() error {
		chosen := make([]bool, len(blocks))
		err := s.matcher.choose(ctx, keys, func(i int) { chosen[owners[i]] = true })
		for i, h := range blocks {
			if chosen[i] {
				s.hits = append(s.hits, h)
			}
		}
		keys, owners, blocks = keys[:0], owners[:0], blocks[:0]
		return err
	}
	err = f.Blocks(s.from, s.to, func(b *archive.Block) error {
		s.blocks++
		h := hit{file, b.Offset, b.Bytes, b.Packets, b.First, b.Last}
		if s.matcher == nil {
			s.hits = append(s.hits, h)
			return nil
		}
		if b.NonIP > 0 {
			keys, owners = append(keys, archive.Key{}), append(owners, len(blocks))
		}
		for range b.Keys {
			owners = append(owners, len(blocks))
		}
		keys = append(keys, b.Keys...)
		blocks = append(blocks, h)
		if len(keys) < keysAtOnce {
			return nil
		}
		return decide()
	})
	if s.matcher != nil {
		err = errors.Join(err, decide())
	}
	s.bytesRead += f.BytesRead()
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

// packets calls emit with the packets that match, in time order; those of one time in the order of the archive. It holds
// the packets of blocks that overlap in time.
func (s *search) packets(ctx context.Context, emit func(pcapfile.Frame) error) error {
	open := map[int]*archive.File{}
	left := map[int]int{} // hits of a file to come
	for _, h := range s.hits {
		left[h.file]++
	}
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	var waiting []archive.Packet // in time order
	link, err := s.linkType()
	if err != nil {
		return err
	}
	flush := func(n int) error {
		for _, p := range waiting[:n] {
			if err := emit(pcapfile.Frame{Time: int64(p.Time) * 1000, WireLen: p.WireLen, LinkType: uint16(link), Data: p.Data}); err != nil {
				return fmt.Errorf("standard output: %w", err)
			}
		}
		waiting = slices.Delete(waiting, 0, n)
		return nil
	}
	bad := map[int]bool{}
	for _, h := range s.hits {
		if err := ctx.Err(); err != nil {
			return err
		}
		due, _ := slices.BinarySearchFunc(waiting, h.first, func(p archive.Packet, t netflow.Timestamp) int { return cmp.Compare(p.Time, t) })
		if err := flush(due); err != nil {
			return err
		}
		found, err := s.read(ctx, open, &h)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !bad[h.file] {
			bad[h.file] = true
			s.damaged++
			s.warn(err)
		}
		waiting = append(waiting, found...)
		slices.SortStableFunc(waiting, func(a, b archive.Packet) int { return cmp.Compare(a.Time, b.Time) })
		if left[h.file]--; left[h.file] == 0 && open[h.file] != nil {
			open[h.file].Close()
			delete(open, h.file)
		}
	}
	return flush(len(waiting))
}

// read returns the packets of a block that match.
func (s *search) read(ctx context.Context, open map[int]*archive.File, h *hit) ([]archive.Packet, error) {
	f := open[h.file]
	if f == nil {
		var err error
		if f, err = archive.OpenFile(s.dir, s.files[h.file]); err != nil {
			return nil, err
		}
		open[h.file] = f
	}
	before := f.BytesRead()
	packets, err := f.AppendPackets(nil, &archive.Block{Offset: h.offset, Bytes: h.bytes, Packets: h.packets})
	s.bytesRead += f.BytesRead() - before
	packets = slices.DeleteFunc(packets, func(p archive.Packet) bool { return p.Time < s.from || s.to != 0 && p.Time >= s.to })
	if s.matcher == nil {
		return packets, err
	}
	keys := make([]archive.Key, len(packets))
	for i, p := range packets {
		keys[i] = archive.KeyOf(f.Link, p.Data, p.WireLen)
	}
	if err := s.matcher.decide(ctx, keys); err != nil {
		return nil, err
	}
	n := 0
	for i, p := range packets {
		if s.matcher.verdicts[keys[i]] {
			packets[n] = p
			n++
		}
	}
	return packets[:n], err
}
