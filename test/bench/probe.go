package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
)

// benchProbe meters one trace from a file: ours and softflowd export NetFlow to a socket that takes everything, nfpcapd
// and argus write their own files.
func benchProbe(ctx context.Context, s *settings) error {
	trace := filepath.Join(s.work, "trace.pcap")
	if out, err := exec.Command(s.program("tracegen"), "-packets", strconv.Itoa(s.packet), "-o", trace).CombinedOutput(); err != nil {
		return fmt.Errorf("tracegen: %w\n%s", err, out)
	} else {
		fmt.Printf("# trace: %s", out)
	}
	sink, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer sink.Close()
	go func() {
		for b := make([]byte, 1<<16); ; {
			if _, err := sink.Read(b); err != nil {
				return
			}
		}
	}()
	address := sink.LocalAddr().String()
	ours := func(protocol string) func(int) (*exec.Cmd, error) {
		return func(int) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, s.program("probe"), "-r", trace, "-e", address, "--protocol", protocol, "--max-rate", "0"), nil
		}
	}
	contenders := []*contender{
		{name: "caprock probe, ipfix", command: ours("ipfix")},
		{name: "caprock probe, v9", command: ours("v9")},
	}
	if installed("softflowd") {
		contenders = append(contenders, &contender{name: "softflowd, v9, table large enough", command: func(int) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, "softflowd", "-d", "-r", trace, "-v", "9", "-n", address, "-p", "none", "-c", "none", "-m", "3000000"), nil
		}})
	}
	if installed("nfpcapd") {
		contenders = append(contenders, &contender{name: "nfpcapd, to file", command: func(int) (*exec.Cmd, error) {
			dir, err := s.scratch("nfpcapd")
			return exec.CommandContext(ctx, "nfpcapd", "-r", trace, "-w", dir), err
		}})
	}
	if installed("argus") {
		contenders = append(contenders, &contender{name: "argus, to file", command: func(int) (*exec.Cmd, error) {
			dir, err := s.scratch("argus")
			return exec.CommandContext(ctx, "argus", "-r", trace, "-w", filepath.Join(dir, "argus.out")), err
		}})
	}
	turns(ctx, s.rounds, contenders)
	fmt.Printf("%-36s %10s %10s %10s %10s %8s  %s\n", "metering a file", "CPU s", "CPU µs/pkt", "pkt/s wall", "RSS MiB", "CPU/ours", "")
	for _, c := range contenders {
		if c.remark != "" {
			fmt.Printf("%-36s %s\n", c.name, c.remark)
			continue
		}
		fmt.Printf("%-36s %10.2f %10.2f %10.0f %10.0f %8.1f\n", c.name, c.median(cpu), c.median(cpu)/float64(s.packet)*1e6,
			float64(s.packet)/c.median(wall), c.median(memory), ratio(c, contenders[0], cpu))
	}
	return nil
}
