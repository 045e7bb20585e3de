package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/console"
)

// Accounting says what of IPCAD the probe has: the accounting table beside the flow cache, and the console.
type Accounting struct {
	On      bool // else the rest has no effect
	Table   account.Config
	Console console.Config

	Import string // file whose table is added at the start, if it is there
	Save   string // file that the active table is written to at the end
}

func (a *Accounting) validate() error {
	if !a.On {
		return nil
	}
	return errors.Join(a.Table.Validate(), a.Console.RSH.Validate())
}

// accounting is what a probe has of it.
type accounting struct {
	table   *account.Account
	console *console.Console
	mu      sync.Mutex
	stop    context.CancelFunc // of Run; nil: it does not run
}

// openAccounting makes the table and listens at the console.
func (p *Probe) openAccounting() error {
	cfg := &p.cfg.Accounting
	if !cfg.On {
		return nil
	}
	table, err := account.New(cfg.Table, time.Now())
	if err != nil {
		return err
	}
	if cfg.Import != "" {
		if _, err := os.Stat(cfg.Import); errors.Is(err, os.ErrNotExist) {
			p.cfg.Logger.Info("no accounting table to import", "file", cfg.Import)
		} else if n, err := console.Load(cfg.Import, table); err != nil {
			return fmt.Errorf("import: %w", err)
		} else {
			p.cfg.Logger.Info("accounting table imported", "file", cfg.Import, "elements", n)
		}
	}
	c := cfg.Console
	if c.Logger == nil {
		c.Logger = p.cfg.Logger
	}
	p.accounting = &accounting{table: table}
	if p.accounting.console, err = console.Open(c, table, (*consoleMeter)(p)); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}

// feed returns where the packets of a source are counted; nil: nowhere.
func (p *Probe) feed(source string) *account.Interface {
	if p.accounting == nil {
		return nil
	}
	return p.accounting.table.Interface(source)
}

// runAccounting serves the console while f runs, which a command there can stop; then it saves the table.
func (p *Probe) runAccounting(ctx context.Context, f func(context.Context) error) error {
	a := p.accounting
	if a == nil {
		return f(ctx)
	}
	metering, stop := context.WithCancel(ctx)
	defer stop()
	a.mu.Lock()
	a.stop = stop
	a.mu.Unlock()
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var errConsole, errSave error
	var running sync.WaitGroup
	running.Go(func() { errConsole = a.console.Run(serving) })
	err := f(metering)
	end()
	running.Wait()
	if file := p.cfg.Accounting.Save; file != "" {
		var n int
		if n, errSave = console.Save(file, a.table); errSave == nil {
			p.cfg.Logger.Info("accounting table saved", "file", file, "elements", n)
		} else {
			errSave = fmt.Errorf("save: %w", errSave)
		}
	}
	return errors.Join(err, errConsole, errSave)
}

// consoleMeter is the probe as the console sees it.
type consoleMeter Probe

// Sources implements console.Meter.
func (p *consoleMeter) Sources() []console.Source {
	meters := (*Probe)(p).all()
	for _, m := range meters {
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	var sources []console.Source
	for _, t := range totals(meters) {
		down := t.err != nil
		if t.comes {
			down = t.gone()
		}
		sources = append(sources, console.Source{Name: t.name, Down: down, Received: t.counts.frames, Dropped: t.stats.Dropped})
	}
	return sources
}

// Cache implements console.Meter.
func (p *consoleMeter) Cache() console.Cache {
	p.mu.Lock()
	c := console.Cache{Active: p.cfg.Cache.Active, Inactive: p.cfg.Cache.Inactive, Exported: p.exporter != nil}
	p.mu.Unlock()
	for _, m := range (*Probe)(p).all() {
		if m.cache == nil {
			continue
		}
		m.mu.Lock()
		s := m.cache.Stats()
		m.mu.Unlock()
		c.Flows += s.Flows
		c.Failures += s.Evicted
	}
	c.Bytes = int64(c.Flows) * int64(p.cfg.cacheConfig().BytesPerFlow())
	return c
}

// Flows implements console.Meter. A meter stands still for 1024 flows at most.
func (p *consoleMeter) Flows(f func(string, *netflow.Record) bool) {
	const atOnce = 1024
	flows := make([]netflow.Record, 0, atOnce)
	for _, m := range (*Probe)(p).all() {
		if m.cache == nil {
			continue
		}
		for from, first := uint32(0), true; first || from != 0; first = false {
			flows = flows[:0]
			m.mu.Lock()
			name := ""
			if len(m.sources) > 0 {
				name = m.sources[len(m.sources)-1].name
			}
			from = m.cache.Walk(from, atOnce, func(r *netflow.Record) { flows = append(flows, *r) })
			m.mu.Unlock()
			for i := range flows {
				if !f(name, &flows[i]) {
					return
				}
			}
		}
	}
}

// Shutdown implements console.Meter.
func (p *consoleMeter) Shutdown() {
	p.accounting.mu.Lock()
	defer p.accounting.mu.Unlock()
	if p.accounting.stop != nil {
		p.accounting.stop()
	}
}
