package probe

import (
	"slices"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/export"
)

// describe gives the exporter what it may tell collectors about this system: of captures that are read from files nothing,
// for they may be of another one.
func (p *Probe) describe(e *export.Config) {
	if len(p.cfg.Files) > 0 {
		return
	}
	e.Interfaces = p.interfaces
	e.Ignored = func() uint64 {
		s := p.Summary()
		return s.Packets.Dropped + s.Packets.Malformed
	}
	e.Boot = capture.BootTime()
}

// interfaces lists the interfaces that are metered, as they are now.
func (p *Probe) interfaces() []netflow.Interface {
	return slices.DeleteFunc(capture.Names(), func(i netflow.Interface) bool { return !p.metered(i.Name) })
}

func (p *Probe) metered(name string) bool {
	return slices.Contains(p.cfg.Interfaces, "any") || slices.Contains(p.cfg.Interfaces, name) || p.cfg.matches(name) != ""
}
