// Command flowcat reads stored flows, the open hour included, into a pipe or a Parquet file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

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
}

// writer takes flows to where they go. Close completes the output; it does not close what lies below.
type writer interface {
	Write(b *netflow.Batch) error
	Close() error
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "flowcat [flags] DIR|FILE...",
		Short: "Read stored flows, the open hour included, into a pipe",
		Long: `Flowcat writes the flows of folders and files to standard output, in time order: the finished hours, the hour that
is being written and the last seconds in its journal, each flow once. It takes the collector's folder, Parquet files, flow
streams and journals; - is a flow stream on standard input.

Formats: stream (default) for flowprint and flowstat, and to keep or send on: two streams one after the other are a
stream; parquet for everything else. Both are binary and are not written to a terminal.

Exit status: 0 done, 1 something could not be read or written (what could be is there), 2 wrong usage.`,
		Example: `  flowcat /var/flows | flowprint
  flowcat --since 1h /var/flows | flowstat --by src_addr --sort bytes -n 10
  flowcat -f 'exporter ip 192.0.2.1' --from 2026-11-20 --to 2026-11-21 -o parquet /var/flows > day.parquet
  ssh collector flowcat --since 10m /var/flows | flowprint -o line`,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, &o, args) },
	}
	o.Register(cmd)
	cmd.Flags().StringVarP(&o.format, "output", "o", "stream", "`FORMAT`: stream, parquet")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"stream", "parquet"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func run(cmd *cobra.Command, o *options, args []string) (err error) {
	stdout := cmd.OutOrStdout()
	if len(args) == 0 {
		return cli.Usagef("no flows: name the folder that the collector writes to, or files")
	}
	var w writer
	switch o.format {
	case "stream":
		w = newStream(stdout)
	case "parquet":
		w = newParquet(stdout)
	default:
		return cli.Usagef("-o: no output format %q: known are stream, parquet", o.format)
	}
	if cli.IsTerminal(stdout) {
		return cli.Usagef("flows are binary, and standard output is a terminal: try 'flowcat %s | flowprint', or '> FILE'", args[0])
	}
	flows, err := o.Open(cmd, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flows.Close()) }()
	if err := copyFlows(cmd.Context(), w, flows, cmd.ErrOrStderr()); err != nil {
		return err
	}
	return flows.Damage()
}

func copyFlows(ctx context.Context, w writer, flows *input.Flows, stderr io.Writer) error {
	if err := query.Scan(ctx, flows.Readable(stderr), flows.Filter, w.Write); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
