package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/export"
)

// Probe meters packets and exports flows. Run is to be called once; Summary and Progress may be called at any time.
type Probe struct {
	cfg      Config
	mu       sync.Mutex       // of what Reload changes in cfg
	reload   sync.Mutex       // one Reload at a time
	queue    *queue           // nil without destinations
	outlet   *outlet          // likewise
	exporter *export.Exporter // likewise
	meters   []*meter         // one for each ring of each interface in lives, or one for all files and its workers
	lives    []*life          // interfaces that do not come again
	wild     *wildcards       // nil: all interfaces are such
	archive  *archive.Archive // nil: packets are not kept
	tap      *capture.Tap     // nil: packets are not sent on

	accounting *accounting // nil: there is none
}

// New opens the interfaces, the sockets to the collectors, and looks whether the files are captures.
func New(cfg Config) (*Probe, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Sample.draw()
	p := &Probe{cfg: cfg}
	if err := p.open(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *Probe) open() error {
	for _, name := range p.cfg.Files {
		if err := look(name); err != nil {
			return err
		}
	}
	if len(p.cfg.Export.Destinations) > 0 {
		var err error
		if p.exporter, err = export.New(p.exportConfig()); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		p.queue = newQueue()
		p.outlet = &outlet{exporter: p.exporter}
	}
	if err := p.openArchive(); err != nil {
		return err
	}
	if err := p.openAccounting(); err != nil {
		return err
	}
	if err := p.openTap(); err != nil {
		return err
	}
	for _, name := range p.cfg.Interfaces {
		if p.cfg.comes(name) {
			continue
		}
		if err := p.checkTap(name); err != nil {
			return err
		}
		if err := p.openInterface(name); err != nil {
			return err
		}
	}
	if len(p.cfg.Files) > 0 {
		return p.openReader()
	}
	return p.openWildcards()
}

// addMeter makes a meter whose table has an n-th of the flows.
func (p *Probe) addMeter(n int) (*meter, error) {
	m, err := p.newMeter(n)
	if err == nil {
		p.meters = append(p.meters, m)
	}
	return m, err
}

func (p *Probe) newMeter(n int) (*meter, error) {
	p.mu.Lock()
	cfg := p.cfg
	p.mu.Unlock()
	cfg.Cache = cfg.shareOfCache(n)
	m, err := newMeter(&cfg, p.queue)
	if err == nil {
		p.equip(m)
	}
	return m, err
}

// equip gives a meter that reads what takes the packets beside the table.
func (p *Probe) equip(m *meter) {
	if p.archive != nil {
		m.recorder = p.archive.NewRecorder(!m.live)
	}
	if p.tap != nil {
		m.tap = p.tap.NewPort()
	}
}

// look fails for a file that is no capture, before anything of other files is sent. What can be read but once is left alone.
func look(name string) error {
	if name == "-" {
		return nil
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return fmt.Errorf("%s: is a folder, not a capture", name)
		}
		return nil
	}
	f, err := capture.OpenFile(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// close closes what New has opened and Run has not closed.
func (p *Probe) close() error {
	var errs []error
	for _, m := range p.all() {
		for _, s := range m.sources {
			if s.source != nil {
				errs = append(errs, s.source.Close())
			}
		}
	}
	errs = append(errs, p.wild.close())
	if p.accounting != nil && p.accounting.console != nil {
		errs = append(errs, p.accounting.console.Close())
	}
	if p.exporter != nil {
		errs = append(errs, p.exporter.Close())
	}
	if p.archive != nil {
		errs = append(errs, p.archive.Close())
	}
	if p.tap != nil {
		errs = append(errs, p.tap.Close())
	}
	return errors.Join(errs...)
}

// Run meters until the files are at their end, or the interfaces gone, or ctx ends; then it ends all flows, sends what is
// left, and closes everything. A source that fails ends alone, the others go on; its error is returned at the end. What
// came from it before is kept.
func (p *Probe) Run(ctx context.Context) error {
	var exporting sync.WaitGroup
	if p.queue != nil {
		exporting.Go(func() { p.outlet.drain(p.queue) })
	}
	archiving := p.startArchive()
	err := p.runAccounting(ctx, func(ctx context.Context) error {
		if len(p.cfg.Files) > 0 {
			return p.runFiles(ctx, p.meters[0])
		}
		return p.runInterfaces(ctx)
	})
	if p.queue != nil {
		p.queue.Close()
	}
	exporting.Wait()
	return errors.Join(err, archiving(), p.close())
}

func (p *Probe) runFiles(ctx context.Context, m *meter) error {
	if m.workers != nil {
		m.workers.start()
	}
	var errs []error
	for _, name := range p.cfg.Files {
		if ctx.Err() != nil {
			break
		}
		file, err := capture.OpenFile(name)
		s := &sourceState{origin: p.origin(name), err: err}
		if err == nil {
			s.source = file
		}
		m.mu.Lock()
		m.sources = append(m.sources, s)
		m.mu.Unlock()
		if err == nil {
			stop := context.AfterFunc(ctx, file.Stop)
			err = m.run(s)
			stop()
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	m.flush()
	return errors.Join(errs...)
}

func (p *Probe) runInterfaces(ctx context.Context) error {
	var running sync.WaitGroup
	errs := make([]error, len(p.lives))
	for i, l := range p.lives {
		running.Go(func() {
			p.cfg.Logger.Info("metering", "interface", l.name, "rings", len(l.rings))
			errs[i] = l.run(ctx, p.complain)
		})
	}
	if p.wild != nil {
		p.wild.run(ctx)
	}
	running.Wait()
	return errors.Join(errs...)
}

// Progress says how far a file has been read: bytes done of total, before decompression, and the packets read in all.
// total is 0 when it is not known.
type Progress struct {
	File        string
	Done, Total int64
	Packets     uint64
}

// Progress returns how far reading is, of the file being read.
func (p *Probe) Progress() Progress {
	var at Progress
	for _, m := range p.all() {
		m.mu.Lock()
		for _, s := range m.sources {
			at.Packets += s.counts.frames
			if f, ok := s.source.(*capture.File); ok {
				at.File = s.name
				at.Done, at.Total = f.Progress()
			}
		}
		m.mu.Unlock()
	}
	return at
}
