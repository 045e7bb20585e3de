package probe

import (
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/capture"
)

// ArchiveSummary is what became of the packets on the way to the archive.
type ArchiveSummary struct {
	Archived      uint64 `json:"archived"`       // packets
	ArchivedBytes uint64 `json:"archived_bytes"` // of them, with the headers of pcap
	QueueFull     uint64 `json:"queue_full"`     // packets not archived: the disk was too slow
	NoSpace       uint64 `json:"no_space"`       // likewise: the disk was full
	WriteErrors   uint64 `json:"write_errors"`   // likewise: the files could not be written for another reason
	BadTime       uint64 `json:"bad_time"`       // likewise: before 1970 or after 2106, which pcap cannot hold
	Underway      uint64 `json:"underway"`       // packets in memory
	FilesMade     uint64 `json:"files_made"`
	FilesDeleted  uint64 `json:"files_deleted"` // for the bounds of the ring
	BytesHeld     int64  `json:"bytes_held"`    // by all files of the folder, indexes included
}

func archiveSummary(s archive.Stats) *ArchiveSummary {
	return &ArchiveSummary{
		Archived: s.Archived, ArchivedBytes: s.ArchivedBytes, QueueFull: s.QueueFull, NoSpace: s.NoSpace, WriteErrors: s.WriteErrors,
		BadTime: s.BadTime, Underway: s.Underway, FilesMade: s.FilesMade, FilesDeleted: s.FilesDeleted, BytesHeld: s.BytesHeld,
	}
}

func (a *ArchiveSummary) text(t *text) {
	if a == nil {
		return
	}
	t.part("archive")
	t.line(a.Archived, "packets archived", "")
	t.some(a.QueueFull, "not archived", "the disk was too slow")
	t.some(a.NoSpace, "not archived", "the disk was full")
	t.some(a.WriteErrors, "not archived", "the files could not be written")
	t.some(a.BadTime, "not archived", "their time is before 1970 or after 2106")
	t.some(a.Underway, "under way", "")
	t.line(uint64(a.BytesHeld), "bytes held", "")
	t.line(a.FilesMade, "files made", "")
	t.some(a.FilesDeleted, "files deleted", "the oldest, for the bounds of the archive")
}

// snapLen is what has to be captured of a packet for everything that is done with it.
func (c *Config) snapLen() int {
	n := c.SnapLen
	if n == 0 {
		n = capture.DefaultSnapLen
	}
	if c.Archive.Dir != "" {
		keep := c.Archive.SnapLen
		if keep == 0 {
			keep = archive.DefaultSnapLen
		}
		n = max(n, keep)
	}
	if c.Tap != "" {
		n = capture.MaxSnapLen
	}
	return n
}

func (p *Probe) openArchive() error {
	c := p.cfg.Archive
	if c.Dir == "" {
		return nil
	}
	if c.Logger == nil {
		c.Logger = p.cfg.Logger
	}
	var err error
	p.archive, err = archive.New(c)
	return err
}

// startArchive lets the archive write until the function that it returns is called, which waits for its end.
func (p *Probe) startArchive() (stop func() error) {
	if p.archive == nil {
		return func() error { return nil }
	}
	ended := make(chan error, 1)
	go func() { ended <- p.archive.Run() }()
	return func() error {
		p.archive.Stop()
		return <-ended
	}
}
