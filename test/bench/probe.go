package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// capture is a file that everybody meters.
type capture struct {
	name    string
	path    string
	packets int
	once    bool // peers need minutes for it: they get one turn
}

// benchProbe meters captures from files: ours and softflowd export NetFlow to a socket that takes everything, nfpcapd and
// argus write their own files.
func benchProbe(ctx context.Context, s *settings) error {
	sink, err := newSink()
	if err != nil {
		return err
	}
	defer sink.Close()
	variants, err := s.probes(sink.LocalAddr().String())
	if err != nil {
		return err
	}
	empty, err := s.emptyProbe(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("# a probe that meters nothing takes %.0f MiB: B/flow is what it takes beyond that, for each flow held at most, export queue and all\n", empty)
	perPacket := map[string][]float64{}
	for _, make := range []func(context.Context) (*capture, error){s.shortTrace, s.longTrace, s.corpora} {
		c, err := make(ctx)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		contenders := append(s.metering(ctx, variants, c), s.meteringPeers(ctx, sink.LocalAddr().String(), c)...)
		turns(ctx, s.rounds, contenders)
		report(c, contenders, empty, len(variants), perPacket)
		if err := s.tableMemory(ctx, c); err != nil {
			return err
		}
		os.Remove(c.path)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, v := range variants {
		if p := perPacket[v.name]; len(p) > 1 {
			fmt.Printf("# %s: %.2f times the CPU for a packet of the long trace\n", v.name, p[1]/p[0])
		}
	}
	return nil
}

// newSink is a UDP socket that takes everything.
func newSink() (*net.UDPConn, error) {
	sink, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	go func() {
		for b := make([]byte, 1<<16); ; {
			if _, err := sink.Read(b); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	return sink, nil
}

// variant is a way to call our probe.
type variant struct {
	name string
	args []string
}

// probes are the ways to call our probe that are compared.
func (s *settings) probes(collector string) ([]variant, error) {
	variants := []variant{
		{"caprock probe, ipfix", []string{"-e", collector, "--max-rate", "0"}},
		{"caprock probe, v9", []string{"-e", collector, "--max-rate", "0", "--protocol", "v9"}},
	}
	help, err := exec.Command(s.program("probe"), "--help").Output()
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(help), "--rings") {
		variants = append(variants, variant{"caprock probe, ipfix, 2 rings", []string{"-e", collector, "--max-rate", "0", "--rings", "2"}})
	}
	return variants, nil
}

// metering makes contenders of our probe.
func (s *settings) metering(ctx context.Context, variants []variant, c *capture) []*contender {
	var list []*contender
	for _, v := range variants {
		list = append(list, &contender{name: v.name, command: func(int) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, s.program("probe"), append([]string{"-r", c.path, "--summary", "json"}, v.args...)...), nil
		}})
	}
	return list
}

// meteringPeers makes contenders of those who read files. Softflowd's table is large enough for it not to split flows.
func (s *settings) meteringPeers(ctx context.Context, collector string, c *capture) []*contender {
	var list []*contender
	if installed("nfpcapd") {
		list = append(list, &contender{name: "nfpcapd, to file", once: c.once, command: func(int) (*exec.Cmd, error) {
			dir, err := s.scratch("nfpcapd")
			return exec.CommandContext(ctx, "nfpcapd", "-r", c.path, "-w", dir), err
		}})
	}
	if installed("argus") {
		list = append(list, &contender{name: "argus, to file", once: c.once, command: func(int) (*exec.Cmd, error) {
			dir, err := s.scratch("argus")
			return exec.CommandContext(ctx, "argus", "-r", c.path, "-w", filepath.Join(dir, "argus.out")), err
		}})
	}
	if installed("softflowd") {
		list = append(list, &contender{name: "softflowd, v9, large table", once: c.once, command: func(int) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, "softflowd", "-d", "-r", c.path, "-v", "9", "-n", collector, "-p", "none", "-c", "none", "-m", "3000000"), nil
		}})
	}
	return list
}

// summary is what we need of the probe's summary in JSON.
type summary struct {
	Sources []struct {
		Packets uint64
		Dropped uint64
	}
	Packets struct{ Read, Metered, Dropped uint64 }
	Flows   struct {
		Ended     struct{ Flows, Packets uint64 }
		Resources uint64
		Peak      uint64
	}
}

func summaryOf(u usage) (summary, error) {
	var v summary
	return v, json.Unmarshal([]byte(u.stdout), &v)
}

// emptyProbe measures the memory of a probe without packets, in MiB.
func (s *settings) emptyProbe(ctx context.Context) (float64, error) {
	path := filepath.Join(s.work, "empty.pcap")
	if out, err := exec.Command(s.program("tracegen"), "-packets", "0", "-o", path).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("tracegen: %w\n%s", err, out)
	}
	u, err := measure(exec.CommandContext(ctx, s.program("probe"), "-r", path))
	return u.memory, err
}

// tableMemory says what the flow table alone takes: a probe that exports nothing, less one that holds a single flow.
func (s *settings) tableMemory(ctx context.Context, c *capture) error {
	all, err := measure(exec.CommandContext(ctx, s.program("probe"), "-r", c.path, "--summary", "json"))
	if err != nil {
		return err
	}
	one, err := measure(exec.CommandContext(ctx, s.program("probe"), "-r", c.path, "--max-flows", "1"))
	if err != nil {
		return err
	}
	sum, err := summaryOf(all)
	table := all.memory - one.memory
	fmt.Printf("# without a collector: %.0f MiB, %.0f for the flows held: %.0f B for each of %d\n", all.memory, table, table*(1<<20)/float64(sum.Flows.Peak), sum.Flows.Peak)
	return err
}

// report prints a table of those who metered a capture; the first of ours is what they are compared to.
func report(c *capture, contenders []*contender, empty float64, ours int, perPacket map[string][]float64) {
	fmt.Printf("\n%-34s %9s %9s %11s %8s %8s %10s %8s\n", c.name, "CPU s", "µs/packet", "packets/s", "RSS MiB", "CPU/ours", "peak flows", "B/flow")
	var best []float64
	for i, c0 := range contenders {
		if c0.remark != "" {
			fmt.Printf("%-34s %s\n", c0.name, c0.remark)
			continue
		}
		each := c0.median(cpu) / float64(c.packets) * 1e6
		fmt.Printf("%-34s %9.2f %9.2f %11.0f %8.0f %8.1f", c0.name, c0.median(cpu), each, float64(c.packets)/c0.median(wall), c0.median(memory), ratio(c0, contenders[0], cpu))
		if i >= ours {
			best = append(best, ratio(c0, contenders[0], cpu))
			fmt.Println()
			continue
		}
		perPacket[c0.name] = append(perPacket[c0.name], each)
		sum, err := summaryOf(c0.runs[0])
		if err != nil || sum.Packets.Read != uint64(c.packets) || sum.Flows.Peak == 0 {
			fmt.Printf("  the summary says %+v, error %v\n", sum, err)
			continue
		}
		fmt.Printf(" %10d %8.0f", sum.Flows.Peak, (c0.median(memory)-empty)*(1<<20)/float64(sum.Flows.Peak))
		if sum.Flows.Resources > 0 {
			fmt.Printf("  %d flows evicted", sum.Flows.Resources)
		}
		fmt.Println()
	}
	if len(best) > 0 {
		fmt.Printf("# the best of them takes %.1f times our CPU\n", slices.Min(best))
	}
}

func (s *settings) shortTrace(ctx context.Context) (*capture, error) {
	return s.trace(ctx, "trace", s.packet, nil)
}

func (s *settings) longTrace(ctx context.Context) (*capture, error) {
	c, err := s.trace(ctx, "trace", 4*s.packet, nil)
	if err == nil {
		c.once = true
	}
	return c, err
}

// corpora replicates the packet captures in the folder packets of $CAPROCK_CORPORA, or of ../shared/corpora.
func (s *settings) corpora(ctx context.Context) (*capture, error) {
	folder := os.Getenv("CAPROCK_CORPORA")
	if folder == "" {
		folder = filepath.Join("..", "shared", "corpora")
	}
	folder = filepath.Join(folder, "packets")
	if _, err := os.Stat(folder); err != nil {
		fmt.Printf("\n# no captures to replicate in %s ($CAPROCK_CORPORA names another folder): left out\n", folder)
		return nil, nil
	}
	return s.trace(ctx, "captures", 2*s.packet, []string{"-corpora", folder, "-snaplen", "65535"})
}

// trace has a capture made, of packets at the rate of the default trace, and says what is in it.
func (s *settings) trace(ctx context.Context, kind string, packets int, args []string) (*capture, error) {
	c, err := s.silentTrace(ctx, "trace.pcap", packets, args)
	if err != nil {
		return nil, err
	}
	fmt.Printf("\n# %s, %v: %s", kind, span(packets), c.name)
	c.name = fmt.Sprintf("%s of %.1f M packets", kind, float64(c.packets)/1e6)
	return c, nil
}

// silentTrace does it without a word: that is the capture's name.
func (s *settings) silentTrace(ctx context.Context, file string, packets int, args []string) (*capture, error) {
	path := filepath.Join(s.work, file)
	args = append([]string{"-packets", strconv.Itoa(packets), "-span", span(packets).String(), "-o", path}, args...)
	out, err := exec.CommandContext(ctx, s.program("tracegen"), args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("tracegen: %w\n%s", err, out)
	}
	c := &capture{name: string(out), path: path}
	if _, err := fmt.Sscanf(string(out), "packets %d", &c.packets); err != nil {
		return nil, fmt.Errorf("tracegen says %q", out)
	}
	return c, nil
}

// span is how long it took until so many packets came.
func span(packets int) time.Duration { return time.Duration(packets) * 7500 * time.Nanosecond }
