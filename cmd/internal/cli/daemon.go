package cli

import (
	"os"
	"os/signal"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Settings are the flags of a program that runs for long: where its settings come from, and what else can be done with
// them than to run.
type Settings struct {
	Verbose      bool
	file         string
	check, print bool
}

// Register adds --config, --check-config, --print-config and --verbose.
func (s *Settings) Register(f *pflag.FlagSet) {
	f.StringVar(&s.file, "config", "", "read settings from the YAML `FILE`: the flags' names and their values")
	f.BoolVar(&s.check, "check-config", false, "check the settings and exit")
	f.BoolVar(&s.print, "print-config", false, "print the settings as a file for --config and exit")
	f.BoolVarP(&s.Verbose, "verbose", "v", false, "log more")
}

// File is the YAML file that settings come from; "" if there is none.
func (s *Settings) File() string { return s.file }

// Load gives values to the other flags (see LoadConfig), and has complete check them. It returns false when the program
// has nothing more to do: settings were to be checked or printed only.
func (s *Settings) Load(cmd *cobra.Command, complete func() error) (ready bool, err error) {
	if err := LoadConfig(cmd, s.file); err != nil {
		return false, err
	}
	if s.print {
		return false, PrintConfig(cmd, cmd.OutOrStdout())
	}
	if err := complete(); err != nil {
		return false, err
	}
	return !s.check, nil
}

// Signals are those of one kind that the process has got. From Catch on they do not end it.
type Signals struct {
	caught   chan os.Signal
	handling sync.WaitGroup
	stop     sync.Once
}

// Catch begins to take signals.
func Catch(sig os.Signal) *Signals {
	s := &Signals{caught: make(chan os.Signal, 1)}
	signal.Notify(s.caught, sig)
	return s
}

// Each has f called, in a goroutine of its own, for each signal since Catch; several that come at a time may count as one.
func (s *Signals) Each(f func()) {
	s.handling.Go(func() {
		for range s.caught {
			f()
		}
	})
}

// Stop gives the signal its former effect, and waits for a call that is running. There is none after it.
func (s *Signals) Stop() {
	s.stop.Do(func() {
		signal.Stop(s.caught)
		close(s.caught)
	})
	s.handling.Wait()
}
