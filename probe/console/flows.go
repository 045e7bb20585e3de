package console

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/account"
)

// writeCache writes the flow cache as IPCAD does. The output interface is not known to a probe beside the traffic.
func (c *Console) writeCache(out io.Writer) error {
	w := bufio.NewWriterSize(out, 64<<10)
	cache := c.meter.Cache()
	_, err := fmt.Fprintf(w, "\nIP Flow Switching Cache, %d bytes\n  %d flows, %d flow alloc failures\n"+
		"  Active flows timeout in %d minutes\n  Inactive flows timeout in %d seconds\n\n"+
		"SrcIf         SrcIPaddress    DstIf         DstIPaddress    Pr SrcP DstP  Pkts\n",
		cache.Bytes, cache.Flows, cache.Failures, cache.Active/time.Minute, cache.Inactive/time.Second)
	row := func(srcIf string, src, dst netflow.Addr, proto uint8, srcPort, dstPort uint16, packets uint64) {
		_, err = fmt.Fprintf(w, "%-13s %-15s %-13s %-15s %02x %04x %04x %5d\n", srcIf, src, "<?>", dst, proto, srcPort, dstPort, packets)
	}
	c.meter.Flows(func(srcIf string, r *netflow.Record) bool {
		if r.Packets > 0 {
			row(srcIf, r.SrcAddr, r.DstAddr, r.Proto, r.SrcPort, r.DstPort, r.Packets)
		}
		if r.ReversePackets > 0 { // the other direction of a biflow
			src, dst := r.DstPort, r.SrcPort
			if reply, ok := netflow.ICMPReply(r.Proto, r.ICMPType); ok {
				src, dst = 0, uint16(reply)<<8|uint16(r.ICMPCode)
			} else if r.Proto == netflow.ProtoICMP || r.Proto == netflow.ProtoICMPv6 {
				src, dst = r.SrcPort, r.DstPort
			}
			row(srcIf, r.DstAddr, r.SrcAddr, r.Proto, src, dst, r.ReversePackets)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// flow is a flow of the cache in JSON, with the names of the columns of stored files.
type flow struct {
	SrcIf    string    `json:"src_if"`
	Start    time.Time `json:"start_time"`
	End      time.Time `json:"end_time"`
	Src      string    `json:"src_addr"`
	Dst      string    `json:"dst_addr"`
	SrcPort  uint16    `json:"src_port"`
	DstPort  uint16    `json:"dst_port"`
	Proto    uint8     `json:"proto"`
	TOS      uint8     `json:"tos"`
	TCPFlags uint16    `json:"tcp_flags"`
	Packets  uint64    `json:"packets"`
	Bytes    uint64    `json:"bytes"`

	ReversePackets uint64 `json:"reverse_packets,omitempty"` // of biflows
	ReverseBytes   uint64 `json:"reverse_bytes,omitempty"`
}

func (c *Console) cacheJSON(out io.Writer) error {
	cache := c.meter.Cache()
	return writeObject(out, map[string]any{
		"memory": cache.Bytes, "alloc_failures": cache.Failures, "active_timeout": Seconds(cache.Active), "inactive_timeout": Seconds(cache.Inactive),
	}, "flows", func(emit func(any) bool) {
		c.meter.Flows(func(srcIf string, r *netflow.Record) bool {
			return emit(flow{
				srcIf, r.Start.Time(), r.End.Time(), r.SrcAddr.String(), r.DstAddr.String(), r.SrcPort, r.DstPort, r.Proto, r.TOS, r.TCPFlags, r.Packets, r.Bytes,
				r.ReversePackets, r.ReverseBytes,
			})
		})
	})
}

// row is a row of the accounting table in JSON.
type row struct {
	Src       string  `json:"src_addr"`
	Dst       string  `json:"dst_addr"`
	Packets   uint64  `json:"packets"`
	Bytes     uint64  `json:"bytes"`
	SrcPort   *uint16 `json:"src_port,omitempty"`
	DstPort   *uint16 `json:"dst_port,omitempty"`
	Proto     *uint8  `json:"proto,omitempty"`
	Interface string  `json:"interface,omitempty"`
}

func accountJSON(out io.Writer, v *account.View, now time.Time) error {
	head := map[string]any{
		"since": v.Since.UTC(), "saved": now.UTC(), "exceeded_packets": v.Exceeded.Packets, "exceeded_bytes": v.Exceeded.Bytes,
	}
	if !v.Incomplete.IsZero() {
		head["incomplete_since"] = v.Incomplete.UTC()
	}
	return writeObject(out, head, "rows", func(emit func(any) bool) {
		v.Rows(true, func(r *account.Row) bool {
			e := row{Src: r.Src.String(), Dst: r.Dst.String(), Packets: r.Packets, Bytes: r.Bytes, Interface: r.Interface}
			if r.Detailed {
				e.Proto = &r.Proto
			}
			if r.HasPorts() {
				e.SrcPort, e.DstPort = &r.SrcPort, &r.DstPort
			}
			return emit(e)
		})
	})
}

// writeObject writes an object whose last member is a list, an element a line, without having it in memory.
func writeObject(out io.Writer, head map[string]any, list string, elements func(emit func(any) bool)) error {
	w := bufio.NewWriterSize(out, 64<<10)
	b, err := json.Marshal(head)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s,\n%q:[", b[:len(b)-1], list)
	sep := "\n"
	elements(func(e any) bool {
		if b, err = json.Marshal(e); err == nil {
			_, err = w.WriteString(sep)
			_, _ = w.Write(b) // the error stays
		}
		sep = ",\n"
		return err == nil
	})
	if err != nil {
		return err
	}
	_, _ = w.WriteString("\n]}\n")
	return w.Flush()
}
