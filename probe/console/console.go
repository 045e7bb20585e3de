package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caprock-net/caprock/probe/account"
)

// Config says what the console listens to.
type Config struct {
	Control  string // path of the unix socket; "": none
	RSH      RSH
	DumpFile string // of dump, restore and import without an argument; "": they need one
	Version  string // what show version prints

	Logger *slog.Logger // nil: silent
}

// maxClients is how many clients are served at a time, as by IPCAD.
const maxClients = 10

// Console answers commands. It must be made by Open.
type Console struct {
	cfg     Config
	account *account.Account
	meter   Meter
	log     *slog.Logger
	now     func() time.Time
	started time.Time
	host    string

	control net.Listener   // nil: none
	rsh     []net.Listener // likewise
	trust   bool           // tests only: clients of rsh may have any port
	clients atomic.Int32
	files   sync.Mutex // held by dump, restore and import
}

// Open listens; Run serves.
func Open(cfg Config, a *account.Account, m Meter) (*Console, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Console{cfg: cfg, account: a, meter: m, log: cfg.Logger, now: time.Now, started: time.Now()}
	c.host, _ = os.Hostname() // without it a line of the statistics is missing
	err := cfg.RSH.Validate()
	if err == nil && cfg.Control != "" {
		c.control, err = listenControl(cfg.Control)
	}
	if err == nil {
		c.rsh, err = listenRSH(cfg.RSH)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close closes the listeners.
func (c *Console) Close() error {
	var errs []error
	for _, l := range c.listeners() {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Console) listeners() []net.Listener {
	if c.control == nil {
		return c.rsh
	}
	return append([]net.Listener{c.control}, c.rsh...)
}

// Run serves clients and keeps the averages until ctx ends. Commands that are running then are given a moment to end.
func (c *Console) Run(ctx context.Context) error {
	var running sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	for _, l := range c.listeners() {
		serve := c.serveRSH
		if l == c.control {
			serve = c.serveControl
			c.log.Info("console", "control", l.Addr().String())
		} else {
			c.log.Info("console", "rsh", l.Addr().String())
		}
		running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					if errors.Is(err, net.ErrClosed) {
						return
					}
					c.log.Warn("console: accept", "err", err)
					time.Sleep(100 * time.Millisecond) // out of file descriptors: others must close some first
					continue
				}
				mu.Lock()
				conns[conn] = true
				mu.Unlock()
				running.Go(func() {
					serve(conn)
					mu.Lock()
					delete(conns, conn)
					mu.Unlock()
				})
			}
		})
	}
	tick := time.NewTicker(account.TickEvery)
	defer tick.Stop()
	for c.account.Tick(c.now()); ctx.Err() == nil; {
		select {
		case <-tick.C:
			c.account.Tick(c.now())
		case <-ctx.Done():
		}
	}
	err := c.Close()
	last := time.AfterFunc(time.Second, func() {
		mu.Lock()
		defer mu.Unlock()
		for conn := range conns {
			_ = conn.Close() // the client sees the end
		}
	})
	defer last.Stop()
	running.Wait()
	return err
}

// enter takes one of the slots for clients; leave must follow unless it is false.
func (c *Console) enter() bool {
	if c.clients.Add(1) <= maxClients {
		return true
	}
	c.clients.Add(-1)
	return false
}

func (c *Console) leave() { c.clients.Add(-1) }

// Session is who gives a command, and what form the answer shall have.
type Session struct {
	Level     Level
	JSON      bool   // for tables, statistics and interfaces
	Directory string // that the names of files are relative to
	Confined  bool   // files in the folder of the dump file only: the client may be anybody
}

// Execute runs a command. Its error comes before any output, unless w failed.
func (c *Console) Execute(w io.Writer, words []string, s Session) error {
	if s.Level == Deny {
		return ErrDenied
	}
	cmd, err := Parse(words)
	if err != nil {
		return err
	}
	if cmd.Verb.level() > s.Level {
		return fmt.Errorf("%w: this needs the level %s", ErrDenied, cmd.Verb.level())
	}
	if s.JSON {
		return c.executeJSON(w, cmd)
	}
	say := func(format string, args ...any) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}
	switch cmd.Verb {
	case Help:
		_, err = io.WriteString(w, helpText())
	case ShowAccounting:
		if err = c.account.View(false).WriteText(w, c.now()); err == nil {
			err = c.statistics().WriteText(w)
		}
	case ShowCheckpoint:
		err = c.account.View(true).WriteText(w, c.now())
	case ShowCacheFlow:
		err = c.writeCache(w)
	case ShowInterface:
		var i *Interface
		if i, err = c.show(cmd.Arg); err == nil {
			err = i.WriteText(w)
		}
	case ShowVersion:
		u := c.uptimes()
		_, err = w.Write(u.append(fmt.Appendf(nil, "Caprock probe %s, with the console of IPCAD\n\n", c.cfg.Version)))
	case Stat:
		err = c.statistics().WriteText(w)
	case ClearAccounting:
		c.account.Clear(c.now())
		err = say("IP accounting cleared")
	case ClearCheckpoint:
		c.account.ClearCheckpoint(c.now())
		err = say("IP accounting checkpoint cleared")
	case Dump, Restore, Import:
		err = c.file(cmd, s, say)
	case Shutdown:
		c.log.Info("shutdown was asked for at the console")
		err = say("Shutdown process started")
		c.meter.Shutdown()
	}
	return err
}

func (c *Console) executeJSON(w io.Writer, cmd Command) error {
	var v any
	switch cmd.Verb {
	case ShowAccounting, ShowCheckpoint:
		return accountJSON(w, c.account.View(cmd.Verb == ShowCheckpoint), c.now())
	case ShowCacheFlow:
		return c.cacheJSON(w)
	case ShowInterface:
		i, err := c.show(cmd.Arg)
		if err != nil {
			return err
		}
		v = i
	case Stat:
		v = c.statistics()
	default:
		return fmt.Errorf("%w: this command has no JSON", ErrArgument)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (c *Console) statistics() *Statistics {
	s := &Statistics{Sources: []SourceStatistics{}, FreeSlots: maxClients - int(c.clients.Load()), Uptimes: c.uptimes()}
	for _, m := range c.meter.Sources() {
		i := SourceStatistics{Name: m.Name, Down: m.Down, Received: m.Received, Dropped: m.Dropped}
		i.BytesPerSecond, i.PacketsPerSecond = c.account.Interface(m.Name).Rate()
		s.Sources = append(s.Sources, i)
	}
	if cache := c.meter.Cache(); cache.Exported {
		s.Cached = &cache.Flows
	}
	u := c.account.Usage()
	s.Entries, s.MemoryUsed, s.MemoryLimit = u.Entries, u.Used, u.Limit
	return s
}

func (c *Console) uptimes() Uptimes {
	return Uptimes{Probe: Seconds(c.now().Sub(c.started)), Host: c.host, Machine: Seconds(systemUptime())}
}

// show reports on an interface.
func (c *Console) show(name string) (*Interface, error) {
	i, err := lookUp(name)
	if err != nil {
		return nil, err
	}
	for _, m := range c.meter.Sources() {
		if m.Name == name {
			i.Metered = true
			octets, packets := c.account.Interface(name).Rate()
			i.BitsPerSecond, i.PacketsPerSecond = 8*octets, packets
		}
	}
	return i, nil
}

// file runs dump, restore and import.
func (c *Console) file(cmd Command, s Session, say func(string, ...any) error) error {
	path, err := c.path(cmd.Arg, s)
	if err != nil {
		return err
	}
	c.files.Lock()
	defer c.files.Unlock()
	if cmd.Verb == Dump {
		n, err := Save(path, c.account)
		if err != nil {
			return err
		}
		return say("%d elements put into %s.", n, path)
	}
	f, err := openRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	read := c.account.Import
	if cmd.Verb == Restore {
		read = c.account.Restore
	}
	n, err := read(f, c.now())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if n == 0 {
		return say("No valid entries found in %s.", path)
	}
	return say("%d elements got from %s.", n, path)
}

// path finds the file that is meant.
func (c *Console) path(arg string, s Session) (string, error) {
	switch {
	case arg == "" && c.cfg.DumpFile == "":
		return "", fmt.Errorf("%w: which file? The probe was started without one", ErrArgument)
	case arg == "":
		return c.cfg.DumpFile, nil
	case s.Confined:
		if c.cfg.DumpFile == "" || strings.ContainsAny(arg, `/\`) || !filepath.IsLocal(arg) {
			return "", fmt.Errorf("%w: from here, files are plain names in the folder of the dump file", ErrDenied)
		}
		return filepath.Join(filepath.Dir(c.cfg.DumpFile), arg), nil
	case filepath.IsAbs(arg):
		return arg, nil
	}
	return filepath.Join(s.Directory, arg), nil
}
