package flowcache

import "github.com/caprock-net/caprock/netflow"

// detail is what Config.Details keeps of a flow. The lengths, times to live and fragment flags are of all packets of the
// forward direction, the others of the flow's first packet.
type detail struct {
	minLength, maxLength uint32 // of IP packets, bytes
	mplsLabel, tunnelID  uint32
	customerVLAN         uint16
	minTTL, maxTTL       uint8
	fragmentFlags        uint8
	begun, some          bool // a packet has been counted; a forward one
}

func (d *detail) count(p *Packet, forward bool) {
	if !d.begun {
		d.begun = true
		d.mplsLabel, d.tunnelID, d.customerVLAN = p.MPLSLabel, p.TunnelID, p.CustomerVLAN
	}
	if !forward {
		return
	}
	if !d.some {
		d.some = true
		d.minLength, d.minTTL = p.IPBytes, p.TTL
	}
	d.minLength, d.maxLength = min(d.minLength, p.IPBytes), max(d.maxLength, p.IPBytes)
	d.minTTL, d.maxTTL = min(d.minTTL, p.TTL), max(d.maxTTL, p.TTL)
	d.fragmentFlags |= p.FragmentFlags
}

func (d *detail) fill(r *netflow.Record) {
	r.MinLength, r.MaxLength = d.minLength, d.maxLength
	r.MinTTL, r.MaxTTL = d.minTTL, d.maxTTL
	r.FragmentFlags = d.fragmentFlags
	r.CustomerVLAN, r.MPLSLabel, r.TunnelID = d.customerVLAN, d.mplsLabel, d.tunnelID
}
