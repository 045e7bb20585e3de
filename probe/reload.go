package probe

import (
	"errors"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/export"
)

// ErrEnded is returned by Reload when the probe has ended, or is about to.
var ErrEnded = errors.New("the probe has ended")

// Reload changes, while Run runs, what can be changed without losing a packet, and takes nothing else of cfg:
//
//   - Cache.Active, Inactive and TCPExpiry. Flows held go by the new ones.
//   - Export.Destinations, if there were any and are any. A collector that is removed gets what was under way to it; others
//     keep their sequence numbers and connections.
//   - Export.MaxRate, TemplateEvery and TemplatePackets.
//   - Archive.Size, MaxBytes, MaxFiles and MinFree.
//
// An error changes nothing. Meters go on meanwhile, but for 25 ns for each flow held when timeouts change.
func (p *Probe) Reload(cfg Config) error {
	p.reload.Lock()
	defer p.reload.Unlock()
	next := p.cfg
	next.Cache.Active, next.Cache.Inactive, next.Cache.TCPExpiry = cfg.Cache.Active, cfg.Cache.Inactive, cfg.Cache.TCPExpiry
	e := &next.Export
	e.Destinations, e.MaxRate = cfg.Export.Destinations, cfg.Export.MaxRate
	e.TemplateEvery, e.TemplatePackets = cfg.Export.TemplateEvery, cfg.Export.TemplatePackets
	a := &next.Archive
	a.Size, a.MaxBytes, a.MaxFiles, a.MinFree = cfg.Archive.Size, cfg.Archive.MaxBytes, cfg.Archive.MaxFiles, cfg.Archive.MinFree
	if err := next.Validate(); err != nil {
		return err
	}
	if err := p.reloadExport(&next); err != nil {
		return err
	}
	// What follows does not fail: it is valid.
	p.mu.Lock()
	retimed := next.Cache.Active != p.cfg.Cache.Active || next.Cache.Inactive != p.cfg.Cache.Inactive || next.Cache.TCPExpiry != p.cfg.Cache.TCPExpiry
	p.cfg.Cache.Active, p.cfg.Cache.Inactive, p.cfg.Cache.TCPExpiry = next.Cache.Active, next.Cache.Inactive, next.Cache.TCPExpiry
	p.mu.Unlock()
	var errs []error
	for _, m := range p.all() {
		if retimed {
			m.mu.Lock()
			if m.workers != nil {
				m.workers.clock.SetTimeouts(next.Cache.Active, next.Cache.Inactive)
			} else {
				errs = append(errs, m.cache.SetTimeouts(next.Cache.Active, next.Cache.Inactive, next.Cache.TCPExpiry))
			}
			m.mu.Unlock()
		}
	}
	if p.archive != nil {
		errs = append(errs, p.archive.SetBounds(next.Archive))
		p.mu.Lock()
		p.cfg.Archive = next.Archive
		p.mu.Unlock()
	}
	return errors.Join(errs...)
}

// reloadExport has the exporter take over what it can.
func (p *Probe) reloadExport(next *Config) error {
	if p.exporter == nil {
		if len(next.Export.Destinations) > 0 {
			return errors.New("export: there was no collector at the start")
		}
		return nil
	}
	c := p.exportConfig()
	c.Destinations, c.MaxRate = next.Export.Destinations, next.Export.MaxRate
	c.TemplateEvery, c.TemplatePackets = next.Export.TemplateEvery, next.Export.TemplatePackets
	change, err := p.exporter.Prepare(c)
	if err != nil {
		return err
	}
	if !p.queue.call(func(now netflow.Timestamp) { p.exporter.Apply(now, change) }) {
		return errors.Join(ErrEnded, change.Discard())
	}
	go p.finish(change) // collectors may take their time; the exporter's end waits for it
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.Export.Destinations, p.cfg.Export.MaxRate = next.Export.Destinations, next.Export.MaxRate
	p.cfg.Export.TemplateEvery, p.cfg.Export.TemplatePackets = next.Export.TemplateEvery, next.Export.TemplatePackets
	return nil
}

func (p *Probe) finish(c *export.Change) {
	if err := c.Finish(); err != nil {
		p.cfg.Logger.Warn("a collector that was removed", "err", err)
	}
}
