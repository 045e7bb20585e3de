package archive

import (
	"errors"
	"io"
	"os"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// file is what an Archive needs of an open file.
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// sized is a file and how much of it is good.
type sized struct {
	file
	size int64
}

// append writes b behind what is good. After an error nothing of it counts.
func (s *sized) append(b []byte) error {
	_, err := s.WriteAt(b, s.size)
	if err == nil {
		s.size += int64(len(b))
	}
	return err
}

// pair is an open capture and its index.
type pair struct {
	name        name
	link        dissect.LinkType
	end         netflow.Timestamp // of its interval
	data, index sized
	summary     *summarizer // of what index has
	broken      bool        // it cannot be appended to any more
}

// newPair makes the files. Its error is os.ErrExist when the name is taken.
func (a *Archive) newPair(n name, link dissect.LinkType) (*pair, error) {
	for _, tail := range []string{captureTail, indexTail} {
		if _, err := a.root.Lstat(n.base() + tail); err == nil {
			return nil, os.ErrExist
		}
	}
	p := &pair{name: n, link: link, summary: newSummarizer(a.cfg.Size)}
	var err error
	if p.data.file, err = a.create(tmpPrefix + n.base() + captureTail); err != nil {
		return nil, err
	}
	if p.index.file, err = a.create(tmpPrefix + n.base() + indexTail); err != nil {
		err = errors.Join(err, p.data.Close())
		if !errors.Is(err, os.ErrExist) {
			err = errors.Join(err, a.root.Remove(tmpPrefix+n.base()+captureTail))
		}
		return nil, err
	}
	err = p.data.append(appendPcapHeader(nil, a.cfg.SnapLen, link))
	if err == nil {
		err = p.index.append(appendIndexHeader(nil, link))
	}
	if err != nil {
		return nil, errors.Join(err, p.close(), p.remove(a.root))
	}
	return p, nil
}

func (p *pair) size() int64 { return p.data.size + p.index.size }

// append writes a block and its index entries, in this order: a reader of the index finds the packets. If one fails, both
// are as before.
func (p *pair) append(records, entries []byte) error {
	before := p.data.size
	err := p.data.append(records)
	if err == nil {
		if err = p.index.append(entries); err == nil {
			p.summary.add(entries)
			return nil
		}
	}
	p.data.size = before
	if cut := errors.Join(p.index.Truncate(p.index.size), p.data.Truncate(before)); cut != nil {
		p.broken = true
		err = errors.Join(err, cut)
	}
	return err
}

// summarize ends the index by its summary. It does without when that cannot be written.
func (p *pair) summarize() {
	if p.index.append(p.summary.appendTo(nil)) != nil {
		_ = p.index.Truncate(p.index.size) // what is left of it has no checksum that fits
	}
}

func (p *pair) close() error { return errors.Join(p.data.Close(), p.index.Close()) }

// rename gives the files their final names, the index first: a capture that is done has one.
func rename(root *os.Root, n name) error {
	for _, tail := range []string{indexTail, captureTail} {
		if err := root.Rename(tmpPrefix+n.base()+tail, n.base()+tail); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) remove(root *os.Root) error {
	return errors.Join(root.Remove(tmpPrefix+p.name.base()+captureTail), root.Remove(tmpPrefix+p.name.base()+indexTail))
}
