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
	Scratch   []byte            // for variable-length records; grows to flatBytes, or to the longest record
}

// flatBytes is how many bytes of variable-length records are copied before their columns are filled: few enough to stay in
// the first-level cache.
const flatBytes = 8192

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
		res.Undated = p.run(b, from, body[:res.Rows*p.length], ctx)
	}
	return res
}

func (p *Plan) decodeVariable(b *netflow.Batch, body []byte, ctx *Context) (res Result) {
	for len(body) >= p.length && !res.Bad {
		flat, n := ctx.Scratch[:0], 0
		for len(body) >= p.length && (n == 0 || len(flat)+p.flat.length <= flatBytes) {
			var size int
			if flat, size = p.flatten(flat, body); size < 0 {
				res.Bad = true
				break
			}
			body = body[size:]
			n++
		}
		ctx.Scratch = flat
		res.Records += n
		if rows := min(n, b.Room()); rows > 0 {
			from := p.flat.extend(b, rows, ctx)
			res.Undated += p.flat.run(b, from, flat[:rows*p.flat.length], ctx)
			res.Rows += rows
		}
	}
	return res
}

// flatten appends the variable-length record at the start of body to flat, as a record of the flat layout. It returns the
// length of the record, or -1 when it runs past the end of body. Every turn of its loop consumes bytes.
func (p *Plan) flatten(flat, body []byte) ([]byte, int) {
	began, off := len(flat), 0
	for i := range p.steps {
		st := &p.steps[i]
		end := off + int(st.fixed)
		if end > len(body) {
			return flat[:began], -1
		}
		flat = append(flat, body[off:end]...)
		off = end
		if !st.variable {
			continue
		}
		if off == len(body) {
			return flat[:began], -1
		}
		length := int(body[off])
		off++
		if length == 255 { // RFC 7011 section 7: two bytes follow
			if off+2 > len(body) {
				return flat[:began], -1
			}
			length = int(binary.BigEndian.Uint16(body[off:]))
			off += 2
		}
		if off+length > len(body) {
			return flat[:began], -1
		}
		if st.cell > 0 {
			flat = st.append(flat, body[off:off+length])
		}
		off += length
	}
	return flat, off
}

// append appends a variable-length value as one of the step's cell: an integer to the right, anything else only if it
// fits exactly. What is no value for the format becomes zeros.
func (st *step) append(flat, value []byte) []byte {
	if !st.format.accepts(len(value)) || st.format == formatFloat && len(value) != int(st.cell) {
		value = nil
	}
	var zeros [16]byte
	flat = append(flat, zeros[:int(st.cell)-len(value)]...)
	return append(flat, value...)
}

// Options calls yield for each record of a set of options data and returns how many there were, and whether one of
// variable length ran past the end of the set.
func (p *Plan) Options(body []byte, yield func(v *Values)) (n int, bad bool) {
	var flat []byte
	for p.length > 0 && len(body) >= p.length {
		record, size, read := body, p.length, p
		if p.Variable() {
			if flat, size = p.flatten(flat[:0], body); size < 0 {
				return n, true
			}
			record, read = flat, p.flat
		}
		if len(read.slots) > 0 {
			v := read.values(record[:read.length])
			yield(&v)
		}
		n++
		body = body[size:]
	}
	return n, false
}

func (p *Plan) extend(b *netflow.Batch, n int, ctx *Context) int {
	columns := p.columns
	if ctx.Rate != 0 {
		columns |= netflow.SetOf(netflow.SamplingRate)
	}
	from := b.Extend(n, columns)
	if ctx.Rate != 0 {
		Fill(b.SamplingRate[from:from+n], ctx.Rate)
	}
	return from
}

// run performs the operations on the rows from on, of which data holds the records, all of the same length. It returns
// how many rows have no times because uptimes could not be placed.
func (p *Plan) run(b *netflow.Batch, from int, data []byte, ctx *Context) (undated int) {
	undated = p.runTwins(b, from, data, ctx)
	to, stride := b.Len(), p.length
	r := rows{data: data, stride: stride, family: b.IPVersion[from:to]}
	for _, o := range p.ops {
		if int(o.slot) < len(p.slots) {
			r.off, r.width = int(p.slots[o.slot].off), int(p.slots[o.slot].width)
		}
		r.when = o.when
		switch o.code {
		case opcode(netflow.Bytes):
			load(b.Bytes[from:to], &r, 8)
		case opcode(netflow.Packets):
			load(b.Packets[from:to], &r, 8)
		case opcode(netflow.ReverseBytes):
			load(b.ReverseBytes[from:to], &r, 8)
		case opcode(netflow.ReversePackets):
			load(b.ReversePackets[from:to], &r, 8)
		case opcode(netflow.Proto):
			load(b.Proto[from:to], &r, 1)
		case opcode(netflow.TOS):
			load(b.TOS[from:to], &r, 1)
		case opcode(netflow.TCPFlags):
			load(b.TCPFlags[from:to], &r, 2)
		case opcode(netflow.ReverseTCPFlags):
			load(b.ReverseTCPFlags[from:to], &r, 2)
		case opcode(netflow.SrcPort):
			load(b.SrcPort[from:to], &r, 2)
		case opcode(netflow.DstPort):
			load(b.DstPort[from:to], &r, 2)
		case opcode(netflow.Input):
			load(b.Input[from:to], &r, 4)
		case opcode(netflow.Output):
			load(b.Output[from:to], &r, 4)
		case opcode(netflow.SrcAS):
			load(b.SrcAS[from:to], &r, 4)
		case opcode(netflow.DstAS):
			load(b.DstAS[from:to], &r, 4)
		case opcode(netflow.VLAN):
			load(b.VLAN[from:to], &r, 2)
		case opcode(netflow.CustomerVLAN):
			load(b.CustomerVLAN[from:to], &r, 2)
		case opcode(netflow.MinTTL):
			load(b.MinTTL[from:to], &r, 1)
		case opcode(netflow.MaxTTL):
			load(b.MaxTTL[from:to], &r, 1)
		case opcode(netflow.MinLength):
			load(b.MinLength[from:to], &r, 4)
		case opcode(netflow.MaxLength):
			load(b.MaxLength[from:to], &r, 4)
		case opcode(netflow.FragmentFlags):
			load(b.FragmentFlags[from:to], &r, 1)
		case opcode(netflow.TunnelID):
			load(b.TunnelID[from:to], &r, 4)
		case opcode(netflow.TunnelProto):
			load(b.TunnelProto[from:to], &r, 1)
		case opcode(netflow.TunnelType):
			load(b.TunnelType[from:to], &r, 1)
		case opcode(netflow.TCPRTT):
			load(b.TCPRTT[from:to], &r, 4)
		case opcode(netflow.TCPRetransmits):
			load(b.TCPRetransmits[from:to], &r, 4)
		case opcode(netflow.ReverseTCPRetransmits):
			load(b.ReverseTCPRetransmits[from:to], &r, 4)
		case opLabel:
			loadLabel(b.MPLSLabel[from:to], &r)
		case opSegment:
			loadSegment(b.TunnelID[from:to], &r)
		case opLatency:
			p.latency(b.TCPRTT[from:to], data, stride)
		case opcode(netflow.SrcMask):
			load(b.SrcMask[from:to], &r, 1)
		case opcode(netflow.DstMask):
			load(b.DstMask[from:to], &r, 1)
		case opcode(netflow.Direction):
			load(b.Direction[from:to], &r, 1)
		case opcode(netflow.EndReason):
			load(b.EndReason[from:to], &r, 1)
		case opcode(netflow.ForwardingStatus):
			load(b.ForwardingStatus[from:to], &r, 1)
		case opAddr4:
			loadAddr4(b.Addrs(o.col)[from:], &r, o.col != netflow.SrcAddr && o.col != netflow.DstAddr)
		case opAddr6:
			loadAddr6(b.Addrs(o.col)[from:], &r)
		case opMAC:
			loadMAC(b.MACs(o.col)[from:], &r)
		case opVersion:
			Fill(b.IPVersion[from:to], o.when)
		case opFamily:
			p.family(b.IPVersion[from:to], data, stride)
		case opNoAddr4:
			noAddr4(b.Addrs(o.col)[from:], &r)
		case opSecond, opMilli, opNTP, opDelta:
			loadTime(b.Times(o.col)[from:], &r, o.code, ctx)
		case opUptime:
			undated = max(undated, p.uptimes(b.Times(o.col)[from:], &r, ctx))
		case opSpan:
			p.spans(b.Start[from:to], b.End[from:to], data, stride)
		case opICMP:
			p.icmp(b, from, to, data, stride)
		case opSampling:
			p.sampling(b, from, to, data, stride, ctx)
		}
	}
	return undated
}

// runTwins reads the twins. One after the other, and not from a list, because a processor learns which of them a router's
// template has, and mispredicts the jumps of a list.
func (p *Plan) runTwins(b *netflow.Batch, from int, data []byte, ctx *Context) (undated int) {
	to, stride, t := b.Len(), p.length, &p.twins
	if f := t[twinAddr4]; f.width != 0 {
		loadTwinAddr4(b.SrcAddr[from:to], b.DstAddr[from:to], data, stride, f)
	}
	if f := t[twinCounters]; f.width != 0 {
		loadTwin(b.Bytes[from:to], b.Packets[from:to], data, stride, f)
	}
	if f := t[twinProtoTOS]; f.width != 0 {
		loadTwin(b.Proto[from:to], b.TOS[from:to], data, stride, f)
	}
	if f := t[twinPorts]; f.width != 0 {
		loadTwin(b.SrcPort[from:to], b.DstPort[from:to], data, stride, f)
	}
	if f := t[twinInterfaces]; f.width != 0 {
		loadTwin(b.Input[from:to], b.Output[from:to], data, stride, f)
	}
	if f := t[twinAS]; f.width != 0 {
		loadTwin(b.SrcAS[from:to], b.DstAS[from:to], data, stride, f)
	}
	if f := t[twinMasks]; f.width != 0 {
		loadTwin(b.SrcMask[from:to], b.DstMask[from:to], data, stride, f)
	}
	if f := t[twinDirectionEndReason]; f.width != 0 {
		loadTwin(b.Direction[from:to], b.EndReason[from:to], data, stride, f)
	}
	if f := t[twinUptimes]; f.width != 0 {
		undated = loadTwinUptimes(b.Start[from:to], b.End[from:to], data, stride, f, ctx)
	}
	if f := t[twinMillis]; f.width != 0 {
		loadTwinMillis(b.Start[from:to], b.End[from:to], data, stride, f)
	}
	return undated
}
