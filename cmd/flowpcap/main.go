// Command flowpcap takes the packets of chosen flows out of a packet archive that probe has written.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/cmd/internal/input"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/storage/query"
)

func main() { os.Exit(cli.Main(newCommand())) }

type options struct {
	filter, from, to, since string
	utc, stats              bool
	link                    int
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "flowpcap [flags] DIR > FILE",
		Short: "Take the packets of flows out of a packet archive",
		Long: `Flowpcap writes the packets of an archive (probe --archive DIR) whose flows match a filter to standard output: a pcap
file, in time order, for tcpdump, Wireshark and their kin. The file that probe is writing at the moment is read too.

The filter is the language of flowprint; an archive knows addresses, ports, protocols, and types and codes of ICMP. A
flow has two directions: 'host A and host B and port P' takes both. Fragments behind the first have no ports. The index
beside each capture says in which blocks the flows are, and only these are read; --stats tells how many. Filters that
name addresses, ports or protocols are answered fastest, and a window of time helps as well.

Exit status: 0 done, also when no packet matched; 1 something could not be read or written (the packets that could are
there); 2 wrong usage.`,
		Example: `  flowpcap -f 'host 10.0.0.1 and port 443' /var/packets | tcpdump -nr -
  flowpcap -f 'proto udp and net 192.0.2.0/24' --from 2026-11-21T16:00 --to 2026-11-21T16:05 /var/packets > dns.pcap
  flowpcap --since 10m --stats /var/packets > recent.pcap`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, &o, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.filter, "filter", "f", "", "take only packets of flows that match `FILTER`: 'src net 10/8 and port 53'")
	f.StringVar(&o.from, "from", "", "take only packets captured at `TIME` or later: 2006-01-02T15:04:05, a tail left out, 15:04 of today, or RFC 3339")
	f.StringVar(&o.to, "to", "", "take only packets captured before `TIME`")
	f.StringVar(&o.since, "since", "", "take only packets captured within the last `DURATION`: 15m, 1h, 2d, 1w")
	f.BoolVar(&o.utc, "utc", false, "read times in UTC, not in local time")
	f.IntVar(&o.link, "link", -1, "take only packets of link type `N` (1: Ethernet, 113: Linux cooked), of which a pcap file has one")
	f.BoolVar(&o.stats, "stats", false, "say on standard error how much was found, and how much of the archive was read for it")
	cmd.MarkFlagsMutuallyExclusive("since", "from")
	return cmd
}

// known are the columns of a flow that an archive can tell.
var known = netflow.SetOf(netflow.SrcAddr, netflow.DstAddr, netflow.SrcPort, netflow.DstPort, netflow.Proto, netflow.IPVersion,
	netflow.ICMPType, netflow.ICMPCode)

// search makes a search out of the flags.
func (o *options) search(dir string, now time.Time) (*search, error) {
	s := &search{dir: dir, link: o.link}
	var errs []error
	for _, bound := range []struct {
		flag, text string
		at         *netflow.Timestamp
	}{{"--from", o.from, &s.from}, {"--to", o.to, &s.to}} {
		if bound.text == "" {
			continue
		}
		t, err := input.ParseTime(bound.text, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", bound.flag, err))
		}
		*bound.at = netflow.TimestampOf(t)
	}
	if o.since != "" {
		d, err := input.ParseSpan(o.since)
		if err != nil {
			errs = append(errs, fmt.Errorf("--since: %w", err))
		}
		s.from = netflow.TimestampOf(now.Add(-d))
	}
	if s.from != 0 && s.to != 0 && s.from >= s.to {
		errs = append(errs, errors.New("--from must be before --to"))
	}
	filter, err := query.ParseFilterIn(o.filter, now.Location())
	if err != nil {
		errs = append(errs, err)
	} else if other := filter.Columns() &^ known; other != 0 {
		for _, c := range netflow.Columns() {
			if other.Has(c) {
				errs = append(errs, fmt.Errorf("filter: packets are not told apart by %s; only by addresses, ports, protocol and type of ICMP (times: --from and --to)", c))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, cli.Exit(cli.StatusUsage, err)
	}
	if o.filter != "" {
		s.matcher = newMatcher(filter)
	}
	s.choice = archive.Select(s.from, s.to, conditions(filter)...)
	return s, nil
}

func run(cmd *cobra.Command, o *options, args []string) error {
	if len(args) != 1 {
		return cli.Usagef("name the one folder that probe --archive writes to")
	}
	now := time.Now()
	if o.utc {
		now = now.UTC()
	}
	s, err := o.search(args[0], now)
	if err != nil {
		return err
	}
	stdout := cmd.OutOrStdout()
	if cli.IsTerminal(stdout) {
		return cli.Usagef("packets are binary, and standard output is a terminal: try '| tcpdump -nr -', or '> FILE'")
	}
	s.warn = func(err error) { fmt.Fprintf(cmd.ErrOrStderr(), "flowpcap: %v\n", err) }
	if err := s.list(cmd.Context()); err != nil {
		return err
	}
	link, err := s.linkType()
	if err != nil {
		return err
	}
	written, err := write(cmd, s, stdout, link)
	if err != nil {
		return err
	}
	if o.stats {
		fmt.Fprintf(cmd.ErrOrStderr(), "flowpcap: %d packets; read: %d blocks, %d of %d bytes of packets, %d of %d of indexes\n",
			written, s.stats.blocks, s.stats.bytesRead, s.stats.bytes, s.stats.indexes, s.stats.indexAll)
	}
	if len(s.damaged) > 0 {
		return fmt.Errorf("%d of the archive's files could not be read whole", len(s.damaged))
	}
	return nil
}

func write(cmd *cobra.Command, s *search, stdout io.Writer, link dissect.LinkType) (packets uint64, err error) {
	buffer := bufio.NewWriterSize(stdout, 1<<18)
	w, err := pcapfile.NewWriter(buffer, uint16(link))
	if err == nil {
		err = s.packets(cmd.Context(), func(f pcapfile.Frame) error {
			packets++
			return w.Write(f)
		})
	}
	if err == nil {
		err = buffer.Flush()
	}
	return packets, err
}
