package export

import (
	"math/rand/v2"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
	v5 "github.com/caprock-net/caprock/netflow/v5"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// randomFlow makes flow i of a mixed lot, as a meter or a relay may have it; the low 16 bits of its packets are i.
func randomFlow(rnd *rand.Rand, i int, at netflow.Timestamp) netflow.Record {
	some := func(bits int) uint64 { // zero as often as not
		if rnd.IntN(2) == 0 {
			return 0
		}
		return rnd.Uint64() >> (64 - bits)
	}
	addr := func(version uint8) (a netflow.Addr) {
		switch version {
		case 4:
			return netflow.AddrFrom4([4]byte{byte(1 + rnd.IntN(223)), byte(rnd.Int()), byte(rnd.Int()), byte(rnd.Int())})
		case 6:
			for i := range a {
				a[i] = byte(rnd.Int())
			}
			a[0] = 0x20
		}
		return a
	}
	r := netflow.Record{
		IPVersion: [...]uint8{4, 4, 6, 0}[rnd.IntN(4)], Proto: [...]uint8{1, 6, 17, 58, 132, uint8(rnd.IntN(256))}[rnd.IntN(6)],
		TOS: uint8(some(8)), Direction: uint8(rnd.IntN(2)), EndReason: uint8(rnd.IntN(6)), ForwardingStatus: uint8(some(8)),
		SrcPort: uint16(some(16)), DstPort: uint16(some(16)), TCPFlags: uint16(some(9)), ReverseTCPFlags: uint16(some(9)),
		Packets: some(40)<<16 | uint64(i), Bytes: some(60), ReversePackets: some(60), ReverseBytes: some(60),
		Input: uint32(some(32)), Output: uint32(some(16)), SrcAS: uint32(some(32)), DstAS: uint32(some(16)),
		TCPRTT: uint32(some(32)), TCPRetransmits: uint32(some(32)), ReverseTCPRetransmits: uint32(some(16)),
		VLAN: uint16(some(12)), SrcMAC: netflow.MACFrom(some(48)), DstMAC: netflow.MACFrom(some(48)),
	}
	r.End = at + netflow.Timestamp(rnd.Int64N(60e6))
	r.Start = r.End - netflow.Timestamp(rnd.Int64N(1<<uint(1+rnd.IntN(39))))
	r.SrcAddr, r.DstAddr = addr(r.IPVersion), addr(r.IPVersion)
	if r.IPVersion != 0 && rnd.IntN(2) == 0 {
		r.NextHop, r.SrcMask, r.DstMask = addr(r.IPVersion), uint8(rnd.IntN(33)), uint8(rnd.IntN(33))
	}
	switch {
	case r.IPVersion == 4 && r.Proto == netflow.ProtoICMP, r.IPVersion == 6 && r.Proto == netflow.ProtoICMPv6:
		r.ICMPType, r.ICMPCode = uint8(some(8)), uint8(some(8))
		r.SrcPort, r.DstPort = 0, uint16(r.ICMPType)<<8|uint16(r.ICMPCode)
	case r.Proto == netflow.ProtoICMP || r.Proto == netflow.ProtoICMPv6:
		r.Proto = netflow.ProtoTCP
	}
	return r
}

// carried is what the protocol's definition leaves of a flow.
func carried(protocol string, r netflow.Record, cfg *Config) netflow.Record {
	r.Start, r.End = r.Start/1000*1000, r.End/1000*1000
	r.Domain, r.ExportVersion = cfg.Domain, versions[protocol]
	if cfg.Sampling > 1 {
		r.SamplingRate = cfg.Sampling
	}
	if !cfg.TCPMetrics {
		r.TCPRTT, r.TCPRetransmits, r.ReverseTCPRetransmits = 0, 0, 0
	}
	if protocol == "ipfix" {
		return r
	}
	r.TCPRTT, r.ReverseTCPRetransmits = 0, 0
	r.ReversePackets, r.ReverseBytes, r.ReverseTCPFlags = 0, 0, 0
	r.TCPFlags &= 0xff
	if protocol == "v9" {
		return r
	}
	r.TCPRetransmits = 0
	r.Packets, r.Bytes = min(r.Packets, 1<<32-1), min(r.Bytes, 1<<32-1)
	r.VLAN, r.SrcMAC, r.DstMAC, r.Direction, r.EndReason, r.ForwardingStatus = 0, netflow.MAC{}, netflow.MAC{}, 0, 0, 0
	if r.Input > 0xffff {
		r.Input = 0
	}
	if r.SrcAS > 0xffff {
		r.SrcAS = 23456
	}
	if protocol == "v1" {
		r.SrcAS, r.DstAS, r.SrcMask, r.DstMask, r.Domain, r.SamplingRate = 0, 0, 0, 0, 0, 0
	}
	return r
}

// FuzzRoundTrip encodes random flows, decodes the datagrams with the collector's decoders, and wants each flow back.
func FuzzRoundTrip(f *testing.F) {
	for i := range 4 {
		f.Add(uint64(i), uint8(i), uint16(1400), uint16(i*100))
	}
	f.Fuzz(func(t *testing.T, seed uint64, p uint8, mtu, sampling uint16) {
		protocol := [...]string{"ipfix", "v9", "v5", "v1"}[p%4]
		cfg := Config{
			Destinations: []string{"a:1"}, Protocol: protocol, Domain: 0x1234, Sampling: uint32(sampling % v5.MaxSampling),
			MTU: MinMTU + int(mtu)%2000, TemplatePackets: 3, TCPMetrics: seed%2 == 0,
		}.withDefaults()
		enc := newEncoder(&cfg)
		rnd := rand.New(rand.NewPCG(seed, 1))
		store := template.NewStore(template.Limits{})
		domain := store.Domain(netflow.Addr{}, versions[protocol])
		batch := netflow.NewBatch(200)
		var report template.Report
		var want []netflow.Record
		send := func(now netflow.Timestamp) {
			msg := enc.AppendMessage(nil, now)
			if len(msg) > cfg.MTU {
				t.Fatalf("%d bytes, want at most %d", len(msg), cfg.MTU)
			}
			var err error
			switch protocol {
			case "ipfix":
				err = ipfix.Decode(batch, domain, msg, &report)
			case "v9":
				err = v9.Decode(batch, domain, msg, &report)
			default:
				_, _, err = v5.Decode(batch, msg)
			}
			if err != nil || !report.Complete() {
				t.Fatalf("%v, %+v in %x", err, report, msg)
			}
		}
		at := netflow.Timestamp(1e15 + rnd.Int64N(1e15))
		for i := range 200 {
			if rnd.IntN(50) == 0 {
				at = netflow.Timestamp(1e15 + rnd.Int64N(3e15)) // another capture, 2001 to 2096
			}
			r := randomFlow(rnd, i, at)
			if versions[protocol] <= netflow.VersionV5 && v5.LimitsOf(&r)&(v5.LimitIPv6|v5.LimitNoAddress) != 0 {
				continue
			}
			now := r.End + netflow.Timestamp(rnd.Int64N(120e6)) - 1e6
			if !enc.Append(now, &r) {
				send(now)
				if !enc.Append(now, &r) {
					t.Fatal("no room in an empty datagram")
				}
			}
			want = append(want, r)
		}
		send(at)
		if batch.Len() != len(want) {
			t.Fatalf("%d flows came back, want %d", batch.Len(), len(want))
		}
		back := map[uint64]netflow.Record{}
		for i := range batch.Len() {
			r := batch.Record(i)
			back[r.Packets&0xffff] = r
		}
		for i, r := range want {
			w := carried(protocol, r, &cfg)
			got, ok := back[r.Packets&0xffff]
			if protocol == "v5" || protocol == "v1" { // in order, and packets may be cut
				got, ok = batch.Record(i), true
			}
			if !ok || got != w {
				t.Fatalf("%s: got\n%+v, want\n%+v", protocol, got, w)
			}
		}
	})
}
