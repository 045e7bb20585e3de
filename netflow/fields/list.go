package fields

import (
	"slices"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/layout"
	"github.com/caprock-net/caprock/netflow/internal/message"
)

// List is the fields of a flow, in their order, with a template for each address family.
type List struct {
	version  uint8
	fields   []*field // as named; of siblings that of IPv4
	programs [numTemplates]program
}

// A template is that of an address family, and of two-way flows or of others.
const (
	families     = 3 // IPv4, IPv6, none
	twoWay       = families
	numTemplates = 2 * families
)

// program is one template, and how its records are written.
type program struct {
	template message.Template
	steps    []step
}

type step struct {
	from, to uint16
	write    func(p []byte, r *netflow.Record, u Uptimes)
}

// reverses lists what two-way flows add in IPFIX (RFC 5103), if the first is in the list and the second is not.
var reverses = []struct{ forward, reverse netflow.Column }{
	{netflow.Bytes, netflow.ReverseBytes},
	{netflow.Packets, netflow.ReversePackets},
	{netflow.TCPFlags, netflow.ReverseTCPFlags},
	{netflow.TCPRetransmits, netflow.ReverseTCPRetransmits},
}

func newList(version uint8, fields []*field) *List {
	l := &List{version: version, fields: fields}
	columns, both := l.Columns(), slices.Clone(fields)
	for _, x := range reverses {
		if version == netflow.VersionIPFIX && columns.Has(x.forward) && !columns.Has(x.reverse) {
			both = append(both, byColumn(x.reverse, version))
		}
	}
	for family := range families {
		id := layout.FirstTemplate + uint16(family)
		l.programs[family] = compile(version, id, family, fields)
		if len(both) > len(fields) {
			l.programs[twoWay+family] = compile(version, id|uint16(layout.Both), family, both)
		}
	}
	return l
}

func compile(version uint8, id uint16, family int, fields []*field) program {
	var p program
	var specifiers []layout.Field
	at := uint16(0)
	for _, f := range fields {
		if f = f.in(family); f == nil {
			continue
		}
		s := f.specifier(version)
		specifiers = append(specifiers, s)
		p.steps = append(p.steps, step{from: at, to: at + s.Size, write: f.write})
		at += s.Size
	}
	if at > 0 {
		p.template = layout.Template(id, specifiers)
	}
	return p
}

// in returns the field as it is in the templates of a family: itself, its sibling, or nil.
func (f *field) in(family int) *field {
	switch version := [families]uint8{4, 6, 0}[family]; {
	case f.family == 0 || f.family == version:
		return f
	case version == 0:
		return nil
	}
	return byID(f.other)
}

// specifier is the field in a template record.
func (f *field) specifier(version uint8) layout.Field {
	s := layout.Field{ID: f.id, Size: uint16(f.size), Enterprise: f.pen}
	if version == netflow.VersionV9 {
		if f.size9 != 0 {
			s.Size = uint16(f.size9)
		}
		if f.v9 != 0 {
			s.ID, s.Enterprise = f.v9, 0
		}
	}
	return s
}

// Columns returns the columns of a flow that the fields are made of. Two-way flows may add those of the other direction.
func (l *List) Columns() netflow.ColumnSet {
	var set netflow.ColumnSet
	for _, f := range l.fields {
		set |= netflow.SetOf(f.column) | f.also
	}
	return set
}

// Names returns the names of the elements, those of IPv4 where the families differ.
func (l *List) Names() []string {
	var names []string
	for _, f := range l.fields {
		names = append(names, f.element())
	}
	return names
}

// Uptimes reports whether a time is told by NetFlow v9's clock, which flows may outlast.
func (l *List) Uptimes() bool {
	return slices.ContainsFunc(l.fields, func(f *field) bool { return f.only == netflow.VersionV9 })
}

// MinBytes returns the length of a message that has room for any of the templates and a record of it, besides the header
// and the options.
func (l *List) MinBytes() int {
	const others = 240
	most := 0
	for i := range l.programs {
		t := &l.programs[i].template
		most = max(most, len(t.Record)+t.Size)
	}
	return most + others
}

// Templates returns the templates, for a message.Builder. Those without a record no flow has.
func (l *List) Templates() []message.Template {
	all := make([]message.Template, numTemplates)
	for i := range all {
		all[i] = l.programs[i].template
	}
	return all
}

// Of chooses the template for a flow.
func (l *List) Of(r *netflow.Record) int {
	t := 2
	switch r.IPVersion {
	case 4:
		t = 0
	case 6:
		t = 1
	}
	if l.programs[twoWay].steps != nil && (r.ReversePackets|r.ReverseBytes != 0 || r.ReverseTCPFlags != 0) {
		t += twoWay
	}
	return t
}

// Write writes all bytes of a record of template t. Only NetFlow v9 has uptimes.
func (l *List) Write(p []byte, t int, r *netflow.Record, u Uptimes) {
	for _, s := range l.programs[t].steps {
		s.write(p[s.from:s.to], r, u)
	}
}
