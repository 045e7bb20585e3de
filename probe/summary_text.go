package probe

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
)

// WriteText writes the summary for people: a figure a line, aligned. What is usually zero is left out when it is.
func (s *Summary) WriteText(w io.Writer) error {
	var t text
	for _, src := range s.Sources {
		t.part("source " + src.Name)
		t.line(src.Packets, "packets", fmt.Sprintf("%d bytes on the wire", src.WireBytes))
		t.some(src.Dropped, "dropped by the kernel", "the ring was full")
		t.some(src.Copies, "leaving copies", "left out: on the loopback interface every packet passes twice")
		t.some(src.Downs, "times down", "")
		t.some(src.Returns, "times back", "after it was removed")
		if i := src.Interface; i != nil {
			t.line(i.RxPackets, "arrived", fmt.Sprintf("%d bytes, %d errors, %d dropped, %d missed: the interface's own counters", i.RxBytes, i.RxErrors, i.RxDropped, i.RxMissed))
			t.line(i.TxPackets, "left", fmt.Sprintf("%d bytes", i.TxBytes))
		}
		if src.Gone {
			fmt.Fprintf(&t, "  %15s  gone\n", "")
		}
		if src.Error != "" {
			fmt.Fprintf(&t, "  ended early: %s\n", src.Error)
		}
	}
	p := &s.Packets
	t.part("packets")
	t.line(p.Read, "read", "")
	t.line(p.Metered, "  metered", fmt.Sprintf("%d IP bytes", p.IPBytes))
	t.some(p.Tunnelled, "    out of tunnels", "by the IP header inside")
	t.some(p.NotFollowed, "    tunnels not followed", "cut, broken, not IP, or later fragments: metered by the header outside")
	t.some(p.Portless, "    without ports", "fragments whose first one was not seen")
	t.line(p.NonIP, "  not IP", "")
	t.line(p.Malformed, "  malformed", "the IP header is cut or contradicts itself")
	t.some(p.UnknownLink, "  unknown link type", "")
	t.some(p.Filtered, "  filtered", "not wanted by --bpf")
	t.some(p.NotSampled, "  not sampled", "left out by --sample")
	t.some(p.Underway, "  under way", "to the goroutine that meters them")
	t.some(p.Dropped, "dropped by the kernel", "")
	t.some(p.Backwards, "out of order", "metered")
	t.some(p.ClockSteps, "steps of the clock", "back by more than the timeouts: all flows were ended")

	f := &s.Flows
	t.part("flows")
	t.line(f.Ended.Flows, "ended", ofTally(f.Ended))
	t.some(f.Idle, "  idle", "no packet for the inactive timeout")
	t.some(f.Active, "  active", "longer than the active timeout")
	t.some(f.EndOfFlow, "  finished", "FIN or RST")
	t.some(f.Resources, "  evicted", "the table was full: --max-flows makes it larger")
	t.some(f.Forced, "  forced", "at the end of the probe")
	t.some(f.Held.Flows, "held", ofTally(f.Held))
	t.line(f.Peak, "held at most", "")
	s.Export.text(&t)
	s.Archive.text(&t)
	s.Tap.text(&t)
	_, err := t.WriteTo(w)
	return err
}

func (e *ExportSummary) text(t *text) {
	if e == nil {
		fmt.Fprintf(t, "export\n  none: no collector was given (--export HOST:PORT)\n")
		return
	}
	how := ""
	if e.balanced() {
		how = ", balanced: " + e.Balance
	}
	t.part("export, " + e.Protocol + how)
	t.line(e.Given.Flows, "flows given", ofTally(e.Given))
	t.tally(e.QueueFull, "lost in the queue", "the exporter was too slow")
	t.tally(e.Underway, "under way", "")
	t.tally(e.IPv6, "not carried: IPv6", "ipfix and v9 carry it")
	t.tally(e.NoAddress, "not carried: no address", "ipfix and v9 carry it")
	t.some(e.Cut.Flows, "cut", fmt.Sprintf("counters too large: %d packets and %d bytes are missing", e.Cut.Packets, e.Cut.Bytes))
	t.some(e.Split, "split", "sent as several records, for counters of 32 bits")
	t.some(e.Interfaces, "interface unknown", "its number is above 65535")
	t.some(e.Durations, "later start", "longer than the protocol can tell")
	for i := range e.Collectors {
		d := &e.Collectors[i]
		name := d.Name
		if d.Remote != d.Name {
			name += " (" + d.Remote + ")"
		}
		if d.Removed {
			name += ", removed"
		}
		t.part("collector " + name)
		units := "datagrams"
		if d.Stream {
			units = "messages"
		}
		t.line(d.Exported.Flows, "exported", fmt.Sprintf("%s, in %d %s of %d bytes in all", ofTally(d.Exported), d.Datagrams, units, d.DatagramBytes))
		t.tally(d.Unconfirmed, "  unconfirmed", "a connection broke: they may have been lost")
		if d.Stream && d.Connections != 1 {
			t.line(d.Connections, "connections", "")
		}
		for _, reason := range slices.Sorted(maps.Keys(d.Lost)) {
			t.tally(d.Lost[reason], "lost: "+reason, "")
		}
		t.tally(d.Buffered, "buffered", "")
		t.tally(d.Missed, "missed", "it was no collector of ours then")
		for _, reason := range slices.Sorted(maps.Keys(d.Errors)) {
			t.line(uint64(d.Errors[reason]), "errors: "+reason, "in sending, which mostly was tried again")
		}
	}
}

// text lays out the lines of a summary.
type text struct{ bytes.Buffer }

func (t *text) part(title string) { fmt.Fprintf(t, "%s\n", title) }

func (t *text) line(n uint64, what, remark string) {
	if remark == "" {
		fmt.Fprintf(t, "  %15d  %s\n", n, what)
	} else {
		fmt.Fprintf(t, "  %15d  %-24s %s\n", n, what, remark)
	}
}

// some is line for what is usually zero.
func (t *text) some(n uint64, what, remark string) {
	if n != 0 {
		t.line(n, what, remark)
	}
}

func (t *text) tally(n Tally, what, remark string) {
	if remark != "" {
		remark = "; " + remark
	}
	t.some(n.Flows, what, ofTally(n)+remark)
}

func ofTally(t Tally) string { return fmt.Sprintf("%d packets, %d bytes", t.Packets, t.Bytes) }
