package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/flowcache"
)

const long = `Probe meters IP packets, live from interfaces or from capture files, and exports the flows they make to collectors.

Live capture needs no library; on Linux it needs root or the capability CAP_NET_RAW, on the BSDs access to /dev/bpf.
Files are pcap or pcapng, also compressed by gzip; "-" is standard input. The times in a capture drive all timeouts, so
that a file gives the flows that the live traffic gave. Files are read in the order given, as one capture.

Every collector gets every flow, or its share of them (--balance). Without one (--export) packets are metered and only the
summary is printed. IPFIX goes over UDP, TCP (tcp://), or TLS 1.3 (tls://, which needs --tls-cert and --tls-key; the
collector's certificate must be for the host named). A collector over TCP or TLS that is away is connected to again and
again; up to 65,536 flows wait for it, then live flows are lost and counted, while files wait for half a minute.

At the end, and at each SIGUSR1, a summary goes to standard error: packets, flows, what was exported, and what was lost
and why; it adds up. With --summary json the one at the end is a JSON object on standard output instead.
SIGTERM and SIGINT end the probe in order: all flows are ended and sent. A second one ends it at once.

With --fields templates are made of the fields named, one for each address family, in the order given: elements of IANA's
registry (minimumTTL), columns (min_ttl), and the groups default and all; --fields help lists them.

With --bpf other packets are neither metered nor archived: on interfaces the kernel leaves them out, and they are not
counted; of files they are, as filtered. The language is tcpdump's (pcap-filter(7)), without names of hosts and networks;
what is not supported is an error. On Linux the kernel takes the outermost VLAN tag off before the filter: "tcp" matches
tagged packets too, and "vlan 5 and tcp" those of VLAN 5. In files tagged packets match only with vlan in front.

With --decap packets in tunnels are metered in place of those around them: the key is that of the inner packet, its bytes
are the inner packet's. What was around a flow's first packet is told when --fields names it: tunnel_id, the identifier of
VXLAN, Geneve or GTP-U, and in IPFIX tunnel_src_addr and tunnel_dst_addr, the outer addresses if they are of IPv4 (else
0.0.0.0), tunnel_proto, the outer protocol, and tunnel_type. Up to four tunnels in each other are entered. MPLS labels and
PPPoE sessions are followed always; mpls also looks into Ethernet behind labels, and labels in IP, UDP and GRE. Where no good
IP header is found the outer packet is metered, and counted in the summary. Deep headers may need a larger --snaplen. The
archive and --bpf see the packets as they are on the wire.

With --biflow both directions of a conversation are one flow, whose source is who sent the first packet (or is answered by
it: SYN/ACK, echo reply); TOS is not in the key then. IPFIX carries it whole (RFC 5103), v9, v5 and v1 as two flows. With
--tcp-metrics flows of TCP tell the round-trip time from SYN to the handshake's last ACK, and segments with payload, SYN or
FIN that were seen before, or that fill a gap older than the round-trip time. With --sample one frame in N is metered, or
one conversation in N (hash); counters are not multiplied, collectors are told N, and the rest is counted as not sampled.

When everything is open the process gives up what it does not need: root becomes the user nobody (--user), without
capabilities; on Linux Landlock and a seccomp filter, on OpenBSD pledge and unveil leave it the captures, the sockets and
the files it has been given, no other files, no programs, and no new sockets but to reach collectors.

With --archive the packets are kept too, whole unless --archive-snaplen says otherwise, in pcap files that change by size
and time; flowpcap takes the packets of a flow out of them. When the disk is full or slow, packets are metered all the
same, and those not archived are counted.

An interface may be a pattern, as the shell's ('ppp*', 'eth[0-3]'; Linux): every interface that matches is metered, also
those that come later; one that goes ends its flows, and may return. At most 64 at a time, with a buffer of 8 MiB each
unless --ring-size says otherwise; with --rings N, more than two, at most 128 / N. With --persist an interface that is given
by its name may go and return likewise.

With --tap the packets are also sent on, whole and unchanged, on another interface (Linux). What that does not take at once
is dropped and counted. Frames that the system has put together (GRO) are too long for it: ethtool -K eth0 gro off lro off.

Settings may also come from a file (--config; its keys are the flags' names) or from the environment (CAPROCK_EXPORT and
so on). The command line wins over the environment, and that over the file. At SIGHUP a live probe reads the file again and
takes over what has changed of active, inactive, no-tcp-expiry, export, max-rate, template-refresh, template-packets, the
bounds of the archive, summary and verbose; the log names what needs a restart. A file with a mistake changes nothing.

Exit status: 0 after an orderly end, 1 after a failure (also when a file was damaged: what was good in it is exported),
2 for wrong usage.`

const examples = `  probe -i eth0 -e 192.0.2.9:2055
  probe -i eth0 -i eth1 -e collector.example.net:4739 -e '[2001:db8::9]:4739' --active 1m
  probe -i eth0 -e tls://collector.example.net:4740 --tls-cert probe.pem --tls-key probe.key --tls-ca ca.pem
  probe -r monday.pcap.gz -e 127.0.0.1:2055 --protocol v9
  probe -i eth0 -e 192.0.2.9:2055 --fields default,minimumTTL,maximumTTL,mplsTopLabelStackSection
  probe -i eth0 -e 192.0.2.9:2055 --bpf 'net 10/8 and not port 22'
  tcpdump -i em0 -w - | probe -r - -e 192.0.2.9:2055
  probe -r a.pcap b.pcap --summary json
  probe -i eth0 -e 192.0.2.9:2055 --biflow --tcp-metrics --sample hash:10
  probe -i 'ppp*' -e 192.0.2.9:2055
  probe -i eth0 --tap eth1
  probe -i eth0 -e 192.0.2.9:2055 --archive /var/packets --archive-max 200GiB`

// options are the values of the flags.
type options struct {
	config    probe.Config
	started   probe.Config // what config was at the start
	key       key
	rate      rate
	ring      cli.Size
	noPromisc bool
	noTCP     bool
	summary   string
	table     accounting
	ipcad     ipcad
	jail      jail
	metrics   string
	archive   archiveFlags
	bpf       bpf
	settings  cli.Settings
}

func newCommand() *cobra.Command {
	_, cmd := newOptions()
	return cmd
}

// newOptions makes the command and what its flags are read into.
func newOptions() (*options, *cobra.Command) {
	o := &options{config: probe.DefaultConfig(), rate: rateAuto}
	o.key = key(o.config.Cache.Key)
	o.ring = cli.Size(o.config.RingSize)
	cmd := &cobra.Command{
		Use:     "probe {-i INTERFACE | -r FILE} [flags] [FILE...]",
		Short:   "Meter packets and export flows as IPFIX or NetFlow",
		Long:    long,
		Example: examples,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asksForFields(&o.config) {
				return printFields(cmd.OutOrStdout())
			}
			return run(cmd, o, args)
		},
	}
	o.register(cmd.Flags())
	o.ipcad.out, o.ipcad.changed = cmd.ErrOrStderr, cmd.Flags().Changed
	cmd.AddCommand(newCtl())
	cmd.SetHelpCommand(&cobra.Command{Hidden: true}) // help is a file like any other; there is --help
	complete := func(flag string, values []string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("summary", summaries)
	completeTransport(cmd)
	completeDecap(cmd)
	completeMetering(cmd)
	completeFields(cmd, &o.config)
	completeOptions(cmd)
	complete("protocol", []string{"ipfix", "v9", "v5", "v1"})
	_ = cmd.RegisterFlagCompletionFunc("interface", completeInterface)
	return o, cmd
}

func (o *options) register(f *pflag.FlagSet) {
	c := &o.config
	f.SortFlags = false
	f.StringArrayVarP(&c.Interfaces, "interface", "i", nil, "capture from `INTERFACE`; repeatable; on Linux also any, and patterns for those that come and go: 'ppp*'")
	f.StringArrayVarP(&c.Files, "read", "r", nil, "read the capture `FILE` instead; repeatable; -: standard input")
	registerTransport(f, &c.Export)
	f.StringVar(&c.Export.Protocol, "protocol", c.Export.Protocol, "export as `NAME`: ipfix, v9, v5 or v1")
	registerFields(f, c)
	f.DurationVar(&c.Cache.Active, "active", c.Cache.Active, "end a flow that has lasted for `DURATION`, and begin the next")
	f.DurationVar(&c.Cache.Inactive, "inactive", c.Cache.Inactive, "end a flow without packets for `DURATION`")
	f.BoolVar(&o.noTCP, "no-tcp-expiry", false, "do not end a flow of TCP after its FIN or RST")
	f.Var(&o.key, "key", "tell flows apart by these `FIELDS`; also known: vlan, src_mac, dst_mac")
	f.IntVar(&c.Cache.MaxFlows, "max-flows", flowcache.DefaultMaxFlows,
		fmt.Sprintf("hold at most `N` flows at a time, for each interface, of up to %d bytes each", flowcache.BytesPerFlow))
	registerMetering(f, c)
	f.DurationVar(&c.Export.TemplateEvery, "template-refresh", c.Export.TemplateEvery, "UDP; ipfix, v9: send the templates again after `DURATION`")
	f.IntVar(&c.Export.TemplatePackets, "template-packets", c.Export.TemplatePackets, "UDP; ipfix, v9: and after `N` datagrams")
	registerOptions(f, &c.Export)
	f.IntVar(&c.Export.MTU, "mtu", c.Export.MTU, "make datagrams and messages of at most `N` bytes of payload")
	f.Var(&o.rate, "max-rate", fmt.Sprintf("send at most `N` datagrams a second to each collector by UDP; 0: no limit; auto: 0 live, %d from files", probe.DefaultReplayRate))
	f.Uint32Var(&c.Export.Domain, "domain", 0, "be `N` to the collector: observation domain, v9 source id, or v5 engine type << 8 | id")
	f.Var(&o.ring, "ring-size", "share a buffer of `SIZE` with the kernel, for each interface")
	registerRings(f, c)
	f.IntVar(&c.SnapLen, "snaplen", c.SnapLen, "take `N` bytes of each packet captured: the headers")
	f.BoolVar(&o.noPromisc, "no-promisc", false, "do not set interfaces to promiscuous mode")
	f.BoolVar(&c.Persist, "persist", false, "Linux: when an interface is removed, end its flows, wait until there is one of the same name, and go on")
	f.StringVar(&o.summary, "summary", "text", "at the end print a summary, as `FORMAT`: text (to standard error), json (to standard output) or none")
	registerDecap(f, c)
	o.bpf.register(f)
	o.archive.register(f, c)
	registerTap(f, c)
	f.StringVar(&o.metrics, "metrics", "", "answer Prometheus at http://`ADDRESS:PORT`/metrics; without an address only on this machine")
	o.jail.register(f)
	o.table.register(f)
	o.ipcad.register(f)
	o.settings.Register(f)
}

var summaries = []string{"text", "json", "none"}

// complete makes the configuration out of flags, file and arguments.
func (o *options) complete(args []string) error {
	c := &o.config
	if err := o.ipcad.apply(o); err != nil {
		return cli.Exit(cli.StatusUsage, err)
	}
	c.Files = append(c.Files, args...)
	c.Cache.Key = flowcache.KeyFields(o.key)
	c.Cache.TCPExpiry = !o.noTCP
	c.Promiscuous = !o.noPromisc
	c.RingSize = o.ring.Int()
	o.archive.complete(c)
	errTable := o.table.apply(&c.Accounting)
	errFilter := o.bpf.apply(c)
	c.Export.MaxRate = int(o.rate)
	if o.rate == rateAuto {
		c.Export.MaxRate = 0
		if len(c.Files) > 0 {
			c.Export.MaxRate = probe.DefaultReplayRate
		}
	}
	var errs []error
	switch {
	case len(args) > 0 && len(c.Interfaces) > 0:
		errs = append(errs, fmt.Errorf("argument %q: with --interface there are no files to read", args[0]))
	case len(c.Files) == 0 && len(c.Interfaces) == 0:
		errs = append(errs, errors.New("nothing to meter: give --interface NAME or --read FILE"))
	default:
		errs = append(errs, errTable, errFilter, c.Validate(), o.jail.validate(c))
	}
	if !slices.Contains(summaries, o.summary) {
		errs = append(errs, fmt.Errorf("summary %q: want %s", o.summary, strings.Join(summaries, ", ")))
	}
	if err := errors.Join(errs...); err != nil {
		return cli.Exit(cli.StatusUsage, err)
	}
	return nil
}

// key is a flag for the fields of a flow key.
type key flowcache.KeyFields

// Set implements pflag.Value.
func (k *key) Set(text string) error {
	fields, err := flowcache.ParseKey(text)
	if err == nil {
		*k = key(fields)
	}
	return err
}

// String implements pflag.Value.
func (k *key) String() string { return flowcache.KeyFields(*k).String() }

// Type implements pflag.Value.
func (k *key) Type() string { return "fields" }

// rate is a flag for datagrams a second, or auto.
type rate int

const rateAuto rate = -1

// Set implements pflag.Value.
func (r *rate) Set(text string) error {
	if text == "auto" {
		*r = rateAuto
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("rate %q: want a number of datagrams a second, or auto", text)
	}
	*r = rate(n)
	return nil
}

// String implements pflag.Value.
func (r *rate) String() string {
	if *r == rateAuto {
		return "auto"
	}
	return strconv.Itoa(int(*r))
}

// Type implements pflag.Value.
func (r *rate) Type() string { return "rate" }
