package probe

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/export"
	"github.com/caprock-net/caprock/probe/filter"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// Config says what is metered, how, and where the flows go. DefaultConfig has a value for all but the sources.
type Config struct {
	// Sources: either interfaces or files.
	Interfaces []string // to capture from; "any" on Linux; those of a pattern (IsPattern) as they come and go
	Files      []string // capture files; "-" is standard input

	Rings       int  // goroutines with a part of the packets each: rings of an interface (Linux), or meters of files; 0: 1
	RingSize    int  // bytes of kernel buffer for each interface; 0: capture.DefaultRingSize
	SnapLen     int  // bytes taken of each frame; 0: capture.DefaultSnapLen
	Promiscuous bool // also meter frames that are not for this station
	Persist     bool // interfaces come and go, as those of a pattern, but are there at the start; Linux

	Decap         dissect.Tunnels // meter the packets in these, and not those around them
	FragmentPorts bool            // later fragments are metered with the ports of the first one

	Filter *filter.Filter // other packets are neither metered nor kept; nil: all are. The kernel runs it on interfaces

	Sample Sample // which packets are metered

	Cache  flowcache.Config // how packets become flows; a table for each interface, which its rings divide
	Export export.Config    // where they go; without destinations flows are counted and forgotten

	Archive archive.Config // packets are kept too, if it has a folder
	Tap     string         // interface that the packets of the others are sent on, whole and unchanged; Linux

	Accounting Accounting // IPCAD's table and console

	Logger *slog.Logger // nil: silent
}

// DefaultReplayRate is the default of the program for Export.MaxRate when it reads files, in datagrams a second: live
// traffic has pauses and a file has none. The receive buffer that a collector gets when it asks for none (Linux: 208 KiB)
// holds about 90 datagrams, 9 ms at this rate. Measured over loopback, two idle cores, 874,240 flows in 50,000 datagrams:
// nfcapd lost nothing up to 20,000 a second and 2 % at 30,000; half of the first is left for slower ones.
const DefaultReplayRate = 10_000

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		RingSize:    capture.DefaultRingSize,
		SnapLen:     capture.DefaultSnapLen,
		Promiscuous: true,

		FragmentPorts: true,
		Accounting:    Accounting{Table: account.Config{MemoryLimit: account.DefaultMemoryLimit}},
		Cache:         flowcache.DefaultConfig(),
		Export: export.Config{
			Protocol:        export.DefaultProtocol,
			MTU:             export.DefaultMTU,
			TemplateEvery:   export.DefaultTemplateEvery,
			TemplatePackets: export.DefaultTemplatePackets,
			Options:         export.DefaultOptions,
		},
	}
}

// Validate reports everything that is wrong with a configuration, joined.
func (c *Config) Validate() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case len(c.Interfaces) > 0 && len(c.Files) > 0:
		complain("sources: interfaces or files, not both")
	case len(c.Interfaces) == 0 && len(c.Files) == 0:
		complain("sources: no interface and no file")
	}
	seen := map[string]bool{}
	for _, name := range c.Interfaces {
		if seen[name] {
			complain("interface %s: given twice", name)
		}
		seen[name] = true
	}
	if len(c.Interfaces) > 1 && seen["any"] {
		complain("interface any: it has the others in it")
	}
	live := capture.LiveConfig{Interface: "any", RingSize: c.RingSize, SnapLen: c.SnapLen}
	if len(c.Interfaces) > 0 {
		live.Interface = c.Interfaces[0]
	}
	cache := c.cacheConfig()
	errs = append(errs, c.validatePatterns(), c.validateTap(), live.Validate(), c.Sample.validate(cache.TCPMetrics), cache.Validate(), c.Accounting.validate(), c.validateRings())
	if c.Archive.Dir != "" {
		errs = append(errs, c.Archive.Validate())
	}
	errs = append(errs, c.validateFields())
	e := c.Export
	c.Sample.announce(&e)
	e.Fields = c.exportFields()
	if len(e.Destinations) == 0 {
		e.Destinations = []string{"localhost:9"} // to have the rest checked
	}
	errs = append(errs, e.Validate())
	return errors.Join(errs...)
}
