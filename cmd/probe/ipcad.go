package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/console"
	"github.com/caprock-net/caprock/probe/ipcadconf"
	"github.com/caprock-net/caprock/probe/sandbox"
)

// ipcad is the flag for IPCAD's configuration file.
type ipcad struct {
	file    string
	text    []byte                 // of it, when it has been read
	out     func() io.Writer       // where it is said what became of each directive
	changed func(flag string) bool // the flag was given, and wins
}

func (i *ipcad) register(f *pflag.FlagSet) {
	f.StringVar(&i.file, "ipcad-conf", "", "do what IPCAD does with the configuration `FILE`, and say what becomes of it; other flags come on top")
}

// apply puts what the file says into the options.
func (i *ipcad) apply(o *options) error {
	if i.file == "" {
		return nil
	}
	if i.text == nil {
		var err error
		if i.text, err = os.ReadFile(i.file); err != nil {
			return err
		}
	}
	conf, err := ipcadconf.Parse(string(i.text))
	if err != nil {
		return fmt.Errorf("%s: %w", i.file, err)
	}
	m := mapping{conf: conf, o: o, c: &o.config, say: func(what, became string) {
		fmt.Fprintf(i.out(), "%s: %s: %s\n", filepath.Base(i.file), what, became)
	}}
	m.interfaces()
	m.accounting()
	m.console()
	m.files()
	m.netflow()
	if err := errors.Join(m.errs...); err != nil {
		return fmt.Errorf("%s: %w", i.file, err)
	}
	return nil
}

// mapping takes a file's parts over.
type mapping struct {
	conf *ipcadconf.Config
	o    *options
	c    *probe.Config
	say  func(what, became string)
	errs []error
}

func (m *mapping) refuse(line int, format string, args ...any) {
	m.errs = append(m.errs, &ipcadconf.Error{Line: line, Text: fmt.Sprintf(format, args...)})
}

func (m *mapping) interfaces() {
	t := &m.c.Accounting.Table
	t.PortsOf = map[string]bool{}
	promiscuous, plain := false, false
	for _, i := range m.conf.Interfaces {
		switch {
		case i.Kind == "file":
			m.c.Files = append(m.c.Files, i.Name)
			m.say("interface file "+i.Name, "--read "+i.Name)
		case i.Kind != "":
			m.refuse(i.Line, "interface %s: packets are taken from network interfaces and files only", i.Kind)
		default:
			m.c.Interfaces = append(m.c.Interfaces, i.Name)
			promiscuous, plain = promiscuous || i.Promiscuous, plain || !i.Promiscuous
			m.say("interface "+i.Name, "--interface "+i.Name)
		}
		if i.InputOnly {
			m.refuse(i.Line, "interface %s: input-only is not supported", i.Name)
		}
		if i.Filter != "" && i.Filter != "ip" {
			m.refuse(i.Line, "interface %s: filter %q: an interface has no filter of its own", i.Name, i.Filter)
		}
		if i.NoNetFlow && len(m.conf.Destinations) > 0 {
			m.refuse(i.Line, "interface %s: netflow-disable: flows of all interfaces are exported", i.Name)
		}
		if i.Sampled {
			m.say("netflow-sampled", "every packet is exported")
		}
		t.PortsOf[i.Name] = i.Ports
		if i.Ports {
			m.say("capture-ports enable", "--capture-ports, for "+i.Name)
		}
	}
	if plain && !promiscuous {
		m.c.Promiscuous = false
		m.o.noPromisc = true
		m.say("no promisc", "--no-promisc")
	} else if plain {
		m.say("promisc", "for all interfaces")
	}
}

func (m *mapping) accounting() {
	a := &m.c.Accounting
	a.On = true
	a.Table.Networks = append(a.Table.Networks, m.conf.Networks...)
	for _, n := range m.conf.Networks {
		rule := fmt.Sprintf("%s strip %d", n.Prefix, n.Strip)
		m.say("aggregate "+rule, fmt.Sprintf("--aggregate '%s'; exported flows keep their addresses", rule))
	}
	a.Table.Ranges = append(a.Table.Ranges, m.conf.Ranges...)
	for _, r := range m.conf.Ranges {
		rule := fmt.Sprintf("%d-%d into %d", r.First, r.Last, r.Into)
		m.say("aggregate "+rule, fmt.Sprintf("--aggregate '%s'; exported flows keep their ports", rule))
	}
	limit := m.conf.MemoryLimit
	switch {
	case limit == 0:
		m.say("no memory_limit", fmt.Sprintf("--memory-limit %v", ptr(cli.Size(account.DefaultMemoryLimit))))
		return
	case m.conf.Entries:
		m.say(fmt.Sprintf("memory_limit = %de", limit), fmt.Sprintf("--memory-limit %d", limit*account.EntrySize))
		limit *= account.EntrySize
	default:
		m.say(fmt.Sprintf("memory_limit = %d", limit), fmt.Sprintf("--memory-limit %v", ptr(cli.Size(limit))))
	}
	a.Table.MemoryLimit = limit
}

func ptr[T any](v T) *T { return &v }

func (m *mapping) console() {
	r := &m.c.Accounting.Console.RSH
	if m.conf.RSH {
		at, remark := m.conf.At, ""
		if !at.IsValid() {
			at, remark = netip.MustParseAddr("127.0.0.1"), ": this machine only; --rsh 0.0.0.0 is for others"
		}
		r.Listen = append(r.Listen, netip.AddrPortFrom(at, console.DefaultRSHPort))
		m.say("rsh enable", fmt.Sprintf("--rsh %s%s", at, remark))
	}
	for _, rule := range m.conf.Access {
		r.Access = append(r.Access, rule)
		m.say("rsh "+rule.String(), fmt.Sprintf("--rsh-access '%s'", rule))
	}
	if m.conf.TTL != 0 {
		r.TTL = m.conf.TTL
		m.say("rsh ttl", fmt.Sprintf("answers to rsh have %d hops to live", r.TTL))
	}
	if m.conf.Timeout != 0 {
		r.Timeout = m.conf.Timeout
		m.say("rsh timeout", fmt.Sprintf("a client of rsh may be silent for %v", r.Timeout))
	}
}

// files are looked up inside of IPCAD's chroot, which here is but a folder: the process is shut in otherwise.
func (m *mapping) files() {
	inside := func(name string) string {
		if m.conf.Chroot == "" {
			return name
		}
		return filepath.Join(m.conf.Chroot, filepath.Join("/", name))
	}
	if m.conf.DumpFile != "" {
		file := inside(m.conf.DumpFile)
		m.c.Accounting.Console.DumpFile = file
		m.say("dumpfile", fmt.Sprintf("of dump, restore and import; -r is --import %s, -s is --save %s", file, file))
	}
	if m.conf.Chroot != "" {
		m.say("chroot", "the folder of dumpfile; what shuts the process in is in --help")
	}
	if m.conf.PidFile != "" {
		m.say("pidfile", "not written")
	}
	if m.conf.Buffers != 0 {
		m.say("buffers", "--ring-size has a size of its own")
	}
	if m.conf.UID != "" && m.o.jail.user == "" {
		m.o.jail.user = m.conf.UID
		if m.conf.GID != "" {
			m.o.jail.user += ":" + m.conf.GID
		}
		m.say("uid", "--user "+m.o.jail.user)
	} else if m.conf.GID != "" && m.conf.UID == "" {
		m.say("gid", "nothing, without uid")
	}
}

func (m *mapping) netflow() {
	for _, d := range m.conf.Destinations {
		m.c.Export.Destinations = append(m.c.Export.Destinations, d.String())
		m.say("netflow export destination", "--export "+d.String())
	}
	if len(m.conf.Destinations) > 0 && !m.o.ipcad.changed("protocol") {
		version := m.conf.Version
		if version == 0 {
			version = ipcadconf.DefaultVersion
		}
		m.c.Export.Protocol = fmt.Sprintf("v%d", version)
		m.say("netflow export version", "--protocol "+m.c.Export.Protocol)
	}
	active, inactive := ipcadconf.DefaultActive, ipcadconf.DefaultInactive
	if m.conf.Active != nil {
		active = *m.conf.Active
	}
	if m.conf.Inactive != nil {
		inactive = *m.conf.Inactive
	}
	cache := &m.c.Cache
	if !m.o.ipcad.changed("active") {
		cache.Active = active
	}
	if !m.o.ipcad.changed("inactive") {
		cache.Inactive = inactive
	}
	m.o.noTCP = true
	m.say("netflow timeout", fmt.Sprintf("--active %v --inactive %v --no-tcp-expiry", cache.Active, cache.Inactive))
	if m.conf.EngineType != nil || m.conf.EngineID != nil {
		var kind, id uint8
		if m.conf.EngineType != nil {
			kind = *m.conf.EngineType
		}
		if m.conf.EngineID != nil {
			id = *m.conf.EngineID
		}
		m.c.Export.Domain = uint32(kind)<<8 | uint32(id)
		m.say("netflow engine-type, engine-id", fmt.Sprintf("--domain %d", m.c.Export.Domain))
	}
	for _, k := range m.conf.Classes {
		m.say("netflow ifclass "+k.Name, "interfaces keep the numbers that the system gives them")
	}
	if m.conf.SampleInterval > 1 {
		m.say("netflow sampling-mode", "every packet is exported")
	}
}

// shareAccounting leaves to the process what the console needs when all is open.
func shareAccounting(a *probe.Accounting, s *sandbox.Config) {
	if !a.On {
		return
	}
	if len(a.Console.RSH.Listen) > 0 {
		s.Connect = true // to clients of rsh, for their second connection
	}
	for _, file := range []string{a.Save, a.Console.DumpFile} {
		if file == "" {
			continue
		}
		dir := filepath.Dir(file)
		if info, err := os.Stat(dir); err == nil && info.IsDir() && !slices.Contains(s.Writable, dir) {
			s.Writable = append(s.Writable, dir)
			s.Readable = append(s.Readable, dir)
		}
	}
}
