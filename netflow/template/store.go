package template

import (
	"maps"

	"github.com/caprock-net/caprock/netflow"
)

// Limits bounds what a Store keeps. Zero fields take the default.
type Limits struct {
	PerExporter      int // templates of one exporter address: 4096
	PerExporterBytes int // memory of one exporter's templates: 6 MiB
	Total            int // templates in all: 65536
	TotalBytes       int // memory of all templates: 24 MiB
	Samplers         int // samplers of one domain, later ones are ignored: 256
	TotalSamplers    int // samplers in all: 65536
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, value int) {
		if *v <= 0 {
			*v = value
		}
	}
	set(&l.PerExporter, 4096)
	set(&l.PerExporterBytes, 6<<20)
	set(&l.Total, 65536)
	set(&l.TotalBytes, 24<<20)
	set(&l.Samplers, 256)
	set(&l.TotalSamplers, 65536)
	return l
}

// Store keeps the templates of all exporters.
type Store struct {
	limits    Limits
	all       list
	exporters map[netflow.Addr]*exporter
	samplers  int // of all domains
	evicted   uint64
	fields    []Field // scratch of compiling
	scratch   []byte  // scratch of records of variable length
}

// exporter is the share of one exporter address.
type exporter struct {
	addr    netflow.Addr
	used    list
	domains int
}

// NewStore makes an empty store.
func NewStore(limits Limits) *Store {
	return &Store{
		limits:    limits.withDefaults(),
		all:       list{which: inAll},
		exporters: make(map[netflow.Addr]*exporter),
		fields:    make([]Field, 0, MaxFields),
	}
}

// Len returns how many templates are kept.
func (s *Store) Len() int { return s.all.n }

// Bytes estimates the memory that they take.
func (s *Store) Bytes() int { return s.all.bytes }

// Evicted returns how many templates had to go because a bound was reached.
func (s *Store) Evicted() uint64 { return s.evicted }

// Domain makes the state of one exporter, observation domain and version (netflow.VersionV9 or VersionIPFIX), empty. The
// caller keeps it, and closes it when the exporter is forgotten.
func (s *Store) Domain(addr netflow.Addr, version uint8) *Domain {
	x := s.exporters[addr]
	if x == nil {
		x = &exporter{addr: addr, used: list{which: inExporter}}
		s.exporters[addr] = x
	}
	x.domains++
	return &Domain{store: s, exporter: x, version: version}
}

// Close gives up the domain's templates and samplers. The domain must not be used afterwards.
func (d *Domain) Close() {
	for _, e := range d.templates {
		d.remove(e)
	}
	if d.exporter.domains--; d.exporter.domains == 0 {
		delete(d.store.exporters, d.exporter.addr)
	}
	d.store.samplers -= len(d.samplers)
	d.samplers = nil
}

// entry is a template where it is kept: in its domain, in its exporter's list and in the list of all.
type entry struct {
	*Template
	domain     *Domain
	bytes      int
	prev, next [2]*entry
}

const (
	inAll = iota
	inExporter
)

// list has entries in the order of their last use, the newest first.
type list struct {
	which      int // which links of an entry belong to the list
	head, tail *entry
	n, bytes   int
}

func (l *list) push(e *entry) {
	e.prev[l.which], e.next[l.which] = nil, l.head
	if l.head != nil {
		l.head.prev[l.which] = e
	} else {
		l.tail = e
	}
	l.head = e
	l.n++
	l.bytes += e.bytes
}

func (l *list) remove(e *entry) {
	prev, next := e.prev[l.which], e.next[l.which]
	if prev != nil {
		prev.next[l.which] = next
	} else {
		l.head = next
	}
	if next != nil {
		next.prev[l.which] = prev
	} else {
		l.tail = prev
	}
	e.prev[l.which], e.next[l.which] = nil, nil
	l.n--
	l.bytes -= e.bytes
}

func (l *list) touch(e *entry) {
	if l.head != e {
		l.remove(e)
		l.push(e)
	}
}

// put keeps t in place of what had its id, and makes room for it.
func (d *Domain) put(t *Template) {
	if e := d.templates[t.id]; e != nil {
		d.remove(e)
	}
	e := &entry{Template: t, domain: d, bytes: t.size()}
	if d.templates == nil {
		d.templates = make(map[uint16]*entry)
	}
	d.templates[t.id] = e
	d.peak = max(d.peak, len(d.templates))
	d.store.all.push(e)
	d.exporter.used.push(e)
	d.fit()
}

// fit makes room when a bound is exceeded.
func (d *Domain) fit() {
	s, l := d.store, &d.store.limits
	for x := &d.exporter.used; x.n > 1 && (x.n > l.PerExporter || x.bytes > l.PerExporterBytes); {
		s.evict(x.tail)
	}
	for s.all.n > 1 && (s.all.n > l.Total || s.all.bytes > l.TotalBytes) {
		s.evict(s.all.tail)
	}
}

func (s *Store) evict(e *entry) {
	e.domain.remove(e)
	s.evicted++
}

func (d *Domain) remove(e *entry) {
	delete(d.templates, e.id)
	d.store.all.remove(e)
	d.exporter.used.remove(e)
	if d.last == e {
		d.last = nil
	}
	// A map keeps the memory of its largest size. Thousands of domains that were flooded one after another must not.
	if d.peak > 32 && len(d.templates) < d.peak/4 {
		small := make(map[uint16]*entry, len(d.templates))
		maps.Copy(small, d.templates)
		d.templates, d.peak = small, len(small)
	}
}

// find returns the template of a data set, compiled, and marks it as used.
func (d *Domain) find(id uint16) *Template {
	e := d.last
	if e == nil || e.id != id {
		if e = d.templates[id]; e == nil {
			return nil
		}
		d.last = e
	}
	d.store.all.touch(e)
	d.exporter.used.touch(e)
	if e.plan == nil {
		e.compile(d.store.fields)
		size := e.plan.Size()
		e.bytes += size
		d.store.all.bytes += size
		d.exporter.used.bytes += size
		d.fit() // e is the newest and stays
	}
	return e.Template
}
