// Command tracegen writes a synthetic packet capture, as package trace describes it.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/caprock-net/caprock/test/trace"
)

func main() {
	c := trace.DefaultConfig()
	flag.IntVar(&c.Packets, "packets", c.Packets, "packets to write")
	flag.IntVar(&c.Flows, "flows", c.Flows, "conversations alive at once")
	flag.BoolVar(&c.Replies, "replies", c.Replies, "with packets in both directions")
	flag.DurationVar(&c.Span, "span", c.Span, "from the first packet to the last")
	flag.IntVar(&c.Snaplen, "snaplen", c.Snaplen, "bytes kept of a frame")
	flag.Uint64Var(&c.Seed, "seed", c.Seed, "another seed, other traffic")
	corpora := flag.String("corpora", "", "make it of copies of the captures in this folder instead, with other addresses")
	flood := flag.String("flood", "", "make a flood of this kind instead")
	list := flag.Bool("floods", false, "list the kinds of floods, a line each")
	flag.IntVar(&c.MTU, "mtu", 1500, "bytes of the longest IP packet")
	out := flag.String("o", "", "file to write")
	flag.Parse()
	if *list {
		for _, f := range trace.Floods {
			fmt.Println(f.Name)
		}
		return
	}
	if err := run(c, *corpora, *flood, *out); err != nil {
		fmt.Fprintln(os.Stderr, "tracegen:", err)
		os.Exit(1)
	}
}

func run(c trace.Config, corpora, flood, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var said string
	if corpora != "" {
		said, err = replicate(w, c, corpora)
	} else {
		var t trace.Totals
		if flood != "" {
			t, err = trace.WriteFlood(w, c, flood)
		} else {
			t, err = trace.Write(w, c)
		}
		said = fmt.Sprintf("packets %d bytes %d conversations %d flows %d", t.Packets, t.Bytes, t.Conversations, t.Flows)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	fmt.Println(said)
	return nil
}

func replicate(w io.Writer, c trace.Config, folder string) (string, error) {
	sources, err := trace.Sources(folder)
	if err != nil {
		return "", err
	}
	r, err := trace.Replicate(w, c, sources)
	return fmt.Sprintf("packets %d: %d copies of %d files", r.Packets, r.Copies, r.Files), err
}
