package decode

import (
	"fmt"
	"strings"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/template"
)

// maxLines bounds the lines that a Decoder logs in a minute of receive time, whoever sends.
const maxLines = 30

// allow reports whether one more line may be logged in the minute of now.
func (d *Decoder) allow(now netflow.Timestamp) bool {
	if minute := uint32(now / 60e6); minute != d.minute {
		d.minute, d.lines = minute, 0
	}
	d.lines++
	return d.lines <= maxLines
}

// complain counts a malformed datagram of an exporter and logs it unless that was done within the minute.
func (d *Decoder) complain(x *exporter, r Reason, n uint64) {
	x.Malformed[r] += n
	minute := uint32(x.last/60e6) + 1 // zero is never
	if x.logged[r] == minute {
		return
	}
	x.logged[r] = minute
	if d.allow(x.last) {
		d.log.Warn("malformed export", "exporter", x.addr.Netip(), "domain", x.key.domain, "version", x.version,
			"reason", r.String(), "count", x.Malformed[r])
	}
}

// reject counts a datagram that has no usable header and logs it unless that was done within the minute.
func (d *Decoder) reject(dg *Datagram, r Reason) {
	d.gone.Datagrams++
	d.gone.Bytes += uint64(len(dg.Payload))
	d.gone.Malformed[r]++
	minute := uint32(dg.Received/60e6) + 1
	if d.rejected[r] == minute {
		return
	}
	d.rejected[r] = minute
	if d.allow(dg.Received) {
		d.log.Warn("not an export datagram", "exporter", dg.Exporter, "reason", r.String(), "bytes", len(dg.Payload),
			"count", d.gone.Malformed[r])
	}
}

func (d *Decoder) logChange(x *exporter, from, to *template.Template) {
	if d.allow(x.last) {
		d.log.Info("template changed", "exporter", x.addr.Netip(), "domain", x.key.domain, "version", x.version,
			"template", to.ID(), "from", layout(from), "to", layout(to))
	}
}

// layout writes a template's fields as in 8:4 12:4 29305.1:8, id and length, cut when long.
func layout(t *template.Template) string {
	var b strings.Builder
	for i, f := range t.Fields() {
		if i == 40 {
			b.WriteString(" ...")
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		if f.PEN != 0 {
			fmt.Fprintf(&b, "%d.", f.PEN)
		}
		fmt.Fprintf(&b, "%d:%d", f.ID, f.Length)
	}
	return b.String()
}
