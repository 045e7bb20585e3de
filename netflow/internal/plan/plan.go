package plan

import (
	"unsafe"

	"github.com/caprock-net/caprock/netflow"
)

// Field is one field specifier of a template: RFC 7011 section 3.2, RFC 3954 section 5.2.
type Field struct {
	ID     uint16 // element without the enterprise bit; NetFlow v9: the whole field type
	Length uint16 // bytes, or netflow.VariableLength
	PEN    uint32 // private enterprise number, 0 for IANA's elements
	Scope  bool   // a scope of NetFlow v9, which has its own numbers (RFC 3954 section 6.1): not an element
}

// slot says where a field lies in a record.
type slot struct {
	off   uint32
	width uint16
}

// step is a part of a variable-length record: some bytes of fixed length, then perhaps a field that carries its length.
type step struct {
	fixed    uint16
	variable bool
	format   format
	cell     uint8 // width that the variable field takes in the flat record; 0: it is left out, nobody reads it
}

// op is one operation on all records of a run.
type op struct {
	code opcode
	col  netflow.Column
	slot uint8
	when uint8 // 4 or 6: only rows of that IP version; whenZero: only rows that hold zero so far
}

const whenZero = 1

// opcode says what to do. One below netflow.NumColumns reads an integer into the column of that number.
type opcode uint8

const (
	opAddr4 = opcode(netflow.NumColumns) + iota
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
	opLabel
	opSegment
	opLatency
)

// twin is a pair of columns that nearly every layout has in fields of the same width: one turn of a loop reads both, which
// costs little more than reading one.
type twin uint8

const (
	twinAddr4 twin = iota
	twinCounters
	twinProtoTOS
	twinPorts
	twinInterfaces
	twinAS
	twinMasks
	twinDirectionEndReason
	twinUptimes
	twinMillis

	numTwins
)

// fields says where the fields of a twin lie in a record; width 0: the layout does not have it.
type fields struct {
	first, second uint32
	width         uint8
}

// Plan is a compiled record layout.
type Plan struct {
	twins   [numTwins]fields // read first, in the order of their numbers: no operation is repeated among ops
	ops     []op
	slots   []slot
	slotOf  [numRoles]uint8   // 1 + slot of a role; 0: the record does not have it
	columns netflow.ColumnSet // written in every row; ops add the rest
	length  int               // bytes of a record

	steps []step // of variable-length records only; then length is the least, and ops are those of flat
	flat  *Plan  // of the records of fixed length that variable-length ones are copied to
}

// Length returns the bytes of a record; of a layout with variable-length fields, the least.
func (p *Plan) Length() int { return p.length }

// Variable reports whether records differ in length.
func (p *Plan) Variable() bool { return p.flat != nil }

// Size estimates the memory that the plan takes, in bytes.
func (p *Plan) Size() int {
	size := int(unsafe.Sizeof(*p)) + cap(p.slots)*int(unsafe.Sizeof(slot{})) + cap(p.ops)*int(unsafe.Sizeof(op{})) +
		cap(p.steps)*int(unsafe.Sizeof(step{}))
	if p.flat != nil {
		size += p.flat.Size()
	}
	return size
}

// Compile makes the plan of a record layout. Its fields must add up to no more than 65535 bytes. An element that occurs
// twice counts once, the first being the observed or outer one (RFC 7011 section 8).
func Compile(fields []Field) *Plan { return compile(fields, (*Plan).compileFlows) }

// CompileOptions makes a plan for options data, to be read by Options.
func CompileOptions(fields []Field) *Plan { return compile(fields, func(*Plan) {}) }

func compile(fields []Field, emit func(p *Plan)) *Plan {
	for _, f := range fields {
		if f.Length == netflow.VariableLength {
			return compileVariable(fields, emit)
		}
	}
	p := &Plan{}
	for _, f := range fields {
		r := roleOf(f)
		if r != roleNone && p.slotOf[r] == 0 && formats[r].accepts(int(f.Length)) {
			p.slots = append(p.slots, slot{off: uint32(p.length), width: f.Length})
			p.slotOf[r] = uint8(len(p.slots))
		}
		p.length += int(f.Length)
	}
	emit(p)
	p.findTwins()
	// Plans live for long and there may be many: give back what appending reserved in vain.
	p.ops, p.slots = exact(p.ops), exact(p.slots)
	return p
}

// compileVariable plans how records are copied to flat ones, without the variable-length fields that nobody reads.
func compileVariable(fields []Field, emit func(p *Plan)) *Plan {
	p := &Plan{}
	var flat []Field
	var pending uint16 // fixed bytes since the last variable field
	for _, f := range fields {
		if f.Length != netflow.VariableLength {
			flat = append(flat, f)
			pending += f.Length
			p.length += int(f.Length)
			continue
		}
		st := step{fixed: pending, variable: true}
		if r := roleOf(f); r != roleNone {
			st.format = formats[r]
			st.cell = st.format.cell()
			f.Length = uint16(st.cell)
			flat = append(flat, f)
		}
		p.steps = append(p.steps, st)
		pending = 0
		p.length++
	}
	if pending > 0 {
		p.steps = append(p.steps, step{fixed: pending})
	}
	p.steps = exact(p.steps)
	p.flat = compile(flat, emit)
	return p
}

func exact[T any](s []T) []T { return append(make([]T, 0, len(s)), s...) }

func (p *Plan) has(r role) bool { return p.slotOf[r] != 0 }

func (p *Plan) emit(code opcode, c netflow.Column, r role, when uint8) {
	o := op{code: code, col: c, when: when}
	if r != roleNone {
		o.slot = p.slotOf[r] - 1
	}
	p.ops = append(p.ops, o)
	p.columns |= netflow.SetOf(c)
}
