package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe/export"
)

// registerTransport makes the flags about the way to the collectors.
func registerTransport(f *pflag.FlagSet, c *export.Config) {
	f.StringArrayVarP(&c.Destinations, "export", "e", nil,
		"send flows to the collector at `HOST:PORT` by UDP; tcp://HOST:PORT, tls://HOST:PORT: ipfix over TCP or TLS; repeatable")
	f.StringVar(&c.Balance, "balance", export.Balances[0],
		fmt.Sprintf("spread flows over the collectors by `METHOD`: %s; none: every collector gets every flow", strings.Join(export.Balances, ", ")))
	f.StringVar(&c.TLS.Cert, "tls-cert", "", "tls://: show the collector the certificate in `FILE` (PEM)")
	f.StringVar(&c.TLS.Key, "tls-key", "", "tls://: of which the private key is in `FILE`")
	f.StringVar(&c.TLS.CA, "tls-ca", "", "tls://: trust collectors whose certificates are from the authorities in `FILE`; default: the system's")
}

func completeTransport(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("balance", cobra.FixedCompletions(export.Balances, cobra.ShellCompDirectiveNoFileComp))
}
