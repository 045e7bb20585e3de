package plan

import "github.com/caprock-net/caprock/netflow"

// Field is one field specifier of a template: RFC 7011 section 3.2, RFC 3954 section 5.2.
type Field struct {
	ID     uint16 // element without the enterprise bit; NetFlow v9: the whole field type
	Length uint16 // bytes, or netflow.VariableLength
	PEN    uint32 // private enterprise number, 0 for IANA's elements
	Scope  bool   // a scope of NetFlow v9, which has its own numbers (RFC 3954 section 6.1): not an element
}

// slot says where a field lies in a record.
type slot struct {
	off   uint16
	width uint16 // zero: this record has no usable value there
}

// step is a part of a variable-length record: some bytes of fixed length, then perhaps a field that carries its length.
type step struct {
	fixed    uint16
	variable bool
}

// place says where a variable-length record has the slot of the same index: rel bytes into the fixed part of a step, or in
// its variable part.
type place struct {
	step     uint16
	rel      uint16
	variable bool
}

// op is one operation on all records of a run.
type op struct {
	code opcode
	col  netflow.Column
	slot uint8
	when uint8 // 4 or 6: only rows of that IP version; whenZero: only rows that hold zero so far
}

const whenZero = 1

type opcode uint8

const (
	opUint8 opcode = iota
	opUint16
	opUint32
	opUint64
	opAddr4
	opAddr6
	opMAC
	opVersion // IPVersion is the constant in when
	opFamily  // IPVersion row by row, in templates with addresses of both families
	opNoAddr4 // the address is 0.0.0.0, in IPv4 records that have only the other one
	opSecond
	opMilli
	opNTP
	opDelta
	opUptime
	opSpan
	opICMP
	opSampling
)

// Plan is a compiled record layout.
type Plan struct {
	ops     []op
	slots   []slot
	roles   []role            // of each slot
	slotOf  [numRoles]uint8   // 1 + slot of a role; 0: the record does not have it
	columns netflow.ColumnSet // written in every row; ops add the rest
	steps   []step            // of variable-length records only
	places  []place
	length  int // bytes of a record, the least when there are variable fields
}

// Length returns the bytes of a record; of a layout with variable-length fields, the least.
func (p *Plan) Length() int { return p.length }

// Variable reports whether records differ in length.
func (p *Plan) Variable() bool { return len(p.steps) > 0 }

// Size estimates the memory that the plan takes, in bytes.
func (p *Plan) Size() int {
	return 288 + 4*cap(p.slots) + cap(p.roles) + 4*cap(p.ops) + 4*cap(p.steps) + 6*cap(p.places)
}

// Compile makes the plan of a record layout. Its fields must add up to no more than 65535 bytes. An element that occurs
// twice counts once, the first being the observed or outer one (RFC 7011 section 8).
func Compile(fields []Field) *Plan {
	p := measure(fields)
	p.compile()
	p.clip()
	return p
}

// CompileOptions makes a plan for options data, which Options reads; DecodeFlows does nothing with it.
func CompileOptions(fields []Field) *Plan {
	p := measure(fields)
	p.clip()
	return p
}

// clip gives back what appending reserved in vain: plans live for long, and there may be many.
func (p *Plan) clip() {
	p.ops, p.slots, p.roles = exact(p.ops), exact(p.slots), exact(p.roles)
	p.steps, p.places = exact(p.steps), exact(p.places)
}

func exact[T any](s []T) []T { return append(make([]T, 0, len(s)), s...) }

// measure finds the places of all fields that mean something.
func measure(fields []Field) *Plan {
	p := &Plan{}
	var pending uint16 // fixed bytes since the last variable field
	variable := false
	for _, f := range fields {
		variable = variable || f.Length == netflow.VariableLength
	}
	for _, f := range fields {
		isVariable := f.Length == netflow.VariableLength
		r := roleNone
		if !f.Scope {
			r = roleOf(f)
		}
		if r != roleNone && p.slotOf[r] == 0 && (isVariable || formats[r].accepts(int(f.Length))) {
			p.slots = append(p.slots, slot{off: uint16(p.length), width: f.Length})
			p.roles = append(p.roles, r)
			p.slotOf[r] = uint8(len(p.slots))
			if variable {
				p.places = append(p.places, place{step: uint16(len(p.steps)), rel: pending, variable: isVariable})
			}
		}
		if isVariable {
			p.steps = append(p.steps, step{fixed: pending, variable: true})
			pending = 0
			p.length++
			continue
		}
		p.length += int(f.Length)
		pending += f.Length
	}
	if variable && pending > 0 {
		p.steps = append(p.steps, step{fixed: pending})
	}
	return p
}

func (p *Plan) has(r role) bool { return p.slotOf[r] != 0 }

func (p *Plan) emit(code opcode, c netflow.Column, r role, when uint8) {
	o := op{code: code, col: c, when: when}
	if r != roleNone {
		o.slot = p.slotOf[r] - 1
	}
	p.ops = append(p.ops, o)
	p.columns |= netflow.SetOf(c)
}
