package ipcadconf

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/console"
)

// Parse reads a configuration.
func Parse(text string) (*Config, error) {
	statements, err := scan(text)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	ports := false
	for _, s := range statements {
		p := &parser{rest: s, line: s[0].line}
		switch name := p.next(); name {
		case "capture-ports":
			ports = p.choice("enable", "disable") == "enable"
		case "interface":
			c.Interfaces = append(c.Interfaces, p.iface(ports))
		case "aggregate":
			p.aggregate(c)
		case "rsh":
			p.rsh(c)
		case "netflow":
			p.netflow(c)
		case "buffers":
			p.is("=")
			c.Buffers, _ = p.size("km")
		case "memory_limit":
			p.is("=")
			var unit byte
			c.MemoryLimit, unit = p.size("kme")
			c.Entries = unit == 'e'
		case "dumpfile", "chroot", "pidfile", "uid", "gid":
			p.is("=")
			*map[string]*string{"dumpfile": &c.DumpFile, "chroot": &c.Chroot, "pidfile": &c.PidFile, "uid": &c.UID, "gid": &c.GID}[name] = p.next()
		default:
			p.fail("unknown directive %q", name)
		}
		if p.err == nil && len(p.rest) > 0 {
			p.line = p.rest[0].line
			p.fail("%q does not belong to %q", p.rest[0].text, s[0].text)
		}
		if p.err != nil {
			return nil, p.err
		}
	}
	return c, nil
}

// parser reads the words of a statement. Its first error stays.
type parser struct {
	rest statement
	line int
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &Error{p.line, fmt.Sprintf(format, args...)}
	}
}

// next takes a word.
func (p *parser) next() string {
	if len(p.rest) == 0 {
		p.fail("the statement is not complete")
		return ""
	}
	w := p.rest[0]
	p.line, p.rest = w.line, p.rest[1:]
	return w.text
}

// has takes a word if it is the next.
func (p *parser) has(text string) bool {
	if len(p.rest) == 0 || p.rest[0].text != text || p.rest[0].quoted {
		return false
	}
	p.next()
	return true
}

func (p *parser) is(text string) {
	if got := p.next(); got != text {
		p.fail("%q, want %q", got, text)
	}
}

func (p *parser) choice(texts ...string) string {
	got := p.next()
	for _, t := range texts {
		if got == t {
			return t
		}
	}
	p.fail("%q, want %s", got, strings.Join(texts, " or "))
	return ""
}

func (p *parser) number(most uint64) uint64 {
	text := p.next()
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > most {
		p.fail("%q, want a number up to %d", text, most)
	}
	return n
}

// size takes a number with a unit, which may be a word of its own. A unit e leaves the number as it is.
func (p *parser) size(units string) (int64, byte) {
	text := p.next()
	unit := byte(0)
	if n := len(text); n > 0 && strings.IndexByte(units, text[n-1]|0x20) >= 0 {
		text, unit = text[:n-1], text[n-1]|0x20
	} else if len(p.rest) > 0 && len(p.rest[0].text) == 1 {
		unit = p.next()[0] | 0x20
	}
	n, err := strconv.ParseUint(text, 10, 40)
	factor := uint64(1)
	switch {
	case err != nil || unit != 0 && strings.IndexByte(units, unit) < 0:
		p.fail("%q is no size", text)
	case unit == 'k':
		factor = 1 << 10
	case unit == 'm':
		factor = 1 << 20
	}
	return int64(n * factor), unit
}

func (p *parser) address() netip.Addr {
	text := p.next()
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		p.fail("%q, want an IPv4 address", text)
	}
	return a
}

// bits reads the length of a mask, given as such or dotted.
func (p *parser) bits(text string) int {
	if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
		b := a.As4()
		ones, bits := net.IPMask(b[:]).Size()
		if bits == 0 {
			p.fail("%q is no mask", text)
		}
		return ones
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n > 32 {
		p.fail("%q, want a mask of 0 to 32 bits", text)
	}
	return int(n)
}

func (p *parser) iface(ports bool) Interface {
	i := Interface{Line: p.line, Name: p.next(), Ports: ports}
	switch i.Name {
	case "ulog":
		i.Kind, i.Name = "ulog", ""
		for p.is("group"); p.err == nil; {
			i.Name += strconv.FormatUint(p.number(32), 10)
			if !p.has(",") {
				break
			}
			p.has("group")
			i.Name += ","
		}
	case "ipq":
		i.Kind, i.Name = "ipq", ""
	case "divert", "tee":
		i.Kind = i.Name
		p.is("port")
		i.Name = strconv.FormatUint(p.number(65535), 10)
	case "file":
		i.Kind, i.Name = "file", p.next()
	case "=", ",", "":
		p.fail("%q is no interface", i.Name)
	}
	for len(p.rest) > 0 && p.err == nil {
		switch option := p.next(); option {
		case "promisc":
			i.Promiscuous = true
		case "input-only":
			i.InputOnly = true
		case "netflow-sampled":
			i.Sampled = true
		case "netflow-disable":
			i.NoNetFlow = true
		case "filter":
			if len(p.rest) == 0 || !p.rest[0].quoted {
				p.fail("filter: want an expression in quotation marks")
			}
			i.Filter = p.next()
		default:
			p.fail("%q is no option of an interface", option)
		}
	}
	return i
}

func (p *parser) aggregate(c *Config) {
	what := p.next()
	if address, mask, ok := strings.Cut(what, "/"); ok {
		a, err := netip.ParseAddr(address)
		if err != nil || !a.Is4() {
			p.fail("%q, want an IPv4 network", what)
			return
		}
		n := account.Network{Prefix: netip.PrefixFrom(a, p.bits(mask)).Masked()}
		p.is("strip")
		n.Strip = p.bits(p.next())
		c.Networks = append(c.Networks, n)
		return
	}
	for len(p.rest) > 0 && p.rest[0].text != "into" { // 1024 - 65535
		what += p.next()
	}
	first, last, ok := strings.Cut(what, "-")
	if !ok {
		last = first
	}
	var r account.PortRange
	for i, text := range []string{first, last} {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			p.fail("%q, want a network or ports", what)
		}
		*[]*uint16{&r.First, &r.Last}[i] = uint16(n)
	}
	if r.First > r.Last {
		p.fail("%q: the range is empty", what)
	}
	p.is("into")
	r.Into = uint16(p.number(65535))
	c.Ranges = append(c.Ranges, r)
}

func (p *parser) rsh(c *Config) {
	switch what := p.next(); what {
	case "enable", "yes", "on":
		c.RSH = true
		if p.has("at") {
			c.At = p.address()
		}
	case "disable", "no", "off":
		c.RSH = false
		if p.has("at") {
			p.address()
		}
	case "ttl":
		p.is("=")
		c.TTL = int(p.number(255))
	case "timeout":
		p.is("=")
		c.Timeout = time.Duration(p.number(1e6)) * time.Second
	default:
		if len(p.rest) > 0 {
			what += " " + p.next()
		}
		r, err := console.ParseRule(what)
		if err != nil {
			p.fail("%v", err)
		}
		c.Access = append(c.Access, r)
	}
}

func (p *parser) netflow(c *Config) {
	switch what := p.next(); what {
	case "export":
		switch p.choice("destination", "version") {
		case "destination":
			a := p.address()
			c.Destinations = append(c.Destinations, netip.AddrPortFrom(a, uint16(p.number(65535))))
		case "version":
			c.Version = int(p.number(5))
			if c.Version != 1 && c.Version != 5 {
				p.fail("version %d, want 1 or 5", c.Version)
			}
		}
	case "timeout":
		switch p.choice("active", "inactive") {
		case "active":
			d := time.Duration(p.number(1e6)) * time.Minute
			c.Active = &d
		case "inactive":
			d := time.Duration(p.number(1e6)) * time.Second
			c.Inactive = &d
		}
	case "engine-type":
		n := uint8(p.number(255))
		c.EngineType = &n
	case "engine-id":
		n := uint8(p.number(255))
		c.EngineID = &n
	case "ifclass":
		k := Class{Line: p.line, Name: p.next()}
		p.is("mapto")
		text := p.next()
		for len(p.rest) > 0 {
			text += p.next()
		}
		first, last, ok := strings.Cut(text, "-")
		if !ok {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 16)
		b, errB := strconv.ParseUint(last, 10, 16)
		if errA != nil || errB != nil || a > b {
			p.fail("%q, want interface numbers, N or N-M", text)
		}
		k.First, k.Last = uint16(a), uint16(b)
		c.Classes = append(c.Classes, k)
	case "sampling-mode":
		p.is("packet-interval")
		c.SampleInterval = int(p.number(16383))
	default:
		p.fail("unknown directive \"netflow %s\"", what)
	}
}
