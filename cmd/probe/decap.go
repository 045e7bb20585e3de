package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/dissect"
)

// registerDecap makes the flags about what is in packets.
func registerDecap(f *pflag.FlagSet, c *probe.Config) {
	f.Var((*tunnels)(&c.Decap), "decap", "meter what is in these `TUNNELS`: "+strings.Join(dissect.TunnelNames, ",")+"; or all")
	f.BoolVar(&c.FragmentPorts, "fragment-ports", c.FragmentPorts, "meter later fragments with the ports of the first one, when it came before them")
}

func completeDecap(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("decap", func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndexByte(typed, ',')+1]
		given := strings.Split(before, ",")
		var names []cobra.Completion
		for _, name := range append([]string{"all"}, dissect.TunnelNames...) {
			if !slices.Contains(given, name) {
				names = append(names, before+name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// tunnels is a flag for a set of tunnels.
type tunnels dissect.Tunnels

// Set implements pflag.Value.
func (t *tunnels) Set(text string) error {
	set, err := dissect.ParseTunnels(text)
	if err == nil {
		*t = tunnels(set)
	}
	return err
}

// String implements pflag.Value.
func (t *tunnels) String() string { return dissect.Tunnels(*t).String() }

// Type implements pflag.Value.
func (t *tunnels) Type() string { return "tunnels" }
