package main

import (
	"context"
	"fmt"
	"os/exec"
)

// benchQuery feeds the same flows to the collectors that have a query tool, and asks each the same questions.
func benchQuery(ctx context.Context, s *settings) error {
	var sinks []sink
	for _, k := range s.sinks(ctx) {
		if !k.slow {
			sinks = append(sinks, k)
		}
	}
	dirs, err := s.feedAll(ctx, sinks)
	if err != nil {
		return err
	}
	questions := []struct {
		name         string
		ours, nfdump []string
	}{
		{"top 10 sources by bytes", []string{"--by", "src_addr", "--sort", "bytes", "-n", "10"}, []string{"-s", "srcip/bytes", "-n", "10"}},
		{"top 10 of two fields", []string{"--by", "src_addr,dst_port", "--sort", "bytes", "-n", "10"}, []string{"-A", "srcip,dstport", "-O", "bytes", "-n", "10", "-o", "fmt:%sa %dp %pkt %byt"}},
		{"a filter, totals", []string{"-f", "proto tcp and dst port 443 and src net 10.0.0.0/8"},
			[]string{"-o", "null", "proto tcp and dst port 443 and src net 10.0.0.0/8"}},
		{"totals of all", nil, []string{"-o", "null"}},
	}
	fmt.Printf("\n%-28s %14s %14s %14s %10s\n", "asking (wall s / CPU s)", "caprock", "nfdump", "", "wall ratio")
	for _, q := range questions {
		ours := &contender{name: "caprock", command: func(int) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, s.program("flowstat"), append(append([]string{}, q.ours...), dirs[sinks[0].name])...), nil
		}}
		contenders := []*contender{ours}
		if len(sinks) > 1 {
			contenders = append(contenders, &contender{name: "nfdump", command: func(int) (*exec.Cmd, error) {
				return exec.CommandContext(ctx, "nfdump", append([]string{"-R", dirs[sinks[1].name]}, q.nfdump...)...), nil
			}})
		}
		turns(ctx, s.rounds+1, contenders)
		fmt.Printf("%-28s", q.name)
		for _, c := range contenders {
			if c.remark != "" {
				fmt.Printf(" %s", c.remark)
				continue
			}
			fmt.Printf(" %7.2f / %4.2f", c.median(wall), c.median(cpu))
		}
		if len(contenders) > 1 {
			fmt.Printf(" %25.1f", ratio(contenders[1], ours, wall))
		}
		fmt.Println()
	}
	return nil
}
