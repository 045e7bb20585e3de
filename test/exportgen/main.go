// Command exportgen exports flows of every shape that the probe's encoders have a template for, and lists them on standard
// output as JSON, one a line, for another program to compare with what it received.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
	"github.com/caprock-net/caprock/probe/export"
)

func main() {
	cfg := export.Config{}
	to := flag.String("to", "127.0.0.1:2055", "collector")
	n := flag.Int("flows", 500, "flows to send")
	sampling := flag.Uint("sampling", 0, "tell that one packet in so many was metered")
	flag.StringVar(&cfg.Protocol, "protocol", export.DefaultProtocol, "ipfix, v9, v5 or v1")
	options := flag.String("options", "sampling", "what to tell in options data, separated by commas")
	list := flag.String("fields", "", "names of fields, separated by commas; every: all that there are")
	flag.BoolVar(&cfg.TCPMetrics, "tcp-metrics", false, "flows have TCP's metrics")
	flag.IntVar(&cfg.MTU, "mtu", 700, "greatest datagram")
	flag.IntVar(&cfg.TemplatePackets, "template-packets", 7, "send the templates again after so many datagrams")
	flag.IntVar(&cfg.MaxRate, "max-rate", 2000, "datagrams a second")
	flag.Parse()
	cfg.Destinations, cfg.Sampling, cfg.Options = []string{*to}, uint32(*sampling), strings.Split(*options, ",")
	switch *list {
	case "":
	case "every":
		cfg.Fields = fields.Names(map[string]uint8{"ipfix": netflow.VersionIPFIX, "v9": netflow.VersionV9}[cfg.Protocol])
	default:
		cfg.Fields = strings.Split(*list, ",")
	}
	cfg.Boot, cfg.Ignored = began-86_400e6, func() uint64 { return 5 }
	cfg.Interfaces = func() []netflow.Interface {
		return []netflow.Interface{{Index: 1, Name: "eth0", Description: "to the ridge"}, {Index: 70_001, Name: "ppp17"}}
	}
	if err := run(cfg, *n); err != nil {
		fmt.Fprintln(os.Stderr, "exportgen:", err)
		os.Exit(1)
	}
}

func run(cfg export.Config, n int) error {
	e, err := export.New(cfg)
	if err != nil {
		return err
	}
	defer e.Close()
	out := json.NewEncoder(os.Stdout)
	var now netflow.Timestamp
	for i := range n {
		r := flow(i)
		now = r.End + 1e6
		if err := e.Export(now, &r); err != nil {
			return err
		}
		if err := out.Encode(lineOf(&r)); err != nil {
			return err
		}
		if i%50 == 49 {
			e.Flush(now)
		}
	}
	e.Flush(now)
	for _, d := range e.Stats().Destinations {
		if lost := d.TotalLost(); lost.Flows > 0 {
			return fmt.Errorf("%d flows lost", lost.Flows)
		}
	}
	return nil
}
