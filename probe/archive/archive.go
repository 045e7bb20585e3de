package archive

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/internal/handover"
)

// complainEvery bounds how often the log repeats that packets are not archived.
const complainEvery = time.Minute

// Archive writes packets into a folder. Run writes; Recorders and Stats may be used meanwhile.
type Archive struct {
	cfg    Config
	lock   *os.File // the folder
	root   *os.Root // likewise: it stays the same when the process changes its root folder
	queue  *handover.Queue[block]
	index  *indexer
	create func(name string) (file, error)

	// Of the goroutine in Run.
	open       map[dissect.LinkType]*pair
	finished   []entry // oldest first
	held       int64   // bytes of all files
	entries    []byte  // of the index, being made
	complained time.Time

	bounds atomic.Pointer[Config] // from SetBounds, to be taken over; or nil

	ends atomic.Int64 // when the first of the open files' intervals is over, in microseconds; MaxInt64: none

	given, queueFull, badTime                     atomic.Uint64 // by Recorders
	archived, archivedBytes, noSpace, writeErrors atomic.Uint64
	filesMade, filesDeleted                       atomic.Uint64
	heldNow                                       atomic.Int64
}

// Stats counts packets. Given = Archived + QueueFull + NoSpace + WriteErrors + BadTime + Underway.
type Stats struct {
	Given         uint64
	Archived      uint64
	ArchivedBytes uint64 // with the headers of pcap
	QueueFull     uint64 // not archived: the disk was too slow
	NoSpace       uint64 // not archived: the disk was full
	WriteErrors   uint64 // not archived: the files could not be written for another reason
	BadTime       uint64 // not archived: before 1970 or after 2106
	Underway      uint64 // in memory
	FilesMade     uint64
	FilesDeleted  uint64 // by the ring
	BytesHeld     int64  // of all files in the folder, indexes included
}

// ErrLocked is the cause when another process archives into the folder.
var ErrLocked = errors.New("in use by another process")

// New makes and locks the folder, and repairs what a killed process has left in it.
func New(cfg Config) (*Archive, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", cfg.Dir, err)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("archive: %w", err), lock.Close())
	}
	a := &Archive{
		cfg: cfg, lock: lock, root: root, queue: newQueue(), index: newIndexer(), open: map[dissect.LinkType]*pair{},
	}
	a.create = func(name string) (file, error) { return root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640) }
	a.ends.Store(math.MaxInt64)
	if err := a.adopt(); err != nil {
		return nil, errors.Join(fmt.Errorf("archive %s: %w", cfg.Dir, err), a.Close())
	}
	return a, nil
}

// Close unlocks the folder. Run must have returned, or never been called.
func (a *Archive) Close() error { return errors.Join(a.root.Close(), a.lock.Close()) }

// Stop lets Run write what the Recorders have handed on, and return.
func (a *Archive) Stop() { a.queue.Close() }

// Run writes until Stop is called; then it gives the open files their final names.
func (a *Archive) Run() error {
	for blocks := a.queue.Take(nil); len(blocks) > 0; blocks = a.queue.Take(blocks) {
		for _, b := range blocks {
			a.write(b)
			a.queue.Release(b)
		}
	}
	return a.finishAll()
}

// Stats may be called at any time. Given is exact after the Recorders' last Commit.
func (a *Archive) Stats() Stats {
	s := Stats{
		Archived: a.archived.Load(), ArchivedBytes: a.archivedBytes.Load(), NoSpace: a.noSpace.Load(), WriteErrors: a.writeErrors.Load(),
		FilesMade: a.filesMade.Load(), FilesDeleted: a.filesDeleted.Load(), BytesHeld: a.heldNow.Load(),
	}
	s.QueueFull, s.BadTime = a.queueFull.Load(), a.badTime.Load()
	s.Given = a.given.Load() // last: what was written has been counted as given
	s.Underway = s.Given - s.Archived - s.QueueFull - s.NoSpace - s.WriteErrors - s.BadTime
	return s
}

// write appends a block to the capture of its link type, in its interval.
func (a *Archive) write(b *block) {
	a.endIntervals(b.start)
	if b.packets == 0 {
		return
	}
	a.entries = a.entries[:0]
	for at := 0; at < len(b.data); {
		x := a.index.index(b.link, b.data[at:])
		x.Offset = int64(at)
		a.entries = appendEntry(a.entries, &x)
		at += x.Bytes
	}
	err := a.store(b)
	if err == nil {
		a.archived.Add(b.packets)
		a.archivedBytes.Add(uint64(len(b.data)))
		return
	}
	if full(err) {
		a.noSpace.Add(b.packets)
	} else {
		a.writeErrors.Add(b.packets)
	}
	if now := time.Now(); now.Sub(a.complained) >= complainEvery {
		a.complained = now
		a.cfg.Logger.Error("packets are not archived", "dir", a.cfg.Dir, "packets", b.packets, "err", err)
	}
}

// store makes room for a block and writes it, and entries; when the disk is full and the ring may, it deletes old files
// and tries again.
func (a *Archive) store(b *block) error {
	a.takeBounds()
	if p := a.open[b.link]; p != nil && p.data.size+int64(len(b.data)) > a.cfg.Size {
		if err := a.finish(p); err != nil {
			return err
		}
	}
	need := int64(len(b.data) + len(a.entries))
	offset := int64(0)
	for {
		err := a.makeRoom(b.link, need)
		if err == nil {
			var p *pair
			if p, err = a.pairFor(b); err == nil {
				moveEntries(a.entries, p.data.size-offset)
				offset = p.data.size
				if err = p.append(b.data, a.entries); err == nil {
					a.hold(need)
					return nil
				}
				if p.broken {
					delete(a.open, p.link) // its tmp- file is repaired at the next start
					err = errors.Join(err, p.close())
				}
			}
		}
		if !full(err) || !a.cfg.ring() || !a.deleteOldest() {
			return err
		}
	}
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func (a *Archive) hold(bytes int64) {
	a.held += bytes
	a.heldNow.Store(a.held)
}

// pairFor returns the open files for a block, new ones if need be.
func (a *Archive) pairFor(b *block) (*pair, error) {
	if p := a.open[b.link]; p != nil {
		return p, nil
	}
	n := name{start: int64(b.start) / 1e6}
	end := netflow.Timestamp(math.MaxInt64)
	if every := netflow.Timestamp(a.cfg.Rotate / time.Microsecond); every > 0 {
		start := b.start - b.start%every
		n.start, end = int64(start/1e6), start+every
	}
	for _, e := range a.finished {
		if e.start == n.start {
			n.part = max(n.part, e.part+1)
		}
	}
	for _, p := range a.open {
		if p.name.start == n.start {
			n.part = max(n.part, p.name.part+1)
		}
	}
	for {
		p, err := a.newPair(n, b.link)
		if errors.Is(err, os.ErrExist) {
			n.part++
			continue
		}
		if err != nil {
			return nil, err
		}
		p.end = end
		a.open[b.link] = p
		a.filesMade.Add(1)
		a.hold(p.size())
		a.setEnds()
		return p, nil
	}
}

func (a *Archive) setEnds() {
	ends := int64(math.MaxInt64)
	for _, p := range a.open {
		ends = min(ends, int64(p.end))
	}
	a.ends.Store(ends)
}

// endIntervals finishes the files whose interval is over. Packets of several interfaces come a little out of order, which
// must not make a file each; so a file also takes what is up to an interval too old for it.
func (a *Archive) endIntervals(now netflow.Timestamp) {
	every := netflow.Timestamp(a.cfg.Rotate / time.Microsecond)
	if every == 0 {
		return
	}
	for _, p := range a.open {
		if now >= p.end || now < p.end-2*every {
			if err := a.finish(p); err != nil {
				a.cfg.Logger.Error("a file of the archive could not be finished", "file", p.name.base(), "err", err)
			}
		}
	}
	a.setEnds()
}

// finish gives an open file and its index their final names, or deletes them when they are without packets.
func (a *Archive) finish(p *pair) error {
	delete(a.open, p.link)
	if p.data.size <= pcapHeaderLen {
		a.hold(-p.size())
		return errors.Join(p.close(), p.remove(a.root))
	}
	before := p.size()
	p.summarize()
	a.hold(p.size() - before)
	err := p.close()
	if err = errors.Join(err, rename(a.root, p.name)); err != nil {
		return err
	}
	a.addFinished(entry{name: p.name, size: p.size()})
	return nil
}

func (a *Archive) addFinished(e entry) {
	at, _ := slices.BinarySearchFunc(a.finished, e, func(x, y entry) int { return cmp.Or(x.compare(y.name)) })
	a.finished = slices.Insert(a.finished, at, e)
}

func (a *Archive) finishAll() error {
	var errs []error
	for _, p := range a.open {
		errs = append(errs, a.finish(p))
	}
	return errors.Join(errs...)
}

// makeRoom deletes the oldest files until the ring's bounds allow for need more bytes.
func (a *Archive) makeRoom(link dissect.LinkType, need int64) error {
	files := len(a.finished) + len(a.open)
	for _, p := range a.open { // their summaries are still to come
		need += summaryRoom(p.index.size+int64(len(a.entries)), a.cfg.Size)
	}
	if a.open[link] == nil {
		files++
		need += pcapHeaderLen + indexHeaderLen + summaryRoom(int64(len(a.entries)), a.cfg.Size)
	}
	for {
		free, err := int64(math.MaxInt64), error(nil)
		if a.cfg.MinFree > 0 {
			if free, err = freeSpace(a.lock); err != nil {
				return err
			}
		}
		tooMany := a.cfg.MaxFiles > 0 && files > a.cfg.MaxFiles
		tooMuch := a.cfg.MaxBytes > 0 && a.held+need > a.cfg.MaxBytes
		tooFull := free-need < a.cfg.MinFree
		if !tooMany && !tooMuch && !tooFull {
			return nil
		}
		if !a.deleteOldest() {
			return fmt.Errorf("nothing is left to delete: %w", syscall.ENOSPC)
		}
		files--
	}
}

// deleteOldest deletes the oldest file; when all are open, it finishes them first unless there is only one.
func (a *Archive) deleteOldest() bool {
	if len(a.finished) == 0 && len(a.open) > 1 {
		if err := a.finishAll(); err != nil {
			a.cfg.Logger.Error("files of the archive could not be finished", "err", err)
		}
	}
	if len(a.finished) == 0 {
		return false
	}
	e := a.finished[0]
	a.finished = a.finished[1:]
	err := a.root.Remove(e.base() + captureTail)
	if errIndex := a.root.Remove(e.base() + indexTail); !errors.Is(errIndex, os.ErrNotExist) {
		err = errors.Join(err, errIndex)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.cfg.Logger.Error("a file of the archive could not be deleted", "file", e.base(), "err", err)
		return len(a.finished) > 0
	}
	a.hold(-e.size)
	a.filesDeleted.Add(1)
	return true
}
