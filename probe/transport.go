package probe

import (
	"time"

	"github.com/caprock-net/caprock/probe/export"
)

// ReplayWait is how long reading files waits for a collector over TCP or TLS that takes nothing, before flows are lost: a
// file can wait, and live traffic cannot. It is enough for a collector that is restarted.
const ReplayWait = 30 * time.Second

// exportConfig is the exporter's configuration, with what follows from the rest.
func (p *Probe) exportConfig() export.Config {
	e := p.cfg.Export
	p.cfg.Sample.announce(&e)
	e.TCPMetrics = e.TCPMetrics || p.cfg.Cache.TCPMetrics
	e.Fields = p.cfg.exportFields()
	if e.Logger == nil {
		e.Logger = p.cfg.Logger
	}
	if len(p.cfg.Files) > 0 && e.Wait == 0 {
		e.Wait = ReplayWait
	}
	e.LateRoute = len(p.cfg.Files) == 0
	p.describe(&e)
	return e
}
