package collector

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/caprock-net/caprock/storage"
)

// Config says what a Collector takes in and where it puts it. DefaultConfig has a value for all but Dir.
type Config struct {
	Dir    string   // the folder to write to; it is made when it is missing
	Listen []string // HOST:PORT of UDP sockets; an empty host is every address of the machine. Unused when Read is set.
	Read   []string // capture files to take export datagrams from, instead of sockets; "-" is standard input
	Port   uint16   // of captures: take UDP to this port only; 0: any UDP that begins like NetFlow or IPFIX

	// Allow lists the exporters that may send, by prefix; datagrams of others are counted and not looked at. Empty: all.
	Allow []netip.Prefix

	ReceiveBuffer int           // bytes asked of the kernel for each socket
	Rotate        time.Duration // length of a slot: one file. A divisor of a day, at least a minute
	Nesting       int           // folders by date below Dir, 0 to 3
	Sync          time.Duration // how often the journal is fsynced

	Logger *slog.Logger // nil: no log
}

// DefaultReceiveBuffer holds about 29,000 datagrams of 1,400 bytes: 0.4 seconds at 1.5 million flows a second, which is
// longer than a busy machine or its disk keeps the collector from running.
const DefaultReceiveBuffer = 64 << 20

// patience is how long a collector that is stopped finishes files when Parquet is far behind; service managers kill what
// takes much longer. One that reads captures has nobody to take up the rest, and finishes.
const patience = 20 * time.Second

// DefaultConfig listens on port 2055, any address, and keeps hourly files in folders by year, month and day.
func DefaultConfig() Config {
	s := storage.DefaultConfig()
	return Config{
		Listen:        []string{":2055"},
		ReceiveBuffer: DefaultReceiveBuffer,
		Rotate:        s.Rotate,
		Nesting:       s.Nesting,
		Sync:          s.Sync,
		Logger:        slog.New(slog.DiscardHandler),
	}
}

// Validate returns every complaint about the configuration, joined.
func (c *Config) Validate() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Read) == 0 && len(c.Listen) == 0 {
		complain("nothing to listen on and nothing to read")
	}
	for _, address := range c.Listen {
		if _, _, err := net.SplitHostPort(address); err != nil {
			complain("listen address %q: want HOST:PORT or :PORT", address)
		}
	}
	if c.ReceiveBuffer < 0 || c.ReceiveBuffer > 1<<30 {
		complain("receive buffer of %d bytes: want 0, for the system's default, to 1 GiB", c.ReceiveBuffer)
	}
	for _, p := range c.Allow {
		if !p.IsValid() {
			complain("allowed exporters: %v is no prefix", p)
		}
	}
	s := c.storage()
	errs = append(errs, s.Validate())
	return errors.Join(errs...)
}

// storage returns what of the configuration is the storage's.
func (c *Config) storage() storage.Config {
	s := storage.DefaultConfig()
	s.Dir, s.Rotate, s.Nesting, s.Sync, s.Logger = c.Dir, c.Rotate, c.Nesting, c.Sync, c.Logger
	if len(c.Read) == 0 {
		s.Patience = patience
	}
	return s
}
