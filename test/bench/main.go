// Command bench runs us and the peers on the same input in one run and prints figures and ratios. scripts/bench sets up
// what it needs and calls it. Machines are shared and noisy: contenders take turns, medians are printed, and the ratios
// are what to quote.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// settings are what the command line decides.
type settings struct {
	bin    string // folder of our programs
	work   string // folder for scratch files
	rounds int
	flows  int // of the query and the collector's Parquet figures
	packet int // of the probe's trace
	goflow string
}

// part is a comparison. Without arguments all are made, in this order.
type part struct {
	name string
	run  func(context.Context, *settings) error
}

var parts = []part{{"probe", benchProbe}, {"flood", benchFlood}, {"live", benchLive}, {"collector", benchCollector}, {"query", benchQuery}}

func main() {
	var s settings
	flag.StringVar(&s.bin, "bin", "bin", "folder with our programs, flowblast, frameblast and tracegen")
	flag.StringVar(&s.work, "work", "", "folder for scratch files (several GB)")
	flag.StringVar(&s.goflow, "goflow2", "", "the goflow2 program, if there is one")
	flag.IntVar(&s.rounds, "rounds", 3, "turns of each contender")
	flag.IntVar(&s.flows, "flows", 10_000_000, "flows stored for the query figures")
	flag.IntVar(&s.packet, "packets", 2_000_000, "packets in the short trace for the probe; the long one has four times as many, the one made of captures twice")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		for _, p := range parts {
			names = append(names, p.name)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, name := range names {
		at := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if at < 0 {
			var known []string
			for _, p := range parts {
				known = append(known, p.name)
			}
			fmt.Fprintf(os.Stderr, "bench: no part %q: %s are known\n", name, strings.Join(known, ", "))
			os.Exit(2)
		}
		fmt.Printf("\n== %s\n", name)
		if err := parts[at].run(ctx, &s); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

func (s *settings) program(name string) string { return filepath.Join(s.bin, name) }

// scratch makes an empty folder.
func (s *settings) scratch(name string) (string, error) {
	dir := filepath.Join(s.work, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
