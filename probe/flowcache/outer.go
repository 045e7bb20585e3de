package flowcache

import (
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// outer is what Config.Outers keeps of a flow: what was around its first packet, as if that was one of the forward direction.
type outer struct {
	dissect.Outer
	begun bool // a packet has been counted
}

func (o *outer) count(p *Packet, around []dissect.Outer, forward bool) {
	if o.begun {
		return
	}
	o.begun = true
	if p.Outer == 0 {
		return
	}
	o.Outer = around[p.Outer-1]
	if !forward {
		o.Src, o.Dst = o.Dst, o.Src
	}
}

func (o *outer) fill(r *netflow.Record) {
	r.TunnelSrcAddr, r.TunnelDstAddr = o.Src, o.Dst
	r.TunnelProto, r.TunnelType = o.Proto, o.Type
}
