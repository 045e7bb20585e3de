package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sink is a collector under test: how it is started, and how many flows it stored in the end.
type sink struct {
	name    string
	command func(dir, port string) *exec.Cmd
	stored  func(dir, log string) (int, error)
	slow    bool // cannot be offered the rates of the others
}

func (s *settings) sinks(ctx context.Context) []sink {
	all := []sink{{
		name: "caprock collector",
		command: func(dir, port string) *exec.Cmd {
			return exec.CommandContext(ctx, s.program("collector"), "-w", dir, "-l", "127.0.0.1:"+port)
		},
		stored: s.storedByUs,
	}}
	if installed("nfcapd") {
		all = append(all, sink{
			name: "nfcapd, lz4",
			command: func(dir, port string) *exec.Cmd {
				return exec.CommandContext(ctx, "nfcapd", "-w", dir, "-p", port, "-b", "127.0.0.1", "-y", "-t", "3600", "-B", "4194304")
			},
			stored: func(_, log string) (int, error) { return lastNumber(log, `Flows: (\d+)`) },
		})
	}
	if s.goflow != "" {
		all = append(all, sink{
			name: "goflow2, protobuf",
			slow: true,
			command: func(dir, port string) *exec.Cmd {
				return exec.CommandContext(ctx, s.goflow, "-listen", "netflow://127.0.0.1:"+port, "-addr", "127.0.0.1:0",
					"-format", "json", "-transport.file", filepath.Join(dir, "flows.json"), "-loglevel", "error")
			},
			stored: func(dir, _ string) (int, error) {
				text, err := os.ReadFile(filepath.Join(dir, "flows.json"))
				return bytes.Count(text, []byte("\n")), err
			},
		})
		all[len(all)-1].name = "goflow2, JSON"
	}
	return all
}

func (s *settings) storedByUs(dir, _ string) (int, error) {
	out, err := exec.Command(s.program("flowstat"), "-o", "ndjson", dir).Output()
	if err != nil {
		return 0, err
	}
	var sums struct{ Flows int }
	return sums.Flows, json.Unmarshal(out, &sums)
}

func lastNumber(text, pattern string) (int, error) {
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		return 0, fmt.Errorf("no %s in %q", pattern, text)
	}
	total := 0
	for _, f := range found {
		n, err := strconv.Atoi(f[1])
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// running is a sink that has been started.
type running struct {
	cmd  *exec.Cmd
	dir  string
	port string
	mu   sync.Mutex
	out  bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

// start runs a sink and waits until its port is bound.
func (k *sink) start(dir string) (*running, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(c.LocalAddr().(*net.UDPAddr).Port)
	c.Close()
	r := &running{cmd: k.command(dir, port), dir: dir, port: port}
	r.cmd.Stdout, r.cmd.Stderr = r, r
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	number, _ := strconv.Atoi(port)
	hex := fmt.Sprintf(":%04X ", number)
	for range 200 {
		table, _ := os.ReadFile("/proc/net/udp")
		table6, _ := os.ReadFile("/proc/net/udp6")
		if strings.Contains(string(table)+string(table6), hex) {
			return r, nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	r.cmd.Process.Kill()
	return nil, fmt.Errorf("%s does not listen\n%s", k.name, r.out.String())
}

// stop ends a sink in order and returns what it took.
func (r *running) stop() (usage, error) {
	r.cmd.Process.Signal(syscall.SIGTERM)
	err := r.cmd.Wait()
	u := usage{output: r.out.String()}
	u.add(r.cmd)
	if err != nil && r.cmd.ProcessState.ExitCode() > 0 {
		return u, fmt.Errorf("%v: %w\n%s", r.cmd.Args, err, u.output)
	}
	return u, nil
}

// sent is what flowblast prints.
type sent struct {
	Datagrams, Flows, Packets, Octets uint64
	Seconds                           float64
	Rate                              float64 `json:"flows_per_second"`
}

func (s *settings) blast(ctx context.Context, port, protocol string, rate int, d time.Duration) (sent, error) {
	var v sent
	out, err := exec.CommandContext(ctx, s.program("flowblast"), "-protocol", protocol, "-rate", strconv.Itoa(rate),
		"-duration", d.String(), "127.0.0.1:"+port).Output()
	if err != nil {
		return v, fmt.Errorf("flowblast: %w", err)
	}
	return v, json.Unmarshal(out, &v)
}
