package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe"
)

func run(cmd *cobra.Command, o *options, args []string) error {
	hup := newReloader(cmd, o, args)
	if ready, err := o.settings.Load(cmd, func() error { return o.complete(args) }); !ready {
		return err
	}
	stderr := cmd.ErrOrStderr()
	hup.setLevel(o.settings.Verbose)
	o.config.Logger, o.started = cli.LevelLogger(stderr, hup.level), o.config
	if err := hup.loaded(cmd, o.config.Logger); err != nil {
		return err
	}
	asked := cli.Catch(syscall.SIGUSR1)
	defer asked.Stop()
	hup.catch()
	defer hup.stop()
	daemon, err := openDaemon(o.metrics)
	if err != nil {
		return err
	}
	defer daemon.close()
	p, err := probe.New(o.config)
	if err != nil {
		return advise(err)
	}
	if err := o.jail.shut(&o.config, o.config.Logger); err != nil {
		return err
	}
	hup.check()
	daemon.start(cmd.Context(), p, &o.config)
	asked.Each(func() {
		s := p.Summary()
		_ = s.WriteText(stderr) // where should that be told?
	})
	hup.each(func() { daemon.reloading(func() { hup.reload(p) }) })
	if len(o.config.Files) > 0 && cli.IsTerminal(stderr) {
		running, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { showProgress(running, p, stderr); close(done) }()
		err = p.Run(cmd.Context())
		stop()
		<-done // the last line is its own
	} else {
		err = p.Run(cmd.Context())
	}
	asked.Stop()
	hup.stop()
	s := p.Summary()
	return errors.Join(advise(err), s.Balance(), printSummary(cmd.OutOrStdout(), stderr, o.summary, &s))
}

func printSummary(stdout, stderr io.Writer, format string, s *probe.Summary) error {
	switch format {
	case "text":
		return s.WriteText(stderr)
	case "json":
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return nil
}

// showProgress keeps a line about the file being read on a terminal, from half a second on.
func showProgress(ctx context.Context, p *probe.Probe, w io.Writer) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	shown := false
	last, at := uint64(0), time.Now()
	for {
		select {
		case now := <-tick.C:
			s := p.Progress()
			if s.File == "" {
				continue
			}
			part := ""
			if s.Total > 0 {
				part = fmt.Sprintf("%3d%%  ", 100*s.Done/s.Total)
			}
			speed := float64(s.Packets-last) / now.Sub(at).Seconds()
			last, at = s.Packets, now
			fmt.Fprintf(w, "\r\x1b[K%s  %s%.1f M packets, %.2f M/s", s.File, part, float64(s.Packets)/1e6, speed/1e6)
			shown = true
		case <-ctx.Done():
			if shown {
				fmt.Fprint(w, "\r\x1b[K")
			}
			return
		}
	}
}

// advise says what to do about the failures that happen.
func advise(err error) error {
	var damage *pcapfile.Error
	var name *net.DNSError
	var advice string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pcapfile.ErrFormat):
		advice = "probe reads pcap and pcapng, also compressed by gzip; tcpdump -w and Wireshark write them"
	case errors.As(err, &damage):
		advice = "the packets before that place have been metered"
	case errors.As(err, &name):
		advice = "check the name after --export, or give an address"
	default:
		return err
	}
	return fmt.Errorf("%w\n  %s", err, advice)
}

// completeInterface offers the machine's interfaces to the shell.
func completeInterface(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	interfaces, _ := net.Interfaces()
	var names []cobra.Completion
	for _, i := range interfaces {
		names = append(names, i.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
