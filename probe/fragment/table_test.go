package fragment

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/google/gopacket"
	"github.com/google/gopacket/ip4defrag"
	"github.com/google/gopacket/layers"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
)

const second = netflow.Timestamp(1e6)

// packet makes a fragment of a UDP datagram with ports that follow from its identification.
func packet(id uint32, f dissect.Fragment) dissect.Packet {
	p := dissect.Packet{Src: netflow.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: netflow.AddrFrom4([4]byte{10, 0, 0, 2}), IPVersion: 4, Proto: netflow.ProtoUDP, FragmentID: id, Fragment: f}
	if f == dissect.First {
		p.SrcPort, p.DstPort = uint16(id)|1, uint16(id>>16)
	}
	return p
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n != entryBytes {
		t.Errorf("an entry has %d bytes, want %d", n, entryBytes)
	}
	if n := len(New().entries); n != Entries {
		t.Errorf("%d entries, want %d", n, Entries)
	}
}

func TestJoin(t *testing.T) {
	first, later := packet(7, dissect.First), packet(7, dissect.Later)
	change := func(f func(p *dissect.Packet)) dissect.Packet { p := later; f(&p); return p }
	for name, c := range map[string]struct {
		p      dissect.Packet
		after  netflow.Timestamp
		input  uint32
		joined bool
	}{
		"at once":               {later, 0, 1, true},
		"at the end":            {later, Lifetime, 1, true},
		"too late":              {later, Lifetime + 1, 1, false},
		"clock set back":        {later, -Lifetime - 1, 1, false},
		"a little out of order": {later, -second, 1, true},
		"another interface":     {later, 0, 2, false},
		"another datagram":      {change(func(p *dissect.Packet) { p.FragmentID++ }), 0, 1, false},
		"another protocol":      {change(func(p *dissect.Packet) { p.Proto = netflow.ProtoTCP }), 0, 1, false},
		"another source":        {change(func(p *dissect.Packet) { p.Src[15]++ }), 0, 1, false},
		"another destination":   {change(func(p *dissect.Packet) { p.Dst[15]++ }), 0, 1, false},
		"another version":       {change(func(p *dissect.Packet) { p.IPVersion = 6 }), 0, 1, false},
		"another tunnel":        {change(func(p *dissect.Packet) { p.TunnelID++ }), 0, 1, false},
	} {
		for _, start := range []netflow.Timestamp{0, 1e15} { // captures without times exist
			table := New()
			p := first
			if !table.Join(start, 1, &p) || p != first {
				t.Errorf("%s: the first fragment: %+v", name, p)
			}
			p = c.p
			complete := table.Join(start+c.after, c.input, &p)
			want := c.p
			if c.joined {
				want.SrcPort, want.DstPort = first.SrcPort, first.DstPort
			}
			if complete != c.joined || p != want {
				t.Errorf("%s: complete %v, want %v\ngot  %+v\nwant %+v", name, complete, c.joined, p, want)
			}
		}
	}
}

// TestKinds: what is no port, and IPv6.
func TestKinds(t *testing.T) {
	join := func(first, later dissect.Packet) (dissect.Packet, bool) {
		table := New()
		first.Fragment, later.Fragment = dissect.First, dissect.Later
		table.Join(0, 1, &first)
		return later, table.Join(0, 1, &later) && later.Fragment == dissect.Later && check(t, first, &later)
	}
	for name, c := range map[string]struct {
		first, later dissect.Packet
		complete     bool
	}{
		"echo":                              {dissect.Packet{IPVersion: 4, Proto: 1, DstPort: 8 << 8, ICMPType: 8}, dissect.Packet{IPVersion: 4, Proto: 1}, true},
		"echo reply":                        {dissect.Packet{IPVersion: 4, Proto: 1}, dissect.Packet{IPVersion: 4, Proto: 1}, true},
		"echo6":                             {dissect.Packet{IPVersion: 6, Proto: 58, DstPort: 128<<8 | 3, ICMPType: 128, ICMPCode: 3}, dissect.Packet{IPVersion: 6, Proto: 58}, true},
		"header behind the fragment header": {dissect.Packet{IPVersion: 6, Proto: 17, SrcPort: 53, DstPort: 99}, dissect.Packet{IPVersion: 6, Proto: 60}, true},
		"esp":                               {dissect.Packet{IPVersion: 4, Proto: 50}, dissect.Packet{IPVersion: 4, Proto: 50}, true},
		"ports cut":                         {dissect.Packet{IPVersion: 4, Proto: 17}, dissect.Packet{IPVersion: 4, Proto: 17}, false},
	} {
		if p, complete := join(c.first, c.later); complete != c.complete {
			t.Errorf("%s: complete %v, want %v; %+v", name, complete, c.complete, p)
		}
	}
}

func check(t *testing.T, first dissect.Packet, later *dissect.Packet) bool {
	t.Helper()
	if later.Proto != first.Proto || later.SrcPort != first.SrcPort || later.DstPort != first.DstPort || later.ICMPType != first.ICMPType || later.ICMPCode != first.ICMPCode {
		t.Errorf("got  %+v\nwant %+v", *later, first)
	}
	return true
}

// TestModel compares the table with a map that forgets nothing, on datagrams that fit into it.
func TestModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	table := New()
	type ports struct {
		src, dst uint16
		at       netflow.Timestamp
	}
	model := map[uint32]ports{}
	now := second
	joined, forgotten := 0, 0
	for range 300_000 {
		now += netflow.Timestamp(r.IntN(int(second / 4)))
		p := packet(uint32(r.IntN(256))|0x10000, dissect.First)
		if r.IntN(3) != 0 {
			p = packet(p.FragmentID, dissect.Later)
		} else {
			p.SrcPort = uint16(1 + r.IntN(60000))
			model[p.FragmentID] = ports{p.SrcPort, p.DstPort, now}
		}
		known, ok := model[p.FragmentID]
		ok = ok && now-known.at <= Lifetime
		complete := table.Join(now, 1, &p)
		switch {
		case ok && (!complete || p.SrcPort != known.src || p.DstPort != known.dst):
			forgotten++ // 256 datagrams in 512 sets of 8: never, but with a hash that is worth nothing
		case !ok && (complete || p.SrcPort != 0):
			t.Fatalf("ports from nowhere: %+v", p)
		case ok:
			joined++
		}
	}
	if joined < 100_000 || forgotten != 0 {
		t.Errorf("%d joined, %d forgotten", joined, forgotten)
	}
}

// TestFlood: first fragments without end take nothing but the table, and those of a moment ago are known.
func TestFlood(t *testing.T) {
	table := New()
	p := packet(0, dissect.First)
	known := 0
	const flood = 1_000_000
	n := uint32(0)
	allocs := testing.AllocsPerRun(1, func() {
		for range flood {
			n++
			p = packet(n, dissect.First)
			p.SrcPort = 9
			table.Join(netflow.Timestamp(n), 1, &p)
			if n > 1000 && n%10 == 0 { // the one of 1000 packets ago: 2 in 512 sets of 8
				p = packet(n-1000, dissect.Later)
				if table.Join(netflow.Timestamp(n), 1, &p) {
					known++
				}
			}
		}
	})
	if allocs != 0 || len(table.entries) != Entries || cap(table.entries) != Entries {
		t.Errorf("%v allocations, %d entries", allocs, len(table.entries))
	}
	if want := 2 * flood / 10; known < want*99/100 {
		t.Errorf("%d of %d known", known, want)
	}
}

// TestCorpora compares flows with those that an independent reader counts with fragments joined.
func TestCorpora(t *testing.T) {
	type flowKey struct {
		version, proto   uint8
		src, dst         netflow.Addr
		srcPort, dstPort uint16
	}
	changed := 0
	for _, c := range dissecttest.Captures(t) {
		flows := map[flowKey]bool{}
		table := New()
		c.Each(t, func(f pcapfile.Frame) {
			var p dissect.Packet
			if dissect.Dissect(dissect.LinkType(f.LinkType), f.Data, f.WireLen, &p) != dissect.OK {
				return
			}
			table.Join(netflow.Timestamp(f.Time/1e3), 0, &p)
			if p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 {
				p.DstPort = 0
			}
			flows[flowKey{p.IPVersion, p.Proto, p.Src, p.Dst, p.SrcPort, p.DstPort}] = true
		})
		want := c.Expected.Flows.Joined
		if want != c.Expected.Flows.Plain {
			changed++
		}
		if len(flows) != want && !c.Malformed {
			t.Errorf("%s: %d flows, want %d", c.Name, len(flows), want)
		}
	}
	if changed < 5 {
		t.Errorf("fragments make a difference in %d captures only", changed)
	}
}

// TestReassembly cuts datagrams into fragments, sends them in an order in which the first is the first, and has gopacket
// put them together: the ports that it finds are those that every fragment is given.
func TestReassembly(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	table := New()
	defragger := ip4defrag.NewIPv4Defragmenter()
	for id := range uint16(300) {
		length := 8 * (2 + r.IntN(400))
		payload := make([]byte, length)
		src, dst := uint16(1+r.IntN(65535)), uint16(1+r.IntN(65535))
		binary.BigEndian.PutUint16(payload, src)
		binary.BigEndian.PutUint16(payload[2:], dst)
		binary.BigEndian.PutUint16(payload[4:], uint16(length))
		var cuts [][2]int
		for at := 0; at < length; {
			n := min(8*(1+r.IntN(100)), length-at)
			if at == 0 {
				n = min(n, length-8) // two at least
			}
			cuts = append(cuts, [2]int{at, at + n})
			at += n
		}
		r.Shuffle(len(cuts)-1, func(i, j int) { cuts[i+1], cuts[j+1] = cuts[j+1], cuts[i+1] })
		var whole *layers.IPv4
		for _, c := range cuts {
			field := uint16(c[0] / 8)
			if c[1] < length {
				field |= 0x2000
			}
			ip := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+c[1]-c[0]))
			ip = binary.BigEndian.AppendUint16(ip, id)
			ip = binary.BigEndian.AppendUint16(ip, field)
			ip = append(ip, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
			ip = append(ip, payload[c[0]:c[1]]...)
			var p dissect.Packet
			if v := dissect.Dissect(dissect.LinkRaw, ip, len(ip), &p); v != dissect.OK {
				t.Fatal(v)
			}
			if !table.Join(second, 1, &p) || p.SrcPort != src || p.DstPort != dst {
				t.Errorf("datagram %d, bytes %d to %d: ports %d and %d, want %d and %d", id, c[0], c[1], p.SrcPort, p.DstPort, src, dst)
			}
			var l layers.IPv4
			if err := l.DecodeFromBytes(ip, gopacket.NilDecodeFeedback); err != nil {
				t.Fatal(err)
			}
			if out, err := defragger.DefragIPv4(&l); err != nil {
				t.Fatal(err)
			} else if out != nil {
				whole = out
			}
		}
		var udp layers.UDP
		if whole == nil {
			t.Fatalf("datagram %d is not whole", id)
		}
		if err := udp.DecodeFromBytes(whole.Payload, gopacket.NilDecodeFeedback); err != nil || uint16(udp.SrcPort) != src || uint16(udp.DstPort) != dst {
			t.Errorf("gopacket: %v, ports %d and %d, want %d and %d", err, udp.SrcPort, udp.DstPort, src, dst)
		}
	}
}

// BenchmarkFlood is the worst case: each packet a first fragment of another datagram.
func BenchmarkFlood(b *testing.B) {
	table := New()
	var n uint32
	for b.Loop() {
		n++
		p := packet(n, dissect.First)
		table.Join(second, 1, &p)
	}
}
