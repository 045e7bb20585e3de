package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe"
)

// registerMetering makes the flags about what is metered of the packets.
func registerMetering(f *pflag.FlagSet, c *probe.Config) {
	f.BoolVar(&c.Cache.Biflow, "biflow", false, "make one flow of both directions (RFC 5103); v9, v5 and v1 send it as two")
	f.BoolVar(&c.Cache.TCPMetrics, "tcp-metrics", false, "measure TCP: round-trip time of the handshake, segments retransmitted")
	f.Var((*sample)(&c.Sample), "sample", "meter one packet in N: `N` (the first of each N), random:N, or hash:N (all packets of one flow in N)")
}

func completeMetering(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("sample", cobra.FixedCompletions([]string{"random:", "hash:"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
}

// sample is a flag for a probe.Sample.
type sample probe.Sample

// Set implements pflag.Value.
func (s *sample) Set(text string) error {
	parsed, err := probe.ParseSample(text)
	if err == nil {
		*s = sample(parsed)
	}
	return err
}

// String implements pflag.Value.
func (s *sample) String() string { return probe.Sample(*s).String() }

// Type implements pflag.Value.
func (s *sample) Type() string { return "sample" }
