package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// benchFlood meters what attackers send, as fast as it can be read, with a table for half as many flows as there are
// packets, and compares it with the normal trace. Floods that fill the table evict flows; memory stays at its bound.
func benchFlood(ctx context.Context, s *settings) error {
	sink, err := newSink()
	if err != nil {
		return err
	}
	defer sink.Close()
	list, err := exec.Command(s.program("tracegen"), "-floods").Output()
	if err != nil {
		return fmt.Errorf("tracegen: %w", err)
	}
	kinds := strings.Fields(string(list))
	most := max(s.packet/2, 1)
	bound, err := s.memoryBound(ctx, most)
	if err != nil {
		return err
	}
	args := []string{"-e", sink.LocalAddr().String(), "--max-rate", "0", "--max-flows", strconv.Itoa(most)}
	trace, err := s.silentTrace(ctx, "normal.pcap", s.packet, nil)
	if err != nil {
		return err
	}
	defer os.Remove(trace.path)

	fmt.Printf("%-12s %10s %9s %11s %9s %8s %8s %11s %11s %8s\n", "", "flows", "µs/packet", "packets/s", "of normal", "by CPU", "RSS MiB", "peak flows", "evicted", "adds up")
	var relative []float64
	for i, kind := range kinds {
		c, err := s.silentTrace(ctx, "flood.pcap", s.packet, []string{"-flood", kind})
		if err != nil {
			return err
		}
		// Each flood has the normal trace beside it, so that both have the same neighbours on the machine.
		normal, flood := s.metering(ctx, []variant{{"normal trace", args}}, trace)[0], s.metering(ctx, []variant{{kind, args}}, c)[0]
		turns(ctx, s.rounds, []*contender{normal, flood})
		os.Remove(c.path)
		if i == 0 {
			if err := reportFlood(trace, normal, normal, most, bound); err != nil {
				return err
			}
		}
		if err := reportFlood(c, flood, normal, most, bound); err != nil {
			return err
		}
		relative = append(relative, 1/ratio(flood, normal, wall))
	}
	fmt.Printf("# the slowest of them: %.2f of the normal throughput\n", slices.Min(relative))
	return nil
}

func reportFlood(c *capture, flood, normal *contender, most int, bound float64) error {
	if flood.remark != "" || normal.remark != "" {
		return fmt.Errorf("%s: %s%s", flood.name, flood.remark, normal.remark)
	}
	sum, err := summaryOf(flood.runs[0])
	if err != nil {
		return err
	}
	// That it adds up inside the probe checks itself at the end, or fails; here it is compared with what was sent.
	adds := "yes"
	if p := sum.Packets; p.Read != uint64(c.packets) || p.Metered != p.Read || sum.Flows.Ended.Packets != p.Metered || sum.Flows.Peak > uint64(most) {
		adds = "NO"
	}
	fmt.Printf("%-12s %10d %9.2f %11.0f %9.2f %8.2f %8.0f %11d %11d %8s", flood.name, sum.Flows.Ended.Flows, flood.median(cpu)/float64(c.packets)*1e6,
		float64(c.packets)/flood.median(wall), 1/ratio(flood, normal, wall), 1/ratio(flood, normal, cpu), flood.median(memory), sum.Flows.Peak, sum.Flows.Resources, adds)
	if flood.median(memory) > bound {
		fmt.Printf("  above the bound by %.0f MiB", flood.median(memory)-bound)
	}
	fmt.Println()
	return nil
}

// memoryBound is what a probe with a table for so many flows may take, in MiB: what it takes without any, the table, the
// queue of the exporter (probe.QueueFlows); and a little, for huge pages and for what the runtime does not give back at once.
func (s *settings) memoryBound(ctx context.Context, flows int) (float64, error) {
	const queue, slack = 16, 8
	bytes, err := s.bytesPerFlow()
	if err != nil {
		return 0, err
	}
	empty, err := s.emptyProbe(ctx)
	table := float64(bytes) * float64(flows) / (1 << 20)
	bound := empty + table + queue + slack
	fmt.Printf("# memory is to stay below %.0f MiB: --max-flows %d of up to %d bytes each are %.0f MiB, a probe without flows takes %.0f,\n", bound, flows, bytes, table, empty)
	fmt.Printf("# the queue of its exporter %d, and %d for huge pages and garbage\n", queue, slack)
	return bound, err
}

// bytesPerFlow is what the probe says that a flow takes at most.
func (s *settings) bytesPerFlow() (int, error) {
	help, err := exec.Command(s.program("probe"), "--help").Output()
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`of up to (\d+) bytes each`).FindSubmatch(help)
	if found == nil {
		return 0, fmt.Errorf("probe --help does not say how many bytes a flow takes")
	}
	return strconv.Atoi(string(found[1]))
}
