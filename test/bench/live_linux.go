package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// steps are the rates offered, in packets a second; 0 is as many as the sender can.
var steps = []int{100_000, 200_000, 400_000, 600_000, 0}

// Sender and probe have a processor each. The kernel's part of receiving, up to the copy into the probe's buffer, is done
// on the sender's.
const senderCPU, probeCPU = 0, 1

const offer = 3 * time.Second // how long packets are offered

// hopeless is the part of packets lost at which a contender is not asked for more.
const hopeless = 0.2

// metered is what a program says that became of the packets sent.
type metered struct {
	packets uint64
	drops   int64 // by the kernel; -1: not told
	of      uint64
}

// liveProbe is a program that meters an interface.
type liveProbe struct {
	name string
	// command of the program, which exports to collector, and may keep files in dir.
	args func(dir string) []string
	// ready is what it prints when it captures; without it a second is given.
	ready string
	// before is asked before the end, when the program tells its figures only then.
	before func(n namespace, dir string) string
	// metered makes out what became of the packets sent: from what it printed, from what before printed, and from the
	// packets in the NetFlow v5 that it has sent.
	metered func(sent sentFrames, u usage, before string, exported uint64) (metered, error)
	exports bool // has to be counted by what it exports
}

// sentFrames is what frameblast prints.
type sentFrames struct {
	Frames, IPv4 uint64
	Rate         float64 `json:"frames_per_second"`
}

// collector is the address that everybody exports to, in the namespace.
const collector = "127.0.0.1:2055"

// benchLive sends packets over a veth pair to probes that capture live, at rates.
func benchLive(ctx context.Context, s *settings) error {
	if reason := liveImpossible(); reason != "" {
		fmt.Printf("# left out: %s\n", reason)
		return nil
	}
	// Whole packets that fit into what is kept of them: nobody's snapshot length matters.
	c, err := s.silentTrace(ctx, "live.pcap", s.packet, []string{"-mtu", "66"})
	if err != nil {
		return err
	}
	defer os.Remove(c.path)
	fmt.Printf("# frames: %s", c.name)
	near, far, err := cable()
	defer near.delete()
	defer far.delete()
	if err != nil {
		return err
	}
	probes := s.liveProbes()
	given := map[string]bool{}
	fmt.Printf("%-12s %-18s %12s %12s %8s %14s %10s %10s\n", "offered", "", "packets/s", "lost", "lost %", "kernel says", "µs/packet", "with end")
	for _, step := range steps {
		results := map[string][]liveResult{}
		for range s.rounds {
			for _, p := range probes {
				if given[p.name] {
					continue
				}
				r, err := s.live(ctx, near, far, p, c.path, step)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				results[p.name] = append(results[p.name], r)
			}
		}
		for _, p := range probes {
			if len(results[p.name]) > 0 {
				given[p.name] = reportLive(step, p, results[p.name])
			}
		}
	}
	return ctx.Err()
}

func liveImpossible() string {
	if os.Geteuid() != 0 {
		return "needs root, for network namespaces and packet sockets"
	}
	for _, name := range []string{"ip", "taskset"} {
		if _, err := exec.LookPath(name); err != nil {
			return name + " is not installed"
		}
	}
	if out, err := exec.Command("taskset", "-c", strconv.Itoa(probeCPU), "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("needs two processors: %s", out)
	}
	return ""
}

// liveResult is one turn.
type liveResult struct {
	rate      float64
	lost      float64 // packets
	part      float64 // of those sent
	drops     int64
	each, all float64 // µs of CPU for a packet metered: while they came, and up to the end of the program
}

// reportLive prints the turns of a step and reports whether there is no use in higher rates.
func reportLive(step int, p liveProbe, turns []liveResult) bool {
	pick := func(f func(liveResult) float64) float64 {
		var v []float64
		for _, r := range turns {
			v = append(v, f(r))
		}
		return median(v)
	}
	offered := "maximum"
	if step > 0 {
		offered = strconv.Itoa(step)
	}
	part := pick(func(r liveResult) float64 { return r.part })
	says := "as many"
	for _, r := range turns {
		if r.drops < 0 {
			says = "-"
		} else if float64(r.drops) != r.lost {
			says = fmt.Sprintf("%d of %.0f", r.drops, r.lost)
			break
		}
	}
	fmt.Printf("%-12s %-18s %12.0f %12.0f %8.2f %14s %10.2f %10.2f\n", offered, p.name, pick(func(r liveResult) float64 { return r.rate }),
		pick(func(r liveResult) float64 { return r.lost }), 100*part, says,
		pick(func(r liveResult) float64 { return r.each }), pick(func(r liveResult) float64 { return r.all }))
	return part > hopeless
}

func (s *settings) liveProbes() []liveProbe {
	probes := []liveProbe{{
		name: "caprock probe",
		args: func(string) []string {
			return []string{s.program("probe"), "-i", wire, "-e", collector, "--summary", "json"}
		},
		ready: "metering",
		metered: func(sent sentFrames, u usage, _ string, _ uint64) (metered, error) {
			sum, err := summaryOf(u)
			return metered{sum.Packets.Metered, int64(sum.Packets.Dropped), sent.Frames}, err
		},
	}}
	if installed("fprobe") {
		probes = append(probes, liveProbe{
			name: "fprobe", exports: true, ready: "collector #1",
			args: func(string) []string {
				return []string{"fprobe", "-i", wire, "-f", "ip", "-n", "5", "-l", "2", "-q", "1000000", "-b", "100000", "-B", "65536", collector}
			},
			// It knows IPv4 only, and counts nothing: the packets in its flows are what it has metered.
			metered: func(sent sentFrames, _ usage, _ string, exported uint64) (metered, error) {
				return metered{exported, -1, sent.IPv4}, nil
			},
		})
	}
	if installed("softflowd") {
		probes = append(probes, liveProbe{
			name: "softflowd",
			args: func(dir string) []string {
				return []string{"softflowd", "-d", "-i", wire, "-v", "9", "-n", collector, "-p", "none", "-c", filepath.Join(dir, "ctl"),
					"-m", "3000000", "-B", "67108864", "-C", "128"}
			},
			before: func(n namespace, dir string) string {
				out, _ := n.command("softflowctl", "-c", filepath.Join(dir, "ctl"), "statistics").CombinedOutput()
				return string(out)
			},
			metered: func(sent sentFrames, _ usage, before string, _ uint64) (metered, error) {
				n, err := lastNumber(before, `Packets processed: (\d+)`)
				drops, err2 := lastNumber(before, `Packets dropped by libpcap: (\d+)`)
				return metered{uint64(n), int64(drops), sent.Frames}, errors.Join(err, err2)
			},
		})
	}
	if installed("nfpcapd") {
		probes = append(probes, liveProbe{
			name: "nfpcapd",
			args: func(dir string) []string { return []string{"nfpcapd", "-i", wire, "-w", dir, "-b", "64", "-s", "128"} },
			metered: func(sent sentFrames, u usage, _ string, _ uint64) (metered, error) {
				n, err := lastNumber(u.output, `Total: Processed: (\d+)`)
				drops, err2 := lastNumber(u.output, `dropped by OS/Buffer: (\d+)`)
				return metered{uint64(n), int64(drops), sent.Frames}, errors.Join(err, err2)
			},
		})
	}
	return probes
}

// live gives a probe one turn.
func (s *settings) live(ctx context.Context, near, far namespace, p liveProbe, path string, rate int) (r liveResult, err error) {
	dir, err := s.scratch("live")
	if err != nil {
		return r, err
	}
	drain, err := far.drain(p.exports)
	if err != nil {
		return r, err
	}
	defer drain.close()
	run := &running{cmd: far.command("taskset", append([]string{"-c", strconv.Itoa(probeCPU)}, p.args(dir)...)...)}
	var stdout strings.Builder
	run.cmd.Stdout, run.cmd.Stderr = io.MultiWriter(&stdout, run), run
	if err := run.cmd.Start(); err != nil {
		return r, err
	}
	defer run.cmd.Process.Kill() // when it has ended nothing happens
	if err := run.wait(p.ready); err != nil {
		return r, err
	}
	pid := run.cmd.Process.Pid
	start := cpuOf(pid)
	blast := near.command(s.program("frameblast"), "-i", wire, "-rate", strconv.Itoa(rate), "-duration", offer.String(), "-cpu", strconv.Itoa(senderCPU), path)
	out, err := blast.Output()
	if err != nil {
		return r, fmt.Errorf("frameblast: %w", err)
	}
	var sent sentFrames
	if err := json.Unmarshal(out, &sent); err != nil {
		return r, err
	}
	while := settled(pid) - start
	before := ""
	if p.before != nil {
		before = p.before(far, dir)
	}
	u, err := run.stop()
	if err != nil {
		return r, err
	}
	u.stdout = stdout.String()
	time.Sleep(200 * time.Millisecond)
	m, err := p.metered(sent, u, before, drain.packets())
	if err != nil {
		return r, err
	}
	lost := float64(m.of) - float64(m.packets)
	return liveResult{sent.Rate, lost, lost / float64(m.of), m.drops, while / float64(m.packets) * 1e6, (u.cpu - start) / float64(m.packets) * 1e6}, ctx.Err()
}

// wait waits until a program has printed something, or a second.
func (r *running) wait(ready string) error {
	if ready == "" {
		time.Sleep(time.Second)
		return nil
	}
	for range 400 {
		r.mu.Lock()
		found := strings.Contains(r.out.String(), ready)
		r.mu.Unlock()
		if found {
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	return fmt.Errorf("%v does not begin\n%s", r.cmd.Args, r.out.String())
}

// settled is the processor time that a process has had when it has taken what is in its buffer.
func settled(pid int) float64 {
	time.Sleep(time.Second)
	for last := cpuOf(pid); ; {
		time.Sleep(250 * time.Millisecond)
		now := cpuOf(pid)
		if now-last < 0.025 {
			return now
		}
		last = now
	}
}

// cpuOf is the processor time that a process has had, in seconds. The scheduler counts nanoseconds, for each thread; those
// of threads that have ended are missing, but none of these programs ends any while it meters.
func cpuOf(pid int) float64 {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	total := 0.0
	for _, name := range threads {
		text, _ := os.ReadFile(name)
		var ns float64
		fmt.Sscan(string(text), &ns)
		total += ns / 1e9
	}
	return total
}
