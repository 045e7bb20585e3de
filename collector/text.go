package collector

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/caprock-net/caprock/collector/decode"
)

// WriteText writes the account for a person to read.
func (s *Stats) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	const layout = "2006-01-02 15:04:05"
	fmt.Fprintf(b, "account from %s to %s UTC\n", s.Since.UTC().Format(layout), s.Until.UTC().Format(layout))
	fmt.Fprintf(b, "datagrams  %d received = %d used + %d unusable + %d refused; %d dropped by the kernel before\n",
		s.Datagrams, s.Used(), s.Unusable(), s.Refused, s.KernelDrops)
	fmt.Fprintf(b, "flows      %d decoded = %d stored + %d pending + %d lost", s.Decode.Flows, s.Stored, s.Pending, s.Lost.Total())
	writeCounts(b, []count{{"queue full", s.Lost.QueueFull}, {"unfinished", s.Lost.Unfinished}, {"disk", s.Lost.Disk}})
	if n := s.Storage.Recovered.Flows; n > 0 {
		fmt.Fprintf(b, "           %d more were taken up from an earlier run\n", n)
	}
	d := &s.Decode
	fmt.Fprintf(b, "options    %d records; templates: %d new, %d changed, %d announced again; %d data sets without a template\n",
		d.Options, d.TemplatesNew, d.TemplatesChanged, d.TemplatesRefreshed, d.SetsWithoutTemplate)
	if m := malformed(&d.Counters); len(m) > 0 {
		fmt.Fprint(b, "malformed ")
		writeCounts(b, m)
	}
	if c := &s.Captures; c.Frames > 0 {
		fmt.Fprintf(b, "captures   %d frames, %d datagrams", c.Frames, c.Datagrams)
		writeCounts(b, []count{{"fragments", c.Fragments}, {"other port", c.OtherPort}, {"no export", c.NotExport},
			{"not UDP", c.NotUDP}, {"malformed", c.Malformed}, {"cut", c.Cut}})
	}
	for _, socket := range s.Sockets {
		fmt.Fprintf(b, "socket     %s: %d datagrams, %d dropped by the kernel, receive buffer %d bytes\n",
			socket.Address, socket.Datagrams, socket.KernelDrops, socket.ReceiveBuffer)
	}
	if len(d.Exporters) > 0 {
		b.WriteByte('\n')
		s.writeExporters(b)
	}
	return b.Flush()
}

// writeExporters writes a line for each exporter. The unit of "lost" is that of the version's sequence numbers.
func (s *Stats) writeExporters(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "exporter\tversion\tdomain\tdatagrams\tflows\toptions\tlost\treordered\trestarts\tno template\tmalformed\t")
	for i := range s.Decode.Exporters {
		e := &s.Decode.Exporters[i]
		bad := uint64(0)
		for _, n := range e.Malformed {
			bad += n
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t\n", e.Exporter, e.Version, e.Domain, e.Datagrams, e.Flows,
			e.Options, lostUnits(e), e.Reordered, e.Resets, e.SetsWithoutTemplate, bad)
	}
	t.Flush()
}

func lostUnits(e *decode.ExporterStats) string {
	unit := map[uint8]string{1: "", 5: "flows", 7: "flows", 9: "datagrams", 10: "records"}[e.Version]
	if e.Lost == 0 || unit == "" {
		return fmt.Sprint(e.Lost)
	}
	return fmt.Sprint(e.Lost, " ", unit)
}

// count is a counter with its name.
type count struct {
	name string
	n    uint64
}

func malformed(c *decode.Counters) (m []count) {
	for r, n := range c.Malformed {
		if n > 0 {
			m = append(m, count{strings.ReplaceAll(decode.Reason(r).String(), "_", " "), n})
		}
	}
	return m
}

// writeCounts ends a line with the counters that are not zero.
func writeCounts(w io.Writer, counts []count) {
	sep := " ("
	for _, c := range counts {
		if c.n > 0 {
			fmt.Fprintf(w, "%s%s %d", sep, c.name, c.n)
			sep = ", "
		}
	}
	if sep != " (" {
		fmt.Fprint(w, ")")
	}
	fmt.Fprintln(w)
}
