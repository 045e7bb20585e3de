package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// benchCollector sends flows at rates: first one that all can take, for the CPU a flow costs from the socket to the disk,
// then higher ones until flows are lost.
func benchCollector(ctx context.Context, s *settings) error {
	sinks := s.sinks(ctx)
	fmt.Printf("%-20s %-6s %12s %12s %10s %10s %10s\n", "at a moderate rate", "", "flows/s", "CPU s/Mflow", "RSS MiB", "B/flow", "lost")
	for _, protocol := range []string{"v5", "v9", "ipfix"} {
		taken := map[string][]float64{}
		line := map[string]string{}
		for range s.rounds {
			for _, k := range sinks {
				rate := 400_000
				if k.slow {
					rate = 10_000
				}
				r, err := s.load(ctx, k, protocol, rate, 5*time.Second)
				if err != nil {
					return err
				}
				taken[k.name] = append(taken[k.name], r.cpuPerMillion)
				line[k.name] = fmt.Sprintf("%10.0f %10.1f %10d", r.usage.memory, r.bytesPerFlow, r.lost)
				line[k.name+" rate"] = fmt.Sprintf("%12.0f", r.sent.Rate)
			}
		}
		for _, k := range sinks {
			fmt.Printf("%-20s %-6s %s %12.2f %s\n", k.name, protocol, line[k.name+" rate"], median(taken[k.name]), line[k.name])
		}
	}
	fmt.Printf("\n%-20s %-6s %14s %12s\n", "largest rate", "", "flows/s", "CPU s/Mflow")
	for _, protocol := range []string{"v5", "v9"} {
		for _, k := range sinks {
			best, cost, err := s.search(ctx, k, protocol)
			if err != nil {
				return err
			}
			fmt.Printf("%-20s %-6s %14.0f %12.2f\n", k.name, protocol, best, cost)
		}
	}
	return nil
}

type loadResult struct {
	sent          sent
	usage         usage
	lost          int64
	cpuPerMillion float64
	bytesPerFlow  float64
}

// load runs a sink under a rate and counts what it stored.
func (s *settings) load(ctx context.Context, k sink, protocol string, rate int, d time.Duration) (loadResult, error) {
	var r loadResult
	dir, err := s.scratch("sink")
	if err != nil {
		return r, err
	}
	p, err := k.start(dir)
	if err != nil {
		return r, err
	}
	r.sent, err = s.blast(ctx, p.port, protocol, rate, d)
	time.Sleep(time.Second)
	var stopErr error
	r.usage, stopErr = p.stop()
	if err != nil {
		return r, err
	}
	if stopErr != nil {
		return r, stopErr
	}
	stored, err := k.stored(dir, r.usage.output)
	if err != nil {
		return r, fmt.Errorf("%s: %w", k.name, err)
	}
	r.lost = int64(r.sent.Flows) - int64(stored)
	if stored > 0 {
		r.cpuPerMillion = r.usage.cpu / float64(stored) * 1e6
		r.bytesPerFlow = float64(size(dir)) / float64(stored)
	}
	return r, nil
}

// search raises the rate by a quarter until flows are lost twice at the same rate.
func (s *settings) search(ctx context.Context, k sink, protocol string) (best, cost float64, err error) {
	rate := 500_000.0
	if k.slow {
		rate = 4_000
	}
	for misses := 0; misses < 2 && ctx.Err() == nil; {
		r, err := s.load(ctx, k, protocol, int(rate), 4*time.Second)
		if err != nil {
			return best, cost, err
		}
		if r.lost != 0 {
			misses++
			continue
		}
		misses = 0
		best, cost = r.sent.Rate, r.cpuPerMillion
		if r.sent.Rate < 0.9*rate {
			fmt.Printf("# the sender reaches no more than %.0f flows/s\n", r.sent.Rate)
			break
		}
		rate *= 1.25
	}
	return best, cost, ctx.Err()
}

func size(dir string) int64 {
	var total int64
	filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}
