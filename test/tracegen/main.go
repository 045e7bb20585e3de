// Command tracegen writes a synthetic packet capture, as package trace describes it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"

	"github.com/caprock-net/caprock/test/trace"
)

func main() {
	c := trace.DefaultConfig()
	flag.IntVar(&c.Packets, "packets", c.Packets, "packets to write")
	flag.IntVar(&c.Flows, "flows", c.Flows, "flows alive at once")
	flag.DurationVar(&c.Span, "span", c.Span, "from the first packet to the last")
	flag.IntVar(&c.Snaplen, "snaplen", c.Snaplen, "bytes kept of a frame")
	flag.Uint64Var(&c.Seed, "seed", c.Seed, "another seed, other traffic")
	out := flag.String("o", "", "file to write")
	flag.Parse()
	if err := run(c, *out); err != nil {
		fmt.Fprintln(os.Stderr, "tracegen:", err)
		os.Exit(1)
	}
}

func run(c trace.Config, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	totals, err := trace.Write(w, c)
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("packets %d bytes %d flows %d\n", totals.Packets, totals.Bytes, totals.Flows)
	return f.Close()
}
