package capture

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
)

// File is a Source that reads a capture file. After a damaged place Next returns an error of package pcapfile.
type File struct {
	r       *pcapfile.Reader
	name    string
	pump    *pump          // standard input; nil for files
	frame   pcapfile.Frame // the last one
	stopped atomic.Bool
}

// OpenFile opens a pcap or pcapng file, also compressed by gzip; "-" is standard input. It reads the file's header.
func OpenFile(path string) (*File, error) {
	f := &File{name: path}
	var err error
	if path == "-" {
		f.pump = newPump(os.Stdin)
		f.r, err = pcapfile.NewReader(f.pump)
	} else {
		f.r, err = pcapfile.Open(path)
	}
	if err != nil {
		return nil, f.named(err)
	}
	return f, nil
}

// Name is the path given to OpenFile.
func (f *File) Name() string { return f.name }

// Next implements Source.
func (f *File) Next(frame *Frame) error {
	if f.stopped.Load() {
		return io.EOF
	}
	p := &f.frame
	if err := f.r.Read(p); err != nil {
		if f.stopped.Load() {
			return io.EOF
		}
		return f.named(err)
	}
	frame.Time = netflow.Timestamp(p.Time / 1000)
	frame.WireLen = p.WireLen
	frame.Data = p.Data
	frame.Interface = p.Interface
	frame.Link = dissect.LinkType(p.LinkType)
	return nil
}

// named puts the name into errors about standard input, which its reader does not know.
func (f *File) named(err error) error {
	if e := (*pcapfile.Error)(nil); errors.As(err, &e) {
		e.File = f.name
	}
	return err
}

// Progress returns how many bytes of the file have been read and how many it has; total 0: not known.
func (f *File) Progress() (done, total int64) { return f.r.Progress() }

// Stop implements Source.
func (f *File) Stop() {
	f.stopped.Store(true)
	if f.pump != nil {
		f.pump.stop()
	}
}

// Stats implements Source.
func (f *File) Stats() Stats { return Stats{} }

// Close implements Source.
func (f *File) Close() error {
	f.Stop()
	return f.r.Close()
}
