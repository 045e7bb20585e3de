package plan

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
)

// Context is what a message and its exporter's state tell about all records of a set.
type Context struct {
	Export    netflow.Timestamp // time of the message's header
	Uptime    uint32            // milliseconds since the exporter booted, at Export
	HasUptime bool              // Uptime is known
	Rate      uint32            // sampling rate of records that name neither a rate nor a sampler; 0: not known
	Samplers  map[uint64]uint32 // rates by sampler or selector id
}

// Result says what became of a set.
type Result struct {
	Records int  // records found
	Rows    int  // rows appended: fewer than Records when the batch was full
	Undated int  // rows whose uptimes could not be placed in time because the exporter's boot is not known
	Bad     bool // a variable-length record ran past the end of the set; what came before it was decoded
}

// DecodeFlows appends the records of a data set to b, as many as b has room for. body is the set without its header;
// what is left at its end, shorter than any record, is padding.
func (p *Plan) DecodeFlows(b *netflow.Batch, body []byte, ctx *Context) Result {
	if p.Variable() {
		return p.decodeVariable(b, body, ctx)
	}
	if p.length == 0 {
		return Result{}
	}
	res := Result{Records: len(body) / p.length}
	res.Rows = min(res.Records, b.Room())
	if res.Rows > 0 {
		from := p.extend(b, res.Rows, ctx)
		res.Undated = p.run(b, from, body[:res.Rows*p.length], p.slots, ctx)
	}
	return res
}

func (p *Plan) decodeVariable(b *netflow.Batch, body []byte, ctx *Context) Result {
	var res Result
	var scratch [numRoles]slot
	slots := scratch[:len(p.slots)]
	for len(body) >= p.length {
		n := p.locate(body, slots)
		if n < 0 {
			res.Bad = true
			return res
		}
		res.Records++
		if b.Room() > 0 {
			from := p.extend(b, 1, ctx)
			res.Undated += p.run(b, from, body[:n], slots, ctx)
			res.Rows++
		}
		body = body[n:]
	}
	return res
}

// Options calls yield for each record of a set of options data and returns how many there were, and whether one of
// variable length ran past the end of the set.
func (p *Plan) Options(body []byte, yield func(v *Values)) (n int, bad bool) {
	if p.length == 0 {
		return 0, false
	}
	var scratch [numRoles]slot
	slots := scratch[:len(p.slots)]
	copy(slots, p.slots)
	for len(body) >= p.length {
		size := p.length
		if p.Variable() {
			if size = p.locate(body, slots); size < 0 {
				return n, true
			}
		}
		if len(p.slots) > 0 {
			v := p.values(body[:size], slots)
			yield(&v)
		}
		n++
		body = body[size:]
	}
	return n, false
}

// locate measures the variable-length record at the start of body and fills slots. It returns the record's length, or
// -1 when the record runs past the end. Every turn of its loop consumes bytes.
func (p *Plan) locate(body []byte, slots []slot) int {
	off, k := 0, 0
	for i := range p.steps {
		st := &p.steps[i]
		for ; k < len(p.places) && int(p.places[k].step) == i && !p.places[k].variable; k++ {
			slots[k] = slot{off: uint16(off + int(p.places[k].rel)), width: p.slots[k].width}
		}
		off += int(st.fixed)
		if off > len(body) {
			return -1
		}
		if !st.variable {
			continue
		}
		if off >= len(body) {
			return -1
		}
		length := int(body[off])
		off++
		if length == 255 { // RFC 7011 section 7: two bytes follow
			if off+2 > len(body) {
				return -1
			}
			length = int(binary.BigEndian.Uint16(body[off:]))
			off += 2
		}
		if off+length > len(body) {
			return -1
		}
		if k < len(p.places) && int(p.places[k].step) == i {
			width := length
			if !formats[p.roles[k]].accepts(width) {
				width = 0
			}
			slots[k] = slot{off: uint16(off), width: uint16(width)}
			k++
		}
		off += length
	}
	return off
}

func (p *Plan) extend(b *netflow.Batch, n int, ctx *Context) int {
	columns := p.columns
	if ctx.Rate != 0 {
		columns |= netflow.SetOf(netflow.SamplingRate)
	}
	from := b.Extend(n, columns)
	if ctx.Rate != 0 {
		fill(b.SamplingRate[from:from+n], ctx.Rate)
	}
	return from
}

// run performs the operations on the rows from on, of which data holds the records, all of the same length. It returns
// how many rows have no times because uptimes could not be placed.
func (p *Plan) run(b *netflow.Batch, from int, data []byte, slots []slot, ctx *Context) (undated int) {
	to := b.Len()
	stride := len(data) / (to - from)
	r := rows{data: data, stride: stride, family: b.IPVersion[from:to]}
	for _, o := range p.ops {
		if int(o.slot) < len(slots) {
			r.off, r.width = int(slots[o.slot].off), int(slots[o.slot].width)
		}
		r.when = o.when
		switch o.code {
		case opUint8:
			load(b.Uint8s(o.col)[from:], &r, 1)
		case opUint16:
			load(b.Uint16s(o.col)[from:], &r, 2)
		case opUint32:
			load(b.Uint32s(o.col)[from:], &r, 4)
		case opUint64:
			load(b.Uint64s(o.col)[from:], &r, 8)
		case opAddr4:
			loadAddr4(b.Addrs(o.col)[from:], &r, o.col == netflow.NextHop)
		case opAddr6:
			loadAddr6(b.Addrs(o.col)[from:], &r)
		case opMAC:
			loadMAC(b.MACs(o.col)[from:], &r)
		case opVersion:
			fill(b.IPVersion[from:to], o.when)
		case opFamily:
			p.family(b.IPVersion[from:to], data, stride, slots)
		case opNoAddr4:
			noAddr4(b.Addrs(o.col)[from:], &r)
		case opSecond, opMilli, opNTP, opDelta:
			loadTime(b.Times(o.col)[from:], &r, o.code, ctx)
		case opUptime:
			undated = max(undated, p.uptimes(b.Times(o.col)[from:], &r, slots, ctx))
		case opSpan:
			p.spans(b.Start[from:to], b.End[from:to], data, stride, slots)
		case opICMP:
			p.icmp(b, from, to, data, stride, slots)
		case opSampling:
			p.sampling(b, from, to, data, stride, slots, ctx)
		}
	}
	return undated
}
