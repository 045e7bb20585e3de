package account

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"
)

// View is a table to be read. What was counted in the active table since View was called is seen in part.
type View struct {
	Since      time.Time // when the table was begun
	Exceeded   Tally     // what found no room
	Incomplete time.Time // since then; zero: complete
	Entries    int
	Ports      bool // the table has the columns of ports, protocol and interface

	account *Account
	chunks  []*[chunkSize]Entry
}

// View returns the active table, or the checkpoint.
func (a *Account) View(checkpoint bool) *View {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.active
	if checkpoint {
		t = a.checkpoint
	}
	return &View{
		Since: t.since, Exceeded: t.exceeded, Incomplete: t.incomplete, Entries: t.n, Ports: a.ports,
		account: a, chunks: t.chunks[:len(t.chunks):len(t.chunks)],
	}
}

// Rows calls f for each row, the newest first or last, until it returns false. Packets are counted meanwhile: the lock is
// held only while 4096 rows are copied.
func (v *View) Rows(newestFirst bool, f func(r *Row) bool) {
	buf := make([]Entry, 0, chunkSize)
	var r Row
	for i := range v.chunks {
		if newestFirst {
			i = len(v.chunks) - 1 - i
		}
		v.account.mu.Lock()
		buf = append(buf[:0], v.chunks[i][:min(chunkSize, v.Entries-i*chunkSize)]...)
		names := v.account.names
		v.account.mu.Unlock()
		for j := range buf {
			if newestFirst {
				j = len(buf) - 1 - j
			}
			r.load(&buf[j], names)
			if !f(&r) {
				return
			}
		}
	}
}

// Row is an entry as people and programs read it.
type Row struct {
	Src, Dst         netip.Addr
	Packets, Bytes   uint64
	Detailed         bool // the rest is known
	SrcPort, DstPort uint16
	Proto            uint8
	Interface        string
}

func (r *Row) load(e *Entry, names []string) {
	*r = Row{Packets: e.Packets, Bytes: e.Bytes, Src: netip.AddrFrom16(e.Src), Dst: netip.AddrFrom16(e.Dst)}
	if e.Version == 4 {
		r.Src, r.Dst = r.Src.Unmap(), r.Dst.Unmap()
	}
	if e.Interface != 0 {
		r.Detailed, r.SrcPort, r.DstPort, r.Proto, r.Interface = true, e.SrcPort, e.DstPort, e.Proto, names[e.Interface-1]
	}
}

// HasPorts reports whether the ports mean something: also those of ICMP, which are type and code.
func (r *Row) HasPorts() bool {
	return r.Detailed && (hasPorts(r.Proto) || r.Proto == 1 || r.Proto == 58)
}

// cells returns the last four columns.
func (r *Row) cells() (src, dst, proto, name string) {
	src, dst, proto, name = "-", "-", "-", "-"
	if r.HasPorts() {
		src, dst = strconv.Itoa(int(r.SrcPort)), strconv.Itoa(int(r.DstPort))
	}
	if r.Detailed {
		proto, name = strconv.Itoa(int(r.Proto)), r.Interface
	}
	return src, dst, proto, name
}

// The titles of the tables.
const (
	title      = "   Source           Destination              Packets               Bytes"
	titlePorts = "   Source           Destination    Packets        Bytes  SrcPt DstPt Proto   IF"
)

// WriteText writes the table as IPCAD prints it, with its trailer. An address of IPv6 is wider than its column.
func (v *View) WriteText(out io.Writer, now time.Time) error {
	w := bufio.NewWriterSize(out, 64<<10)
	var err error
	if v.Ports {
		_, err = fmt.Fprintf(w, "\n%s\n", titlePorts)
	} else {
		_, err = fmt.Fprintf(w, "\n%s\n", title)
	}
	v.Rows(true, func(r *Row) bool {
		if v.Ports {
			src, dst, proto, name := r.cells()
			_, err = fmt.Fprintf(w, " %-15s  %-15s %8d %12d %6s %5s %5s %4s\n", r.Src, r.Dst, r.Packets, r.Bytes, src, dst, proto, name)
		} else {
			_, err = fmt.Fprintf(w, " %-15s  %-15s %18d %19d\n", r.Src, r.Dst, r.Packets, r.Bytes)
		}
		return err == nil
	})
	age := max(0, int64(now.Sub(v.Since)/time.Second))
	fmt.Fprintf(w, "\nAccounting data age is %5d\nAccounting data age exact %d\nAccounting data saved %d\n", age/60, age, now.Unix())
	if v.Exceeded != (Tally{}) {
		fmt.Fprintf(w, "Accounting threshold exceeded for %d packets and %d bytes\n", v.Exceeded.Packets, v.Exceeded.Bytes)
	}
	if !v.Incomplete.IsZero() {
		fmt.Fprintf(w, "Information incomplete since %s\n", v.Incomplete.Local().Format(time.ANSIC))
	}
	if err != nil {
		return err
	}
	return w.Flush()
}
