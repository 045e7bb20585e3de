package fields_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
	v9 "github.com/caprock-net/caprock/netflow/v9"
)

// randomFlow makes a flow with random values in all that can be exported. Its times are sane, the low byte of its packets
// is i.
func randomFlow(rnd *rand.Rand, i int) netflow.Record {
	r := netflow.Record{
		IPVersion: [...]uint8{4, 6, 0}[rnd.IntN(3)], Proto: [...]uint8{1, 6, 17, 58}[rnd.IntN(4)],
		Packets: rnd.Uint64()>>8<<8 | uint64(i), Bytes: rnd.Uint64(), Input: rnd.Uint32(), Output: rnd.Uint32(),
		SrcPort: uint16(rnd.Uint32()), DstPort: uint16(rnd.Uint32()), TCPFlags: uint16(rnd.IntN(512)), VLAN: uint16(rnd.IntN(4096)),
		CustomerVLAN: uint16(rnd.IntN(4096)), SrcMAC: netflow.MACFrom(rnd.Uint64() >> 16), DstMAC: netflow.MACFrom(rnd.Uint64() >> 16),
		TOS: uint8(rnd.Uint32()), Direction: uint8(rnd.IntN(2)), EndReason: uint8(rnd.IntN(6)), MinTTL: uint8(rnd.Uint32()),
		MaxTTL: uint8(rnd.Uint32()), MinLength: rnd.Uint32(), MaxLength: rnd.Uint32(), FragmentFlags: uint8(rnd.IntN(4) << 5),
		MPLSLabel: rnd.Uint32N(1 << 20), TunnelID: rnd.Uint32N(1 << 24), TCPRTT: rnd.Uint32(), TCPRetransmits: rnd.Uint32(),
		TunnelProto: uint8(rnd.Uint32()), TunnelType: uint8(rnd.IntN(8)),
	}
	if rnd.IntN(3) == 0 {
		r.ReversePackets, r.ReverseBytes = rnd.Uint64(), rnd.Uint64()
		r.ReverseTCPFlags, r.ReverseTCPRetransmits = uint16(rnd.IntN(512)), rnd.Uint32()
	}
	if rnd.IntN(2) == 0 {
		r.TunnelSrcAddr, r.TunnelDstAddr = netflow.AddrFrom4([4]byte{1, byte(rnd.Uint32())}), netflow.AddrFrom4([4]byte{2, byte(rnd.Uint32())})
	}
	r.End = 1e15 + netflow.Timestamp(rnd.Int64N(3e15))
	r.Start = r.End - netflow.Timestamp(rnd.Int64N(1e11))
	for _, a := range []*netflow.Addr{&r.SrcAddr, &r.DstAddr} {
		switch r.IPVersion {
		case 4:
			*a = netflow.AddrFrom4([4]byte{byte(1 + rnd.IntN(223)), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())})
		case 6:
			binary.BigEndian.PutUint64(a[:], rnd.Uint64()|1<<61)
			binary.BigEndian.PutUint64(a[8:], rnd.Uint64())
		}
	}
	if r.IPVersion == 4 && r.Proto == 1 || r.IPVersion == 6 && r.Proto == 58 {
		r.ICMPType, r.ICMPCode = uint8(1+rnd.IntN(255)), uint8(rnd.Uint32())
		r.SrcPort, r.DstPort = 0, uint16(r.ICMPType)<<8|uint16(r.ICMPCode)
	} else if r.Proto == 1 || r.Proto == 58 {
		r.Proto = 6
	}
	return r
}

// carried is what a list's fields leave of a flow.
func carried(version uint8, names []string, set netflow.ColumnSet, r netflow.Record) netflow.Record {
	all, w := netflow.NewBatch(1), netflow.NewBatch(1)
	has := func(name string) bool { return slices.Contains(names, name) }
	if version == netflow.VersionV9 {
		r.ReversePackets, r.ReverseBytes, r.ReverseTCPFlags = 0, 0, 0
		r.TCPFlags &= 0xff
	} else if r.ReversePackets != 0 {
		for forward, reverse := range map[netflow.Column]netflow.Column{
			netflow.Bytes: netflow.ReverseBytes, netflow.Packets: netflow.ReversePackets,
			netflow.TCPFlags: netflow.ReverseTCPFlags, netflow.TCPRetransmits: netflow.ReverseTCPRetransmits,
		} {
			if set.Has(forward) {
				set |= netflow.SetOf(reverse)
			}
		}
	}
	cut := func(t netflow.Timestamp, edge string) netflow.Timestamp {
		switch {
		case has(edge + "Nanoseconds"), has(edge + "Microseconds"):
			return t
		case !has(edge+"Milliseconds") && has(edge+"Seconds"): // which counts more than an uptime
			return t / 1e6 * 1e6
		}
		return t / 1e3 * 1e3
	}
	r.Start, r.End = cut(r.Start, "flowStart"), cut(r.End, "flowEnd")
	all.Append(&r)
	w.Append(&netflow.Record{IPVersion: r.IPVersion, Domain: 7, ExportVersion: version})
	for _, c := range netflow.Columns() {
		if !set.Has(c) {
			continue
		}
		switch c.Kind() {
		case netflow.KindTime:
			w.Times(c)[0] = all.Times(c)[0]
		case netflow.KindAddr:
			w.Addrs(c)[0] = all.Addrs(c)[0]
		case netflow.KindMAC:
			w.MACs(c)[0] = all.MACs(c)[0]
		case netflow.KindUint8:
			w.Uint8s(c)[0] = all.Uint8s(c)[0]
		case netflow.KindUint16:
			w.Uint16s(c)[0] = all.Uint16s(c)[0]
		case netflow.KindUint32:
			w.Uint32s(c)[0] = all.Uint32s(c)[0]
		case netflow.KindUint64:
			w.Uint64s(c)[0] = all.Uint64s(c)[0]
		}
	}
	return w.Record(0)
}

// FuzzRoundTrip chooses fields at random, encodes random flows, decodes them with the collector's decoders and wants the
// chosen columns back, and nothing else.
func FuzzRoundTrip(f *testing.F) {
	for i := range uint64(100) {
		f.Add(i, i%2 == 0, uint8(i), uint16(i*50))
	}
	f.Fuzz(func(t *testing.T, seed uint64, isV9 bool, n uint8, maxBytes uint16) {
		version := uint8(netflow.VersionIPFIX)
		if isV9 {
			version = netflow.VersionV9
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		known := fields.Names(version)
		// What decoding is defined by: both addresses, and of which protocol is what may be ICMP.
		names := []string{"ip_version", "src_addr", "dst_addr", "proto", "packets"}
		for range n % 48 {
			if name := known[2+rnd.IntN(len(known)-2)]; name != "ipDiffServCodePoint" && name != "ipPrecedence" {
				names = append(names, name)
			}
		}
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(strings.ToLower(name), "icmp") }) {
			names = append(names, "icmp_type", "icmp_code") // of one without the other the other is 0
		}
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		list, err := fields.Parse(version, names)
		if err != nil {
			t.Fatal(err)
		}
		names = list.Names()
		set := list.Columns()
		if slices.Contains(names, "flowDurationMilliseconds") { // with one of the times it gives the other
			set &^= netflow.SetOf(netflow.Start, netflow.End)
			for _, name := range names {
				for _, c := range []netflow.Column{netflow.Start, netflow.End} {
					if l, err := fields.Parse(version, []string{name, "packets"}); err == nil && name != "flowDurationMilliseconds" && l.Columns().Has(c) {
						set |= netflow.SetOf(c)
					}
				}
			}
		}
		limit := int(maxBytes)%3000 + 1
		sampling := [...]uint32{0, 100, 1 << 20}[seed%3]
		e := newSamplingEncoder(t, version, limit, sampling, names...)
		domain := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, version)
		batch := netflow.NewBatch(100)
		var report template.Report
		send := func(now netflow.Timestamp) {
			msg := e.AppendMessage(nil, now)
			if len(msg) > max(limit, list.MinBytes(), 512) {
				t.Fatalf("a message of %d bytes", len(msg))
			}
			if isV9 {
				err = v9.Decode(batch, domain, msg, &report)
			} else {
				err = ipfix.Decode(batch, domain, msg, &report)
			}
			if err != nil || !report.Complete() {
				t.Fatalf("%v, %+v in %x", err, report, msg)
			}
		}
		want := map[uint64]netflow.Record{}
		for i := range 100 {
			r := randomFlow(rnd, i)
			if !e.Append(r.End, &r) {
				send(r.End)
				if !e.Append(r.End, &r) {
					t.Fatal("no room in an empty message")
				}
			}
			w := carried(version, names, set, r)
			w.SamplingRate = sampling
			want[r.Packets] = w
		}
		send(2e15)
		if batch.Len() != len(want) {
			t.Fatalf("%d flows, want %d", batch.Len(), len(want))
		}
		for i := range batch.Len() {
			got := batch.Record(i)
			w := want[got.Packets]
			if set.Has(netflow.Proto) && !set.Has(netflow.DstPort) {
				got.DstPort, w.DstPort = 0, 0 // of ICMP it is there if type and code are
			}
			if set.Has(netflow.DstPort) && (w.Proto == netflow.ProtoICMP || w.Proto == netflow.ProtoICMPv6) {
				w.ICMPType, w.ICMPCode = uint8(w.DstPort>>8), uint8(w.DstPort)
			}
			if !set.Has(netflow.Start) || !set.Has(netflow.End) {
				got.Start, got.End, w.Start, w.End = 0, 0, 0, 0 // one is taken for the other
			}
			if got != w {
				t.Fatalf("%v: got\n%+v, want\n%+v", names, got, w)
			}
		}
	})
}
