// Command frameblast puts the frames of a capture on an interface, over and over, at a rate, and says how many there were.
// It is Linux only, and needs root or CAP_NET_RAW.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

type config struct {
	file      string
	name      string
	rate      int
	duration  time.Duration
	processor int
}

// result is what is printed.
type result struct {
	Frames  uint64  `json:"frames"`
	IPv4    uint64  `json:"ipv4"` // of the frames
	Bytes   uint64  `json:"bytes"`
	Busy    uint64  `json:"busy"` // times that the interface took nothing, and a frame was sent again
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"frames_per_second"`
}

func main() {
	var c config
	flag.StringVar(&c.name, "i", "", "interface to send to")
	flag.IntVar(&c.rate, "rate", 0, "frames a second; 0: as many as it takes")
	flag.DurationVar(&c.duration, "duration", 3*time.Second, "how long")
	flag.IntVar(&c.processor, "cpu", -1, "processor to run on; -1: any")
	flag.Parse()
	if flag.NArg() != 1 || c.name == "" {
		fmt.Fprintln(os.Stderr, "usage: frameblast -i INTERFACE [-rate N] [-duration D] [-cpu N] FILE")
		os.Exit(2)
	}
	c.file = flag.Arg(0)
	r, err := blast(c)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "frameblast:", err)
		os.Exit(1)
	}
}
