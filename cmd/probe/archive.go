package main

import (
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/archive"
)

// archiveFlags are the flags about keeping packets.
type archiveFlags struct {
	size, max, free cli.Size
}

func (a *archiveFlags) register(f *pflag.FlagSet, c *probe.Config) {
	c.Archive.Rotate = archive.DefaultRotate
	f.StringVar(&c.Archive.Dir, "archive", "", "keep the packets in pcap files with indexes in `DIR`, for flowpcap")
	f.Var(&a.size, "archive-size", "begin a new file before one exceeds `SIZE`; 0: 1GiB, or an eighth of --archive-max if that is less")
	f.DurationVar(&c.Archive.Rotate, "archive-rotate", c.Archive.Rotate, "begin a new file every `DURATION`, at round times in UTC; 0: only by size")
	f.IntVar(&c.Archive.SnapLen, "archive-snaplen", 0, "keep `N` bytes of each packet, and capture as many; 0: all")
	f.Var(&a.max, "archive-max", "delete the oldest files so that all have at most `SIZE`, indexes included; 0: no limit")
	f.IntVar(&c.Archive.MaxFiles, "archive-files", 0, "delete the oldest files so that there are at most `N`; 0: no limit")
	f.Var(&a.free, "archive-min-free", "delete the oldest files so that `SIZE` is left free on the disk; 0: no limit")
}

func (a *archiveFlags) complete(c *probe.Config) {
	c.Archive.Size, c.Archive.MaxBytes, c.Archive.MinFree = int64(a.size), int64(a.max), int64(a.free)
}
