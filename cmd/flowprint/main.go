// Command flowprint prints flows: from a pipe, a folder or files.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/cmd/internal/input"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/query"
)

func main() { os.Exit(cli.Main(newCommand())) }

type options struct {
	input.Options
	format string
	limit  int64
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "flowprint [flags] [DIR|FILE...]",
		Short: "Print flows from a pipe, a folder or files",
		Long: `Flowprint prints flows, one a line. They come from standard input (a flow stream, as flowcat writes it), or from the
folders and files named: the collector's folder with its open hour, Parquet files, flow streams.

Formats for people are aligned and show local time (--utc: UTC):
  classic   addresses, protocol, ports, octets, packets: flow-print's columns
  line      start, duration, protocol, ends, packets, bytes
  long      line, and the reverse direction, flags, ToS, interfaces, AS, VLAN, end reason, exporter
Formats for programs have every column of storage/FORMAT.md under its name, times in UTC:
  csv       with a title line
  ndjson    one JSON object a line

Exit status: 0 done, 1 something could not be read or written (what could be is printed), 2 wrong usage.`,
		Example: `  flowcat /var/flows | flowprint
  flowcat --since 15m /var/flows | flowprint -o line -f 'port 53 and not net 10/8'
  flowprint -o csv -f 'exporter ip 192.0.2.1' /var/flows/2026/2026-11/2026-11-21 > flows.csv`,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, &o, args) },
	}
	o.Register(cmd)
	cmd.Flags().StringVarP(&o.format, "output", "o", "classic", "`FORMAT`: "+strings.Join(formatNames(), ", "))
	cmd.Flags().Int64VarP(&o.limit, "limit", "n", 0, "print the first `N` flows only; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func run(cmd *cobra.Command, o *options, args []string) (err error) {
	if o.limit < 0 {
		return cli.Usagef("-n: %d flows: give 0 for all, or more", o.limit)
	}
	w := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	p, err := newPrinter(o.format, w, o.Zone())
	if err != nil {
		return err
	}
	flows, err := o.Open(cmd, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flows.Close()) }()
	err = query.Rows{Filter: flows.Filter, Limit: o.limit}.Scan(cmd.Context(), flows.Readable(cmd.ErrOrStderr()), func(b *netflow.Batch) error {
		if err := p.Print(b); err != nil {
			return err
		}
		if cli.IsTerminal(cmd.OutOrStdout()) {
			return w.Flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := errors.Join(p.Close(), w.Flush()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return flows.Damage()
}
