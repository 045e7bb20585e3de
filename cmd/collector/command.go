package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/collector"
	"github.com/caprock-net/caprock/storage"
)

const long = `Collector receives NetFlow v1, v5, v7, v9 and IPFIX over UDP, all versions on one port, and keeps the flows as Parquet
files, one for each hour (--rotate), by the time of arrival in UTC:

  DIR/2026/2026-11/2026-11-21/flows.2026-11-21.160000Z.parquet

The file being filled is called tmp-flows.*.parquet and is valid Parquet at any moment; the newest seconds are in the
journal beside it. flowcat, flowprint and flowstat read all of them. What a crash leaves is taken up by the next start.

With --read it takes the export datagrams out of packet captures instead, with the exporters' addresses and the times
of the capture, and ends. Give captures in the order of their time.

SIGTERM and SIGINT end it: it takes in what has arrived, finishes the file, and exits; what that takes longer than 20 s
for stays in the journal for the next start. SIGUSR1 prints the accounting to standard error: what came from whom, and
what was lost, by reason. SIGHUP is ignored.

Exit status: 0 after an orderly end, 1 after a failure, 2 for wrong usage.`

const examples = `  collector -w /var/lib/caprock
  collector -w flows -l 192.0.2.1:2055 -l '[2001:db8::1]:4739' --allow 192.0.2.0/24
  collector -w flows -r exports.pcap --summary json`

// options are the values of the flags.
type options struct {
	config        collector.Config
	port          uint16
	allow         []string
	receiveBuffer cli.Size
	summary       string
	settings      cli.Settings
}

func newCommand() *cobra.Command {
	o := options{config: collector.DefaultConfig()}
	o.receiveBuffer = cli.Size(o.config.ReceiveBuffer)
	cmd := &cobra.Command{
		Use:     "collector -w DIR [flags] [CAPTURE...]",
		Short:   "Receive NetFlow and IPFIX, keep the flows in Parquet files",
		Long:    long,
		Example: examples,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd, &o, args)
		},
	}
	o.register(cmd.Flags())
	_ = cmd.MarkFlagDirname("write")
	_ = cmd.RegisterFlagCompletionFunc("summary", cobra.FixedCompletions(summaries, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *options) register(f *pflag.FlagSet) {
	c := &o.config
	f.SortFlags = false
	f.StringVarP(&c.Dir, "write", "w", "", "keep flows in the folder `DIR`")
	f.StringSliceVarP(&c.Listen, "listen", "l", c.Listen, "receive on `[HOST]:PORT`; repeatable; no host: every address, IPv4 and IPv6")
	f.StringSliceVarP(&c.Read, "read", "r", nil, "take the datagrams out of the capture `FILE` (pcap, pcapng, gzip; -: standard input); repeatable")
	f.Uint16Var(&o.port, "port", 0, "of captures: take UDP to `PORT` only; 0: any that begins like NetFlow or IPFIX")
	f.StringSliceVar(&o.allow, "allow", nil, "take datagrams of exporters in `PREFIX` only; repeatable")
	f.DurationVar(&c.Rotate, "rotate", c.Rotate, "begin a new file every `DURATION`, a divisor of a day from 1m")
	f.IntVar(&c.Nesting, "nesting", c.Nesting, "folders by date: 0 none, 1 YYYY, 2 YYYY/YYYY-MM, 3 YYYY/YYYY-MM/YYYY-MM-DD")
	f.DurationVar(&c.Sync, "sync", c.Sync, "force the journal to the disk every `DURATION`: what a power cut may cost")
	f.Var(&o.receiveBuffer, "receive-buffer", "ask for a receive buffer of `SIZE` for each socket; 0: the system's default")
	f.StringVar(&o.summary, "summary", "none", "at the end print the accounting to standard output, as `FORMAT`: text, json or none")
	o.settings.Register(f)
}

var summaries = []string{"text", "json", "none"}

// complete makes the configuration out of flags, file and arguments.
func (o *options) complete(args []string) error {
	o.config.Read = append(o.config.Read, args...)
	o.config.Port = o.port
	o.config.ReceiveBuffer = o.receiveBuffer.Int()
	var errs []error
	if !slices.Contains(summaries, o.summary) {
		errs = append(errs, fmt.Errorf("summary %q: want %s", o.summary, strings.Join(summaries, ", ")))
	}
	for _, text := range o.allow {
		p, err := prefix(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		o.config.Allow = append(o.config.Allow, p)
	}
	if o.config.Dir == "" {
		errs = append(errs, errors.New("no folder to write to: give one with --write DIR"))
	} else {
		errs = append(errs, o.config.Validate())
	}
	if err := errors.Join(errs...); err != nil {
		return cli.Exit(cli.StatusUsage, err)
	}
	return nil
}

// prefix reads an address or a prefix.
func prefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("allowed exporter %q: want an address or a prefix like 192.0.2.0/24", text)
	}
	return p, nil
}

func run(cmd *cobra.Command, o *options, args []string) error {
	if ready, err := o.settings.Load(cmd, func() error { return o.complete(args) }); !ready {
		return err
	}
	o.config.Logger = cli.Logger(cmd.ErrOrStderr(), o.settings.Verbose)
	signal.Ignore(syscall.SIGHUP) // the terminal that started it may go
	asked := cli.Catch(syscall.SIGUSR1)
	defer asked.Stop()
	c, err := collector.New(cmd.Context(), o.config)
	if err != nil {
		return advise(err)
	}
	asked.Each(func() {
		s := c.Stats()
		_ = s.WriteText(cmd.ErrOrStderr()) // there is no better place to complain
	})
	err = c.Run(cmd.Context())
	asked.Stop()
	s := c.Stats()
	return errors.Join(advise(err), printSummary(cmd.OutOrStdout(), o.summary, &s))
}

func printSummary(w io.Writer, format string, s *collector.Stats) error {
	switch format {
	case "text":
		return s.WriteText(w)
	case "json":
		return s.WriteJSON(w)
	}
	return nil
}

// advise says what to do about the failures that happen at a start.
func advise(err error) error {
	var advice string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "somebody receives there already; stop it, or choose another port with --listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "this machine does not have that address; --listen :PORT takes all it has"
	case errors.Is(err, storage.ErrLocked):
		advice = "another collector writes there; stop it, or choose another folder with --write"
	case errors.Is(err, fs.ErrPermission):
		advice = "this user may not do that: ports below 1024 need privileges, the folder must be writable"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "make room in the folder and start again: what has been stored stays, the journal is taken up"
	default:
		return err
	}
	return fmt.Errorf("%w\n  %s", err, advice)
}
