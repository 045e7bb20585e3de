package main

import (
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe"
)

// registerTap makes the flag about sending packets on.
func registerTap(f *pflag.FlagSet, c *probe.Config) {
	f.StringVar(&c.Tap, "tap", "", "Linux: send the packets on, whole and unchanged, on `INTERFACE`")
}
