package dissect_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
)

// figures is what a capture adds up to.
type figures struct {
	Packets, IPv4, IPv6, NonIP, Bad, Fragments int
	IPBytes                                    uint64
	Plain, ICMP, WithVLAN                      int // flows, see dissecttest.Capture
	Protocols                                  map[string]int
}

type flowKey struct {
	Version          uint8
	Src, Dst         netflow.Addr
	Proto            uint8
	SrcPort, DstPort uint16
	VLAN             uint16
}

// TestCorpora compares every capture with what independent tools count in it.
func TestCorpora(t *testing.T) {
	for _, c := range dissecttest.Captures(t) {
		t.Run(c.Name, func(t *testing.T) {
			got, sources := count(t, &c)
			e := c.Expected
			want := figures{Packets: e.Packets, IPv4: e.IPv4, IPv6: e.IPv6, NonIP: e.NonIP, Bad: e.Bad, Fragments: e.Fragments,
				IPBytes: e.IPBytes, Plain: e.Flows.Plain, ICMP: e.Flows.ICMP, WithVLAN: e.Flows.WithVLAN, Protocols: e.Protocols}
			if sum := got.IPv4 + got.IPv6 + got.NonIP + got.Bad; sum != got.Packets {
				t.Errorf("verdicts add up to %d of %d packets", sum, got.Packets)
			}
			report := t.Errorf
			if c.Malformed { // opinions on damaged packets may differ
				report = t.Logf
			}
			if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
				report("got  %s\nwant %s", g, w)
			}
			if !slices.Equal(sources, e.TopSources) {
				report("top sources\ngot  %v\nwant %v", sources, e.TopSources)
			}
		})
	}
}

// count dissects a capture.
func count(t *testing.T, c *dissecttest.Capture) (figures, []dissecttest.Source) {
	got := figures{Protocols: map[string]int{}}
	plain, icmp, vlan := map[flowKey]bool{}, map[flowKey]bool{}, map[flowKey]bool{}
	bySource := map[string]dissecttest.Source{}
	c.Each(t, func(f pcapfile.Frame) {
		var p dissect.Packet
		got.Packets++
		switch dissect.Dissect(dissect.LinkType(f.LinkType), f.Data, f.WireLen, &p) {
		case dissect.OK:
		case dissect.Malformed:
			got.Bad++
			return
		default:
			got.NonIP++
			return
		}
		if p.IPVersion == 4 {
			got.IPv4++
		} else {
			got.IPv6++
		}
		if p.Fragment != dissect.Whole {
			got.Fragments++
		}
		got.IPBytes += uint64(p.IPBytes)
		got.Protocols[strconv.Itoa(int(p.Proto))]++
		key := flowKey{Version: p.IPVersion, Src: p.Src, Dst: p.Dst, Proto: p.Proto, SrcPort: p.SrcPort, DstPort: p.DstPort}
		icmp[key] = true
		if p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 {
			key.DstPort = 0
		}
		plain[key] = true
		key.VLAN = p.VLAN
		vlan[key] = true
		s := bySource[p.Src.String()]
		bySource[p.Src.String()] = dissecttest.Source{Address: p.Src.String(), IPBytes: s.IPBytes + uint64(p.IPBytes), Packets: s.Packets + 1}
	})
	got.Plain, got.ICMP, got.WithVLAN = len(plain), len(icmp), len(vlan)
	sources := slices.SortedFunc(maps.Values(bySource), func(a, b dissecttest.Source) int {
		return cmp.Or(cmp.Compare(b.IPBytes, a.IPBytes), cmp.Compare(a.Address, b.Address))
	})
	return got, sources[:min(len(sources), 10)]
}

// TestTruncation cuts every packet of the corpora at every length. Nothing may panic, and what is said of a shorter capture
// must not contradict what is said of a longer one: a packet once seen as IP stays the same packet.
func TestTruncation(t *testing.T) {
	for _, c := range dissecttest.Captures(t) {
		frames := 0
		c.Each(t, func(f pcapfile.Frame) {
			if frames++; testing.Short() && frames > 40 && frames%97 != 0 { // the large captures repeat themselves
				return
			}
			var whole, cut dissect.Packet
			link := dissect.LinkType(f.LinkType)
			verdict := dissect.Dissect(link, f.Data, f.WireLen, &whole)
			for n := range f.Data {
				v := dissect.Dissect(link, f.Data[:n:n], f.WireLen, &cut)
				if v != dissect.OK {
					continue
				}
				if verdict != dissect.OK {
					t.Fatalf("%s frame %d: IP when cut to %d bytes, %v when whole", c.Name, frames, n, verdict)
				}
				if cut.Src != whole.Src || cut.Dst != whole.Dst || cut.IPBytes != whole.IPBytes || cut.TOS != whole.TOS ||
					cut.VLAN != whole.VLAN || cut.IPVersion != whole.IPVersion ||
					cut.SrcPort != 0 && cut.SrcPort != whole.SrcPort || cut.TCPFlags != 0 && cut.TCPFlags != whole.TCPFlags ||
					cut.TCPSeq != 0 && cut.TCPSeq != whole.TCPSeq || cut.TCPPayload != 0 && cut.TCPPayload != whole.TCPPayload ||
					cut.FragmentID != 0 && cut.FragmentID != whole.FragmentID || int(cut.Captured) != int(whole.Captured)-len(f.Data)+n {
					t.Fatalf("%s frame %d cut to %d bytes:\ngot  %+v\nwant %+v", c.Name, frames, n, cut, whole)
				}
			}
		})
	}
}
