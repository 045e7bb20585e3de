package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// usage is what a process took.
type usage struct {
	wall, cpu float64 // seconds
	memory    float64 // MiB, resident at most
	output    string  // standard output and standard error
	stdout    string
}

// contender is one program in a comparison.
type contender struct {
	name    string
	command func(round int) (*exec.Cmd, error)
	once    bool // has one turn only, the first
	runs    []usage
	remark  string
}

// limit is how long a contender may take.
const limit = 5 * time.Minute

// measure runs a command to its end.
func measure(cmd *exec.Cmd) (usage, error) {
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	began := time.Now()
	err := cmd.Start()
	if err == nil {
		tooLong := time.AfterFunc(limit, func() { cmd.Process.Kill() })
		err = cmd.Wait()
		if !tooLong.Stop() {
			return usage{}, fmt.Errorf("stopped after %v", limit)
		}
	}
	u := usage{wall: time.Since(began).Seconds(), stdout: out.String(), output: out.String() + errors.String()}
	u.add(cmd)
	if err != nil {
		return u, fmt.Errorf("%v: %w\n%s", cmd.Args, err, u.output)
	}
	return u, nil
}

func (u *usage) add(cmd *exec.Cmd) {
	if s := cmd.ProcessState; s != nil {
		u.cpu = (s.UserTime() + s.SystemTime()).Seconds()
		if r, ok := s.SysUsage().(*syscall.Rusage); ok {
			u.memory = float64(r.Maxrss) / 1024
		}
	}
}

// turns runs the contenders in turn, rounds times each. One that fails drops out with a remark.
func turns(ctx context.Context, rounds int, contenders []*contender) {
	for round := range rounds {
		for _, c := range contenders {
			if c.remark != "" || c.once && round > 0 || ctx.Err() != nil {
				continue
			}
			cmd, err := c.command(round)
			var u usage
			if err == nil {
				u, err = measure(cmd)
			}
			if err != nil {
				c.remark = err.Error()
				continue
			}
			c.runs = append(c.runs, u)
		}
	}
}

func (c *contender) median(f func(usage) float64) float64 {
	var v []float64
	for _, u := range c.runs {
		v = append(v, f(u))
	}
	return median(v)
}

func cpu(u usage) float64    { return u.cpu }
func wall(u usage) float64   { return u.wall }
func memory(u usage) float64 { return u.memory }

// ratio is the median over the rounds of theirs/ours, each round paired.
func ratio(theirs, ours *contender, f func(usage) float64) float64 {
	var v []float64
	for i := range min(len(theirs.runs), len(ours.runs)) {
		v = append(v, f(theirs.runs[i])/f(ours.runs[i]))
	}
	return median(v)
}

// installed reports whether a peer's program is there, and says so when it is not.
func installed(name string) bool {
	_, err := exec.LookPath(name)
	if err != nil {
		fmt.Printf("# %s is not installed: left out (scripts/setup peers)\n", name)
	}
	return err == nil
}
