package plan

import (
	"math"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/wire"
)

// compileLabels emits what is not a plain number of one field: MPLS labels, tunnels, and a time in two halves.
func (p *Plan) compileLabels() {
	if p.has(roleLabel) {
		p.emit(opLabel, netflow.MPLSLabel, roleLabel, 0)
	}
	when := uint8(0)
	if p.has(roleSegment) {
		p.emit(opSegment, netflow.TunnelID, roleSegment, 0)
		when = whenZero
	}
	if p.has(roleTEID) {
		p.emit(opcode(netflow.TunnelID), netflow.TunnelID, roleTEID, when)
		when = whenZero
	}
	if p.has(roleTunnelKey) { // 3 bytes of VXLAN, Geneve and LISP, 4 of GRE, 8 of STT
		p.emit(opcode(netflow.TunnelID), netflow.TunnelID, roleTunnelKey, when)
	}
	if p.has(roleTunnelSrc) {
		p.emit(opAddr4, netflow.TunnelSrcAddr, roleTunnelSrc, 0)
	}
	if p.has(roleTunnelDst) {
		p.emit(opAddr4, netflow.TunnelDstAddr, roleTunnelDst, 0)
	}
	if !p.has(roleRTT) && (p.has(roleClientLatency) || p.has(roleServerLatency)) {
		p.emit(opLatency, netflow.TCPRTT, roleNone, 0)
	}
}

// loadLabel reads the label of an entry of an MPLS label stack: the upper 20 of its first 24 bits, RFC 3032 section 2.1.
func loadLabel(dst []uint32, r *rows) {
	data, at, stride := r.data, r.off, r.stride
	for i := range dst {
		b := data[at : at+3]
		dst[i] = uint32(b[0])<<12 | uint32(b[1])<<4 | uint32(b[2])>>4
		at += stride
	}
}

// loadSegment reads the lower 24 bits of layer2SegmentId, RFC 7133: the upper 8 of 64 say which kind of tunnel it is.
func loadSegment(dst []uint32, r *rows) {
	for i := range dst {
		dst[i] = uint32(wire.Uint(r.value(i)) & (1<<24 - 1))
	}
}

// latency makes a round-trip time in microseconds of ntop's two latencies, each half the round-trip time between the probe
// and one of the peers, in milliseconds.
func (p *Plan) latency(dst []uint32, data []byte, stride int) {
	for i := range dst {
		record := data[i*stride : (i+1)*stride]
		client, server := p.number(roleClientLatency, record), p.number(roleServerLatency, record)
		if ms := min(client, math.MaxUint32) + min(server, math.MaxUint32); ms <= math.MaxUint32/2000 {
			dst[i] = uint32(2000 * ms)
		}
	}
}
