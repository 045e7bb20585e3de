// Flowblast sends NetFlow v5, v9 or IPFIX datagrams at a chosen rate and prints exactly what it sent, as JSON: the load of
// the benchmarks and a check of what a collector stores. It is a tool for tests, not part of the product.
//
//	go run ./test/flowblast -protocol v9 -rate 1500000 -duration 10s 127.0.0.1:2055
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"

	"github.com/caprock-net/caprock/test/flowblast/blast"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "flowblast:", err)
		os.Exit(1)
	}
}

func run() error {
	var cfg blast.Config
	flag.StringVar(&cfg.Protocol, "protocol", "v9", "v5, v9 or ipfix")
	flag.Float64Var(&cfg.Rate, "rate", 0, "flows a second; 0: as fast as possible")
	flag.Uint64Var(&cfg.Flows, "flows", 0, "stop after so many flows, rounded up to whole datagrams; 0: no limit")
	flag.DurationVar(&cfg.Duration, "duration", 0, "stop after so long; 0: no limit")
	flag.IntVar(&cfg.Distinct, "distinct", 4096, "different datagrams to build")
	flag.Uint64Var(&cfg.Seed, "seed", 1, "seed of the random flows")
	domain := flag.Uint("domain", 0, "source id or observation domain")
	source := flag.String("source", "", "address to send from")
	flag.Parse()
	if flag.NArg() != 1 {
		return fmt.Errorf("give one destination, HOST:PORT")
	}
	cfg.Destination, cfg.Domain = flag.Arg(0), uint32(*domain)
	if *source != "" {
		var err error
		if cfg.Source, err = netip.ParseAddr(*source); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := blast.New(cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	stats, err := s.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Datagrams uint64  `json:"datagrams"`
		Flows     uint64  `json:"flows"`
		Packets   uint64  `json:"packets"`
		Octets    uint64  `json:"octets"`
		Bytes     uint64  `json:"bytes"`
		Refused   uint64  `json:"refused"`
		Seconds   float64 `json:"seconds"`
		Rate      float64 `json:"flows_per_second"`
	}{stats.Datagrams, stats.Flows, stats.Packets, stats.Octets, stats.Bytes, stats.Refused, stats.Elapsed.Seconds(), stats.Rate()})
}
