package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe"
)

// registerRings makes the flag about several processors.
func registerRings(f *pflag.FlagSet, c *probe.Config) {
	f.IntVar(&c.Rings, "rings", 1, fmt.Sprintf(
		"use `N` processors, up to %d: by N rings for each interface (Linux), or for the flows of files; they divide --ring-size (2 MiB each at least) and --max-flows", probe.MaxRings))
}
