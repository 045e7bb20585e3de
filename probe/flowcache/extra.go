package flowcache

import (
	"unsafe"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// extra is what a Cache keeps of its flows beyond their entries, for those who ask: slabs with the indexes of the slab of
// entries, without pointers too. A slab that nobody asked for is nil. What Config asks for is counted here alone, so that
// the others pay for one comparison a packet.
type extra struct {
	mask    key         // of the cache
	details []detail    // Config.Details
	outers  []outer     // Config.Outers
	ways    []ways      // Config.Biflow
	tcp     []handshake // Config.TCPMetrics
	streams []stream    // likewise: one for each flow; with Biflow two

	around []dissect.Outer // of the packets being added
}

func newExtra(cfg *Config, mask key) *extra {
	if !cfg.Details && !cfg.Outers && !cfg.Biflow && !cfg.TCPMetrics {
		return nil
	}
	x, n := &extra{mask: mask}, cfg.MaxFlows+1
	if cfg.Details {
		x.details = make([]detail, n)
		hugePages(x.details)
	}
	if cfg.Outers {
		x.outers = make([]outer, n)
		hugePages(x.outers)
	}
	if cfg.Biflow {
		x.ways = make([]ways, n)
		hugePages(x.ways)
	}
	if cfg.TCPMetrics {
		x.tcp = make([]handshake, n)
		hugePages(x.tcp)
		if cfg.Biflow {
			n *= 2
		}
		x.streams = make([]stream, n)
		hugePages(x.streams)
	}
	return x
}

// extraBytes is the memory that a flow takes in the slabs.
func (cfg *Config) extraBytes() (n int) {
	streams := 1
	if cfg.Details {
		n += int(unsafe.Sizeof(detail{}))
	}
	if cfg.Outers {
		n += int(unsafe.Sizeof(outer{}))
	}
	if cfg.Biflow {
		n += int(unsafe.Sizeof(ways{}))
		streams = 2
	}
	if cfg.TCPMetrics {
		n += int(unsafe.Sizeof(handshake{})) + streams*int(unsafe.Sizeof(stream{}))
	}
	return n
}

// touch reads what add will need of the flows found, as batch does with the entries.
func (x *extra) touch(found []uint32) (touched uint64) {
	if x.details != nil {
		for _, i := range found {
			touched += uint64(x.details[i].maxLength)
		}
	}
	if x.outers != nil {
		for _, i := range found {
			touched += uint64(x.outers[i].Proto)
		}
	}
	if x.ways != nil {
		for _, i := range found {
			touched += x.ways[i].packets
		}
	}
	if x.tcp != nil {
		for _, i := range found {
			touched += uint64(x.tcp[i].rtt)
		}
	}
	return touched
}

// begin makes room for a flow of an entry. continues: it is the one that was there, cut by the active timeout, and what is
// known of its connection is kept.
func (x *extra) begin(i uint32, continues bool) {
	if x.details != nil {
		x.details[i] = detail{}
	}
	if x.outers != nil {
		x.outers[i] = outer{}
	}
	if x.ways != nil {
		x.ways[i].begin(continues)
	}
	if x.tcp != nil {
		x.tcp[i].begin(continues)
		for s := range x.of(i) {
			x.of(i)[s].begin(continues)
		}
	}
}

// count counts a packet of a flow; k is its key.
func (x *extra) count(i uint32, p *Packet, k *key) {
	way, forward := 0, true
	if x.ways != nil {
		way, forward = x.ways[i].count(p, k, &x.mask)
	}
	if x.details != nil {
		x.details[i].count(p, forward)
	}
	if x.outers != nil {
		x.outers[i].count(p, x.around, forward)
	}
	if x.tcp != nil && p.Proto == netflow.ProtoTCP {
		x.countTCP(i, way, p)
	}
}

// fill completes the record of a flow.
func (x *extra) fill(i uint32, r *netflow.Record) {
	forward := 0
	if x.ways != nil {
		forward = x.ways[i].fill(r)
	}
	if x.details != nil {
		x.details[i].fill(r)
	}
	if x.outers != nil {
		x.outers[i].fill(r)
	}
	if x.tcp != nil {
		x.fillTCP(i, forward, r)
	}
}
