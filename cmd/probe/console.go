package main

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/console"
)

// accounting are the flags about IPCAD's table and console.
type accounting struct {
	on        bool
	ports     bool
	aggregate []string
	limit     cli.Size
	control   string
	rsh       []string
	access    []string
	load      string
	save      string
}

func (a *accounting) register(f *pflag.FlagSet) {
	a.limit = account.DefaultMemoryLimit
	f.BoolVar(&a.on, "accounting", false, "count packets and bytes by address pair, as IPCAD does, and answer 'probe ctl'; the flags below imply it")
	f.BoolVar(&a.ports, "capture-ports", false, "also tell ports, protocol and interface apart in the accounting table")
	f.StringArrayVar(&a.aggregate, "aggregate", nil, "count by `RULE`: 'NETWORK/LEN strip BITS' or 'PORT[-PORT] into PORT'; repeatable")
	f.Var(&a.limit, "memory-limit", fmt.Sprintf("take at most `SIZE` for an accounting table, %d bytes an entry; 0: no limit", account.EntrySize))
	f.StringVar(&a.control, "control", "", "answer 'probe ctl' at the unix socket `PATH` (default "+console.DefaultControl()+")")
	f.StringArrayVar(&a.rsh, "rsh", nil, "answer rsh at `ADDRESS[:PORT]`, port 514 if not given; repeatable")
	f.StringArrayVar(&a.access, "rsh-access", nil, "let in by `RULE`: '[USER@]ADDRESS [admin|backup|default|view-only|deny]'; the first that fits; repeatable; none: all may look")
	f.StringVar(&a.load, "import", "", "begin with the accounting table of `FILE`, if it is there")
	f.StringVar(&a.save, "save", "", "at the end write the accounting table to `FILE`; dump, restore and import use it too")
}

// apply puts the flags into a configuration.
func (a *accounting) apply(c *probe.Accounting) error {
	c.On = c.On || a.on || a.ports || len(a.aggregate) > 0 || a.limit != account.DefaultMemoryLimit || a.control != "" || len(a.rsh) > 0 ||
		len(a.access) > 0 || a.load != "" || a.save != ""
	if !c.On {
		return nil
	}
	c.Table.Ports = c.Table.Ports || a.ports
	if a.limit != account.DefaultMemoryLimit {
		c.Table.MemoryLimit = int64(a.limit)
	}
	for _, text := range a.aggregate {
		if err := addRule(&c.Table, text); err != nil {
			return err
		}
	}
	for _, text := range a.rsh {
		at, err := listenAddress(text)
		if err != nil {
			return err
		}
		c.Console.RSH.Listen = append(c.Console.RSH.Listen, at)
	}
	for _, text := range a.access {
		r, err := console.ParseRule(text)
		if err != nil {
			return err
		}
		c.Console.RSH.Access = append(c.Console.RSH.Access, r)
	}
	c.Import, c.Save = a.load, a.save
	for _, file := range []string{a.save, a.load} {
		if c.Console.DumpFile == "" {
			c.Console.DumpFile = file
		}
	}
	c.Console.Control, c.Console.Version = a.control, cli.Version()
	if a.control == "" {
		c.Console.Control = console.DefaultControl()
	}
	return nil
}

// listenAddress reads ADDRESS[:PORT]; localhost is 127.0.0.1.
func listenAddress(text string) (netip.AddrPort, error) {
	given := text
	if rest, ok := strings.CutPrefix(text, "localhost"); ok && (rest == "" || rest[0] == ':') {
		text = "127.0.0.1" + rest
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at, nil
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("rsh %q: want ADDRESS or ADDRESS:PORT", given)
	}
	return netip.AddrPortFrom(a, console.DefaultRSHPort), nil
}

var (
	stripRule = regexp.MustCompile(`^\s*(\S+)\s+strip\s+(\d{1,3})\s*$`)
	intoRule  = regexp.MustCompile(`^\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s+into\s+(\d{1,5})\s*$`)
)

// addRule reads a rule of --aggregate.
func addRule(t *account.Config, text string) error {
	if m := stripRule.FindStringSubmatch(text); m != nil {
		prefix, err := netip.ParsePrefix(m[1])
		if err != nil {
			return fmt.Errorf("aggregate %q: %w", text, err)
		}
		bits, _ := strconv.Atoi(m[2]) // three digits
		t.Networks = append(t.Networks, account.Network{Prefix: prefix, Strip: bits})
		return nil
	}
	m := intoRule.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("aggregate %q: want 'NETWORK/LEN strip BITS' or 'PORT[-PORT] into PORT'", text)
	}
	if m[2] == "" {
		m[2] = m[1]
	}
	var ports [3]uint16
	for i := range ports {
		n, err := strconv.ParseUint(m[i+1], 10, 16)
		if err != nil {
			return fmt.Errorf("aggregate %q: port %s is above 65535", text, m[i+1])
		}
		ports[i] = uint16(n)
	}
	t.Ranges = append(t.Ranges, account.PortRange{First: ports[0], Last: ports[1], Into: ports[2]})
	return nil
}

const ctlLong = `Ctl gives one of IPCAD's commands to a probe that runs on this machine with --accounting, and prints the answer.
Words may be cut short as long as one command only is meant. 'probe ctl help' lists the commands.

Exit status: 0 when the command was done, 1 when it was not, 2 for wrong usage.`

const ctlExamples = `  probe ctl show ip accounting
  probe ctl clear ip accounting && probe ctl show ip accounting checkpoint
  probe ctl sh in eth0
  probe ctl -o json show ip cache flow`

func newCtl() *cobra.Command {
	var control, output string
	cmd := &cobra.Command{
		Use:     "ctl [flags] COMMAND...",
		Short:   "Give a command to a probe that is running",
		Long:    ctlLong,
		Example: ctlExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.LoadConfig(cmd, ""); err != nil {
				return err
			}
			if len(args) == 0 {
				return cli.Usagef("ctl: which command? 'probe ctl help' lists them")
			}
			if output != "text" && output != "json" {
				return cli.Usagef("output %q: want text or json", output)
			}
			return console.Call(cmd.Context(), cmd.OutOrStdout(), control, args, output == "json")
		},
	}
	cmd.Flags().StringVar(&control, "control", console.DefaultControl(), "ask at the unix socket `PATH`")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "print as `FORMAT`: text or json (tables, stat, show interface)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
