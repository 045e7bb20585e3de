// Command flowstat sums flows: totals, or a row for each value of chosen fields, such as the top talkers.
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
	"github.com/caprock-net/caprock/storage/query"
)

func main() { os.Exit(cli.Main(newCommand())) }

type options struct {
	input.Options
	by, sort, format string
	ascending, scale bool
	n                int
}

// defaultRows is how many groups a table for people shows when it is not told.
const defaultRows = 10

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "flowstat [flags] [DIR|FILE...]",
		Short: "Sum flows: totals, top talkers, any grouping",
		Long: `Flowstat sums the flows of standard input (a flow stream, as flowcat writes it), or of the folders and files named.
Without --by it prints totals; with it a row for each group of flows that have the fields in common.

Fields for --by, separated by commas: the columns of storage/FORMAT.md (src_addr, dst_addr, src_port, dst_port, proto,
exporter, input, src_as, vlan ...); src_addr/24 (IPv4 in networks of /24, IPv6 of /64) or src_addr/24:48; src_net and
dst_net, cut to the mask that came with the flow; minute, hour, day, start/5m; and addr, port, as, net, if, mac, which
count a flow once for each of its ends, so that shares may pass 100%.
Orders for --sort: ` + strings.Join(query.OrderNames(), ", ") + `.

Counters are as the exporters sent them; --scale multiplies packets and bytes by the sampling rate that came with each
flow. Tables are for people: decimal units, local time (--utc: UTC). csv and ndjson have exact numbers, times in UTC.

Exit status: 0 done, 1 something could not be read or written (the rest is summed), 2 wrong usage.`,
		Example: `  flowcat /var/flows | flowstat --by src_addr --sort bytes -n 10
  flowstat --since 1h --by addr /var/flows
  flowstat --by dst_port,proto --sort flows -f 'flags S and not flags A' /var/flows
  flowstat --by minute --sort key -n 0 -o csv /var/flows/2026/2026-11/2026-11-21 > minutes.csv`,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, &o, args) },
	}
	o.Register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.by, "by", "", "group by `FIELDS`, separated by commas")
	f.StringVar(&o.sort, "sort", "bytes", "sort groups by `FIELD`, the largest first")
	f.BoolVar(&o.ascending, "ascending", false, "the smallest first")
	f.IntVarP(&o.n, "rows", "n", defaultRows, "show the first `N` groups; 0: all")
	f.BoolVar(&o.scale, "scale", false, "multiply packets and bytes by the sampling rate of each flow")
	f.StringVarP(&o.format, "output", "o", "table", "`FORMAT`: table, csv, ndjson")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "csv", "ndjson"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(query.OrderNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("by", completeFields)
	return cmd
}

// completeFields completes the last of several fields.
func completeFields(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	done := typed[:strings.LastIndexByte(typed, ',')+1]
	var names []string
	for _, name := range query.FieldNames() {
		names = append(names, done+name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func run(cmd *cobra.Command, o *options, args []string) (err error) {
	q := query.Query{Scale: o.scale, Reverse: o.ascending, N: o.n, Location: o.Zone()}
	var complaints []error
	if o.by != "" {
		if q.By, err = query.ParseFields(o.by); err != nil {
			complaints = append(complaints, fmt.Errorf("--by: %w", err))
		}
	}
	if q.Sort, err = query.ParseOrder(o.sort); err != nil {
		complaints = append(complaints, fmt.Errorf("--sort: %w", err))
	}
	if o.n < 0 {
		complaints = append(complaints, fmt.Errorf("-n: %d rows: give 0 for all, or more", o.n))
	}
	write := map[string]func(*output, *query.Result) error{"table": (*output).table, "csv": (*output).csv, "ndjson": (*output).ndjson}[o.format]
	if write == nil {
		complaints = append(complaints, fmt.Errorf("-o: no output format %q: known are table, csv, ndjson", o.format))
	}
	if len(complaints) > 0 {
		return cli.Exit(cli.StatusUsage, errors.Join(complaints...))
	}
	flows, err := o.Open(cmd, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flows.Close()) }()
	q.Filter = flows.Filter
	if o.format == "table" && len(q.By) > 0 {
		// What a table of groups shows; times only when it is sorted by them: they are the dearest columns to read.
		q.Counters = query.CountPackets | query.CountBytes | query.CountReversePackets | query.CountReverseBytes
		if q.Sort == query.ByFirst || q.Sort == query.ByLast || q.Sort == query.ByDuration {
			q.Counters |= query.CountFirst | query.CountLast
		}
	}
	result, err := query.Aggregate(cmd.Context(), flows.Readable(cmd.ErrOrStderr()), q)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(cmd.OutOrStdout())
	out := &output{w: buffer, zone: o.Zone(), width: cli.Width(cmd.OutOrStdout())}
	if err := errors.Join(write(out, result), buffer.Flush()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	if result.Saturated {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: a sum is too large for 64 bits; the largest number stands in its place")
	}
	return flows.Damage()
}
