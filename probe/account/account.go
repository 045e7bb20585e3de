package account

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// Account has the active table, the checkpoint, and what is known of the interfaces that feed them.
type Account struct {
	cfg   Config
	rules rules
	seed  maphash.Seed
	ports bool // the tables have the columns

	mu         sync.Mutex
	active     *table
	checkpoint *table
	names      []string // of interfaces, by number - 1
	feeds      []*Interface
	touched    uint64 // what touch returned, so that the compiler keeps its loads
}

// New makes empty tables; now is when counting begins.
func New(cfg Config, now time.Time) (*Account, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &Account{
		cfg: cfg, rules: newRules(&cfg), seed: maphash.MakeSeed(), ports: cfg.Ports,
		active: newTable(cfg.MemoryLimit, now), checkpoint: newTable(cfg.MemoryLimit, now),
	}
	for _, on := range cfg.PortsOf {
		a.ports = a.ports || on
	}
	return a, nil
}

// Interface feeds the active table with the packets of one interface.
type Interface struct {
	account *Account
	name    string
	number  uint16 // in keys; 0: ports are not told apart
	total   Tally
	rate    rate
}

// Interface returns the feed for an interface; for the same name it is the same.
func (a *Account) Interface(name string) *Interface {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.feeds {
		if f.name == name {
			return f
		}
	}
	ports, ok := a.cfg.portsOf(name)
	f := &Interface{account: a, name: name}
	if ok && ports || !ok && a.cfg.Ports {
		f.number = a.number(name)
	}
	a.feeds = append(a.feeds, f)
	return f
}

// number returns the number of an interface's name. The last one is shared by those too many.
func (a *Account) number(name string) uint16 {
	const most = 1<<16 - 1
	i := slices.Index(a.names, name)
	if i < 0 {
		if len(a.names) == most {
			return most
		}
		i = len(a.names)
		a.names = append(a.names, name)
	}
	return uint16(i + 1)
}

// Add counts packets in the active table. It costs one lock for all of them, and no allocation but for new entries.
func (i *Interface) Add(pkts []flowcache.Packet) {
	for len(pkts) > flowcache.BatchSize {
		i.batch(pkts[:flowcache.BatchSize])
		pkts = pkts[flowcache.BatchSize:]
	}
	i.batch(pkts)
}

func (i *Interface) batch(pkts []flowcache.Packet) {
	var keys [flowcache.BatchSize]Key
	var hashes [flowcache.BatchSize]uint32
	var total Tally
	a := i.account
	for j := range pkts {
		i.load(&keys[j], &pkts[j])
		if j > 0 && keys[j] == keys[j-1] {
			hashes[j] = hashes[j-1]
		} else {
			hashes[j] = hashOf(a.seed, &keys[j])
		}
		total.Bytes += uint64(pkts[j].IPBytes)
	}
	total.Packets = uint64(len(pkts))

	a.mu.Lock()
	defer a.mu.Unlock()
	i.total.Packets += total.Packets
	i.total.Bytes += total.Bytes
	a.touched += a.active.touch(hashes[:len(pkts)])
	var e *Entry
	for j := range pkts {
		if e == nil || keys[j] != keys[j-1] {
			if e = a.active.find(&keys[j], hashes[j]); e == nil {
				a.active.exceed(Tally{1, uint64(pkts[j].IPBytes)}, pkts[j].Time.Time())
				continue
			}
		}
		e.Packets++
		e.Bytes += uint64(pkts[j].IPBytes)
	}
}

// load makes the key of a packet.
func (i *Interface) load(k *Key, p *flowcache.Packet) {
	k.Src, k.Dst, k.Version = p.Src, p.Dst, p.IPVersion
	r := &i.account.rules
	if len(r.networks) > 0 {
		r.address(&k.Src, k.Version)
		r.address(&k.Dst, k.Version)
	}
	if i.number == 0 {
		return
	}
	k.Interface, k.Proto = i.number, p.Proto
	if p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 {
		k.SrcPort, k.DstPort = uint16(p.ICMPType), uint16(p.ICMPCode)
		return
	}
	k.SrcPort, k.DstPort = p.SrcPort, p.DstPort
	if r.ports != nil && hasPorts(p.Proto) {
		k.SrcPort, k.DstPort = r.ports[k.SrcPort], r.ports[k.DstPort]
	}
}

// hasPorts reports whether the dissector finds ports in a protocol.
func hasPorts(proto uint8) bool {
	switch proto {
	case 6, 17, 33, 132, 136: // TCP, UDP, DCCP, SCTP, UDP-Lite
		return true
	}
	return false
}

// Clear makes the active table the checkpoint, drops the checkpoint there was, and begins an empty table.
func (a *Account) Clear(now time.Time) {
	empty := newTable(a.cfg.MemoryLimit, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checkpoint, a.active = a.active, empty
}

// ClearCheckpoint empties the checkpoint.
func (a *Account) ClearCheckpoint(now time.Time) {
	empty := newTable(a.cfg.MemoryLimit, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checkpoint = empty
}

// Usage says how full the active table is.
type Usage struct {
	Entries int
	Used    int64 // bytes: EntrySize for each entry
	Limit   int64 // Config.MemoryLimit
}

// Usage returns what the active table takes.
func (a *Account) Usage() Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Usage{a.active.n, int64(a.active.n) * EntrySize, a.cfg.MemoryLimit}
}
