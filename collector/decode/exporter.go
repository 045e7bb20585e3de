package decode

import (
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/template"
)

// maxMissing bounds the set ids without template that are counted apart for one exporter.
const maxMissing = 16

// key names one exporter's state.
type key struct {
	addr    netflow.Addr
	domain  uint32
	version uint8
}

// exporter is what is known of one exporter address, domain and version. Exporters are in a list, the most recently
// heard first.
type exporter struct {
	key
	Counters
	sequence    sequence
	domain      *template.Domain // v9 and IPFIX
	missing     []missing
	first, last netflow.Timestamp
	clock       time.Duration
	logged      [NumReasons]uint32 // minute of the last log line, since 1970
	prev, next  *exporter
}

// exporter returns the state for a key and makes it if need be, forgetting the one that was idle for longest when there
// are too many.
func (d *Decoder) exporter(k key) *exporter {
	x := d.head
	if x == nil || x.key != k {
		if x = d.exporters[k]; x != nil {
			d.unlink(x)
		} else {
			x = d.newExporter(k)
		}
		d.pushFront(x)
	}
	return x
}

func (d *Decoder) newExporter(k key) *exporter {
	if len(d.exporters) >= d.maxExporters {
		old := d.tail
		d.unlink(old)
		delete(d.exporters, old.key)
		if old.domain != nil {
			old.domain.Close()
		}
		d.gone.add(&old.Counters)
		d.forgotten++
	}
	x := &exporter{key: k}
	if k.version == netflow.VersionV9 || k.version == netflow.VersionIPFIX {
		x.domain = d.templates.Domain(k.addr, k.version)
		x.domain.OnChange = func(from, to *template.Template) { d.logChange(x, from, to) }
	}
	d.exporters[k] = x
	return x
}

func (d *Decoder) pushFront(x *exporter) {
	x.prev, x.next = nil, d.head
	if d.head != nil {
		d.head.prev = x
	} else {
		d.tail = x
	}
	d.head = x
}

func (d *Decoder) unlink(x *exporter) {
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		d.head = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	} else {
		d.tail = x.prev
	}
}

// missing counts the data sets of one id that were skipped for want of a template.
type missing struct {
	id uint16
	n  uint64
}

func (x *exporter) miss(id uint16) {
	x.SetsWithoutTemplate++
	for i := range x.missing {
		if x.missing[i].id == id {
			x.missing[i].n++
			return
		}
	}
	if len(x.missing) < maxMissing {
		x.missing = append(x.missing, missing{id, 1})
	}
}

func (x *exporter) withoutTemplate() map[uint16]uint64 {
	m := make(map[uint16]uint64, len(x.missing))
	for _, y := range x.missing {
		m[y.id] = y.n
	}
	return m
}
