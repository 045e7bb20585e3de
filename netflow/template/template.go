package template

import (
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/plan"
	"github.com/caprock-net/caprock/netflow/internal/wire"
)

// Field is one field specifier of a template.
type Field = plan.Field

// MaxFields is the number of fields that a template may have.
const MaxFields = 512

// FirstID is the least id of a template and its data sets, RFC 7011 section 3.4.1.
const FirstID = 256

const enterpriseBit = 0x8000 // RFC 7011 section 3.2

// Template is one announced record layout. It is immutable, but for the plan that is compiled when data first need it: most
// templates of a flood never see any.
type Template struct {
	id       uint16
	length   uint16
	version  uint8
	options  bool
	variable bool
	spec     string // the template record as it was announced
	plan     *plan.Plan
}

// ID returns the template's id, which is that of its data sets.
func (t *Template) ID() uint16 { return t.id }

// Options reports whether it describes options data, not flows.
func (t *Template) Options() bool { return t.options }

// Length returns the bytes of a record; of a layout with variable-length fields, the least.
func (t *Template) Length() int { return int(t.length) }

// Variable reports whether records differ in length.
func (t *Template) Variable() bool { return t.variable }

// Fields returns the field specifiers in order, scopes first.
func (t *Template) Fields() []Field { return t.appendFields(nil) }

func (t *Template) appendFields(fields []Field) []Field {
	c := wire.New([]byte(t.spec))
	h, _ := readHead(&c, t.version, t.options)
	for i := range h.fields {
		f := readField(&c, t.version)
		f.Scope = t.version == netflow.VersionV9 && i < h.scopes
		fields = append(fields, f)
	}
	return fields
}

// compile makes the template's plan. scratch is for the fields on the way.
func (t *Template) compile(scratch []Field) {
	fields := t.appendFields(scratch[:0])
	if t.options {
		t.plan = plan.CompileOptions(fields)
	} else {
		t.plan = plan.Compile(fields)
	}
}

// size estimates the memory that the template takes, in bytes, without its plan but with what a Store needs to keep it.
func (t *Template) size() int { return len(t.spec) + 224 }

// head is the fixed part of a template record.
type head struct{ id, fields, scopes int }

// readHead reads the fixed part: RFC 7011 sections 3.4.1 and 3.4.2.2, RFC 3954 sections 5.2 and 6.1. ok is false when an
// options template's counts contradict each other.
func readHead(c *wire.Cursor, version uint8, options bool) (h head, ok bool) {
	h = head{id: int(c.Uint16()), fields: int(c.Uint16())}
	if !options {
		return h, true
	}
	if version == netflow.VersionV9 { // bytes of scopes, then bytes of options
		scopeBytes, optionBytes := h.fields, int(c.Uint16())
		h.scopes = scopeBytes / 4
		h.fields = h.scopes + optionBytes/4
		return h, scopeBytes%4 == 0 && optionBytes%4 == 0
	}
	if h.fields == 0 { // a withdrawal ends here
		return h, true
	}
	h.scopes = int(c.Uint16())
	return h, h.scopes > 0 && h.scopes <= h.fields
}

func readField(c *wire.Cursor, version uint8) Field {
	f := Field{ID: c.Uint16(), Length: c.Uint16()}
	if version != netflow.VersionV9 && f.ID&enterpriseBit != 0 {
		f.ID &^= enterpriseBit
		f.PEN = c.Uint32()
	}
	return f
}

// parse reads the fields after the head and validates the template as a whole. On a problem other than BadTemplate the
// cursor stands behind the record nevertheless, and the next one can be read.
func parse(record []byte, c *wire.Cursor, version uint8, options bool, h head) (t *Template, problem Problem) {
	if 4*h.fields > c.Len() {
		return nil, BadTemplate
	}
	length, variable := 0, 0
	for range h.fields {
		f := readField(c, version)
		if f.Length == netflow.VariableLength && version != netflow.VersionV9 {
			variable++
		} else {
			length += int(f.Length)
		}
	}
	switch {
	case c.Err() != nil:
		return nil, BadTemplate
	case h.id < FirstID:
		return nil, TemplateReserved
	case h.fields > MaxFields, length+variable >= 65535:
		return nil, TemplateTooWide
	case length+variable == 0:
		return nil, TemplateZero
	}
	return &Template{
		id: uint16(h.id), length: uint16(length + variable), version: version, options: options, variable: variable > 0,
		spec: string(record[:len(record)-c.Len()]),
	}, 0
}
