package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe/export"
)

// registerOptions makes the flag about what collectors are told beside flows.
func registerOptions(f *pflag.FlagSet, c *export.Config) {
	f.StringSliceVar(&c.Options, "options", c.Options, fmt.Sprintf("ipfix, v9: tell collectors `LIST` in options data, as often as the templates: %s, or %s. "+
		"interfaces: names and aliases, live; statistics: what was exported and what was not; system: when it was started, live, ipfix. "+
		"In ipfix nfcapd 1.7.1 reports a sequence error for each message with options", strings.Join(export.Options, ","), export.NoOptions))
}

func completeOptions(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("options", cobra.FixedCompletions(append(export.Options[:len(export.Options):len(export.Options)], export.NoOptions), cobra.ShellCompDirectiveNoFileComp))
}
