package dissect_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
)

// ip4 and ip6 put an IP header in front of a payload, udp one of UDP.
func ip4(proto byte, payload []byte) []byte {
	b := unhex("4500 0000 0001 0000 4000 0000 0a000001 0a000002")
	b[9] = proto
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
	return append(b, payload...)
}

func ip6(next byte, payload []byte) []byte {
	b := unhex("60000000 0000 0040 20010db8000a00000000000000000001 20010db8000a00000000000000000002")
	b[6] = next
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return append(b, payload...)
}

func udp(port uint16, payload []byte) []byte {
	b := unhex("cafe 0000 0000 0000")
	binary.BigEndian.PutUint16(b[2:], port)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)+len(payload)))
	return append(b, payload...)
}

const (
	inner4    = "45b8 0028 0001 4000 4006 0000" + v4addrs + tcpHead
	inner6    = "60000000 0014 06 40" + v6addrs + tcpHead
	innerEth4 = "0200000000aa 0200000000bb 0800" + inner4
	innerEth6 = "0200000000aa 0200000000bb 8100 0063 86dd" + inner6
	ethHead   = "020000000001 020000000002 8100 0007"
)

// tunnels are payloads of outer packets with an inner packet in them: by IP protocol, or by UDP port.
var tunnels = []struct {
	name    string
	kind    dissect.Tunnels
	proto   byte
	port    uint16 // proto 17
	payload string
	id      uint32
	way     dissect.Way
}{
	{"ipip", dissect.IPIP, 4, 0, inner4, 0, dissect.Entered},
	{"ipip with IPv6 in it", dissect.IPIP, 4, 0, inner6, 0, dissect.Stopped},
	{"6in4", dissect.SixIn4, 41, 0, inner6, 0, dissect.Entered},
	{"gre", dissect.GRE, 47, 0, "0000 0800" + inner4, 0, dissect.Entered},
	{"gre 6", dissect.GRE, 47, 0, "0000 86dd" + inner6, 0, dissect.Entered},
	{"gre, checksum", dissect.GRE, 47, 0, "8000 0800 1234 0000" + inner4, 0, dissect.Entered},
	{"gre, key", dissect.GRE, 47, 0, "2000 0800 deadbeef" + inner4, 0, dissect.Entered},
	{"gre, sequence", dissect.GRE, 47, 0, "1000 0800 00000007" + inner4, 0, dissect.Entered},
	{"gre, all", dissect.GRE, 47, 0, "b000 86dd 12340000 00000005 00000007" + inner6, 0, dissect.Entered},
	{"gre, ethernet", dissect.GRE, 47, 0, "0000 6558" + innerEth4, 0, dissect.Entered},
	{"gre, ethernet, tagged", dissect.GRE, 47, 0, "2000 6558 00000102" + innerEth6, 0, dissect.Entered},
	{"gre, mpls", dissect.GRE, 47, 0, "0000 8847 00065140" + inner4, 0, dissect.Entered},
	{"gre, routing", dissect.GRE, 47, 0, "4000 0800 00000000" + inner4, 0, dissect.Stopped},
	{"gre, pptp", dissect.GRE, 47, 0, "3001 880b 00280001 00000001 ff03 0021" + inner4, 0, dissect.Stopped},
	{"gre, keepalive", dissect.GRE, 47, 0, "0000 0000", 0, dissect.Stopped},
	{"gre, cut", dissect.GRE, 47, 0, "b000 0800 12340000", 0, dissect.Stopped},
	{"vxlan", dissect.VXLAN, 17, 4789, "08000000 00002a00" + innerEth4, 42, dissect.Entered},
	{"vxlan, tagged", dissect.VXLAN, 17, 4789, "08000000 ffffff00" + innerEth6, 0xffffff, dissect.Entered},
	{"vxlan of old", dissect.VXLAN, 17, 8472, "08000000 00002a00" + innerEth4, 42, dissect.Entered},
	{"vxlan, group policy", dissect.VXLAN, 17, 4789, "88000064 00002a00" + innerEth4, 42, dissect.Entered},
	{"vxlan, not valid", dissect.VXLAN, 17, 4789, "00000000 00002a00" + innerEth4, 0, dissect.Stopped},
	{"vxlan, arp", dissect.VXLAN, 17, 4789, "08000000 00002a00 0200000000aa 0200000000bb 0806 0001", 0, dissect.Stopped},
	{"geneve", dissect.Geneve, 17, 6081, "0000 6558 00002a00" + innerEth4, 42, dissect.Entered},
	{"geneve, options", dissect.Geneve, 17, 6081, "0240 0800 00002a00 0102800112345678" + inner4, 42, dissect.Entered},
	{"geneve, ipv6", dissect.Geneve, 17, 6081, "0000 86dd 00002a00" + inner6, 42, dissect.Entered},
	{"geneve, control", dissect.Geneve, 17, 6081, "0080 6558 00002a00" + innerEth4, 0, dissect.Stopped},
	{"geneve, version 1", dissect.Geneve, 17, 6081, "4000 6558 00002a00" + innerEth4, 0, dissect.Stopped},
	{"geneve, options cut", dissect.Geneve, 17, 6081, "3f00 6558 00002a00" + innerEth4, 0, dissect.Stopped},
	{"gtpu", dissect.GTPU, 17, 2152, "30ff 0028 01020304" + inner4, 0x01020304, dissect.Entered},
	{"gtpu, ipv6", dissect.GTPU, 17, 2152, "30ff 003c 01020304" + inner6, 0x01020304, dissect.Entered},
	{"gtpu, sequence", dissect.GTPU, 17, 2152, "32ff 002c 01020304 00070000" + inner4, 0x01020304, dissect.Entered},
	{"gtpu, sequence and a byte without meaning", dissect.GTPU, 17, 2152, "32ff 002c 01020304 00070085" + inner4, 0x01020304, dissect.Entered},
	{"gtpu, extensions", dissect.GTPU, 17, 2152, "36ff 0038 01020304 00070085 01100085 0200000000000000" + inner4, 0x01020304, dissect.Entered},
	{"gtpu, no extension", dissect.GTPU, 17, 2152, "34ff 002c 01020304 00000000" + inner4, 0x01020304, dissect.Entered},
	{"gtpu, extension of nothing", dissect.GTPU, 17, 2152, "34ff 002c 01020304 00000085 00000000" + inner4, 0, dissect.Stopped},
	{"gtpu, extensions without end", dissect.GTPU, 17, 2152, "34ff 002c 01020304 00000085" + strings.Repeat("01000085", 20) + inner4, 0, dissect.Stopped},
	{"gtpu, echo", dissect.GTPU, 17, 2152, "3201 0004 00000000 00010000", 0, dissect.Stopped},
	{"gtp'", dissect.GTPU, 17, 2152, "20ff 0028 01020304" + inner4, 0, dissect.Stopped},
	{"mpls in ip", dissect.MPLS, 137, 0, "00064040 00065140" + inner4, 0, dissect.Entered},
	{"mpls in udp", dissect.MPLS, 17, 6635, "00065140" + inner6, 0, dissect.Entered},
	{"pseudowire in udp", dissect.MPLS, 17, 6635, "00065140 00000001" + innerEth4, 0, dissect.Entered},
	{"longer than what is around it", dissect.IPIP, 4, 0, "45b8 0029 0001 4000 4006 0000" + v4addrs + tcpHead, 0, dissect.Stopped},
	{"broken", dissect.IPIP, 4, 0, "44b8 0028 0001 4000 4006 0000" + v4addrs + tcpHead, 0, dissect.Stopped},
	{"nothing", dissect.IPIP, 4, 0, "", 0, dissect.Stopped},
}

// TestEnter puts each tunnel into IPv4 and IPv6, as it is, with the padding of a short frame, and cut at every byte.
func TestEnter(t *testing.T) {
	for _, c := range tunnels {
		payload := unhex(c.payload)
		if c.proto == 17 {
			payload = udp(c.port, payload)
		}
		for version, outer := range map[string][]byte{"0800": ip4(c.proto, payload), "86dd": ip6(c.proto, payload)} {
			frame := append(unhex(ethHead+version), outer...)
			for _, padding := range []int{0, 6} {
				frame := append(bytes.Clone(frame), make([]byte, padding)...)
				var around dissect.Packet
				dissect.Dissect(dissect.LinkEthernet, frame, len(frame), &around)
				got := around
				if v, way := (dissect.AllTunnels &^ c.kind).Enter(frame, len(frame), dissect.OK, &got, nil); v != dissect.OK || way != 0 || got != around {
					t.Errorf("%s in %s, not asked for: %v %v %+v", c.name, version, v, way, got)
				}
				outer := dissect.Outer{Proto: 255}
				v, way := c.kind.Enter(frame, len(frame), dissect.OK, &got, &outer)
				if v != dissect.OK || way != c.way {
					t.Errorf("%s in %s: %v, way %v, want %v", c.name, version, v, way, c.way)
					continue
				}
				want := around
				if c.way == dissect.Entered {
					want = innerPacket(c.payload)
					want.SrcMAC, want.DstMAC, want.VLAN, want.TunnelID = around.SrcMAC, around.DstMAC, 7, c.id
					want.Captured += uint32(padding)
				}
				if carrier := outerOf(&around, c.kind); way == dissect.Entered && outer != carrier || way != dissect.Entered && outer.Proto != 255 {
					t.Errorf("%s in %s, way %v: around it %+v, want %+v", c.name, version, way, outer, carrier)
				}
				if got != want {
					t.Errorf("%s in %s\ngot  %+v\nwant %+v", c.name, version, got, want)
				}
				for n := range len(frame) {
					var cut dissect.Packet
					v := dissect.Dissect(dissect.LinkEthernet, frame[:n:n], len(frame), &cut)
					v, way := c.kind.Enter(frame[:n:n], len(frame), v, &cut, nil)
					if v == dissect.OK && way == dissect.Entered != (cut.Src == want.Src && c.way == dissect.Entered) ||
						v == dissect.OK && cut.Src != around.Src && cut.Src != want.Src {
						t.Errorf("%s in %s, %d bytes: %v, way %v %+v", c.name, version, n, v, way, cut)
					}
				}
			}
		}
	}
}

// outerOf is what Enter tells of a packet that carries a tunnel.
func outerOf(p *dissect.Packet, kind dissect.Tunnels) dissect.Outer {
	numbers := map[dissect.Tunnels]uint8{dissect.VXLAN: 1, dissect.GRE: 2, dissect.Geneve: 7}
	return dissect.Outer{Src: p.Src, Dst: p.Dst, Proto: p.Proto, Type: numbers[kind]}
}

// innerPacket is the packet at the end of a payload.
func innerPacket(payload string) (p dissect.Packet) {
	ip := unhex(inner4)
	if strings.HasSuffix(payload, inner6) {
		ip = unhex(inner6)
	}
	dissect.Dissect(dissect.LinkRaw, ip, len(ip), &p)
	return p
}

func TestEnterDepth(t *testing.T) {
	ip := unhex(inner4)
	for depth := 1; depth < 40; depth++ {
		ip = ip4(4, ip)
		if depth%2 == 0 {
			ip[15], ip[19] = byte(depth), byte(depth)
		}
		var p dissect.Packet
		dissect.Dissect(dissect.LinkRaw, ip, len(ip), &p)
		v, way := dissect.IPIP.Enter(ip, len(ip), dissect.OK, &p, nil)
		want, bytes := dissect.Entered, uint32(40)
		if depth > dissect.MaxTunnels {
			want, bytes = dissect.Entered|dissect.Stopped, uint32(40+20*(depth-dissect.MaxTunnels))
		}
		if v != dissect.OK || way != want || p.IPBytes != bytes {
			t.Errorf("depth %d: %v, way %v, %d bytes, want %v, %d", depth, v, way, p.IPBytes, want, bytes)
		}
	}
}

// TestEnterFragments: a first fragment holds the inner header, though not all of the inner packet; later ones stay what
// they are.
func TestEnterFragments(t *testing.T) {
	ip := ip4(4, unhex("4500 2000 0001 0000 4011 0000"+v4addrs+"0035 1234 1fec 0000"))
	for field, want := range map[uint16]dissect.Way{0x2000: dissect.Entered, 0x2001: dissect.Stopped, 0x0001: dissect.Stopped, 0: dissect.Stopped} {
		binary.BigEndian.PutUint16(ip[6:], field)
		var p dissect.Packet
		dissect.Dissect(dissect.LinkRaw, ip, len(ip), &p)
		if _, way := dissect.IPIP.Enter(ip, len(ip), dissect.OK, &p, nil); way != want || way == dissect.Entered != (p.IPBytes == 0x2000) {
			t.Errorf("%#x: way %v, want %v; %+v", field, way, want, p)
		}
	}
}

// TestPseudowire has Ethernet behind MPLS labels: no IP packet, or a broken one, unless mpls is asked for.
func TestPseudowire(t *testing.T) {
	const labels = "020000000001 020000000002 8847 00064040 00065140"
	for name, c := range map[string]struct {
		frame string
		plain dissect.Verdict
		want  dissect.Verdict
	}{
		"control word":           {labels + "00000000" + innerEth4, dissect.NonIP, dissect.OK},
		"control word, sequence": {labels + "0000ffff" + innerEth6, dissect.NonIP, dissect.OK},
		"none":                   {labels + innerEth6, dissect.NonIP, dissect.OK},
		"none, address of VRRP":  {labels + "00005e000101" + innerEth4[12:], dissect.NonIP, dissect.OK},
		"none, address like IP":  {labels + "40a6b7000101" + innerEth4[12:], dissect.Malformed, dissect.OK},
		"arp":                    {labels + "00000000 0200000000aa 0200000000bb 0806 0001", dissect.NonIP, dissect.NonIP},
		"broken":                 {labels + "00000000 0200000000aa 0200000000bb 0800 44", dissect.NonIP, dissect.NonIP},
		"empty":                  {labels, dissect.NonIP, dissect.NonIP},
	} {
		frame := unhex(c.frame)
		var p dissect.Packet
		v := dissect.Dissect(dissect.LinkEthernet, frame, len(frame), &p)
		if v != c.plain {
			t.Errorf("%s: %v, want %v", name, v, c.plain)
		}
		other := p
		if v, way := (dissect.AllTunnels &^ dissect.MPLS).Enter(frame, len(frame), v, &other, nil); v != c.plain || way != 0 {
			t.Errorf("%s, not asked for: %v, way %v", name, v, way)
		}
		outer := dissect.Outer{Proto: 255}
		v, way := dissect.MPLS.Enter(frame, len(frame), v, &p, &outer)
		if v != c.want || way == dissect.Entered != (v == dissect.OK) {
			t.Errorf("%s: %v, way %v, want %v", name, v, way, c.want)
		}
		if v != dissect.OK {
			continue
		}
		if outer != (dissect.Outer{}) {
			t.Errorf("%s: around it %+v, and there is no IP", name, outer)
		}
		want := innerPacket(c.frame)
		want.SrcMAC, want.DstMAC, want.MPLSLabel = netflow.MACFrom(0x020000000002), netflow.MACFrom(0x020000000001), 100
		if p != want {
			t.Errorf("%s\ngot  %+v\nwant %+v", name, p, want)
		}
	}
}

// TestInnermost compares the flows of the innermost IP headers with those that an independent reader counts.
func TestInnermost(t *testing.T) {
	// What that reader enters and we do not, or the other way round.
	differs := map[string]int{
		"pcpp-GrePackets.cap": 4, // PPTP
		"zeek-erspanI.pcap":   1, "zeek-erspanII.pcap": 1,
		"tcpreplay-test-test.pcap": 47, // Ethernet behind MPLS labels: tshark finds these flows too
	}
	for _, c := range dissecttest.Captures(t) {
		t.Run(c.Name, func(t *testing.T) {
			flows := map[flowKey]bool{}
			ipBytes := 0
			c.Each(t, func(f pcapfile.Frame) {
				var p dissect.Packet
				link := dissect.LinkType(f.LinkType)
				plain := dissect.Dissect(link, f.Data, f.WireLen, &p)
				outer := dissect.Outer{Proto: 255}
				v, way := dissect.AllTunnels.Enter(f.Data, f.WireLen, plain, &p, &outer)
				if plain == dissect.OK && v != dissect.OK || plain != dissect.OK && v == dissect.OK && way&dissect.Entered == 0 {
					t.Errorf("%v became %v, way %v", plain, v, way)
				}
				if v != dissect.OK {
					return
				}
				levels := dissect.Levels(dissect.AllTunnels, link, f.Data, f.WireLen)
				if p != levels[len(levels)-1] {
					t.Errorf("got  %+v\nwant %+v", p, levels)
				}
				switch n := len(levels); {
				case n > 1:
					if want := outerOf(&levels[n-2], 0); outer.Src != want.Src || outer.Dst != want.Dst || outer.Proto != want.Proto {
						t.Errorf("around it %+v, want %+v", outer, want)
					}
				case way&dissect.Entered != 0:
					if outer != (dissect.Outer{}) {
						t.Errorf("around it %+v, and there is no IP", outer)
					}
				case outer.Proto != 255:
					t.Errorf("around what was not entered: %+v", outer)
				}
				ipBytes += int(p.IPBytes)
				key := flowKey{Version: p.IPVersion, Src: p.Src, Dst: p.Dst, Proto: p.Proto, SrcPort: p.SrcPort, DstPort: p.DstPort}
				if p.Proto == netflow.ProtoICMP || p.Proto == netflow.ProtoICMPv6 {
					key.DstPort = 0
				}
				flows[key] = true
			})
			want := c.Expected.Flows.Inner
			if n, ok := differs[c.Name]; ok {
				want = n
			}
			if len(flows) != want {
				t.Errorf("%d flows, want %d", len(flows), want)
			}
			if c.Name == "tcpreplay-test-test.pcap" && ipBytes != 64677 {
				t.Errorf("%d bytes, tshark has 64677", ipBytes)
			}
		})
	}
}

// TestEnterTruncated cuts every packet of the corpora at every length. A shorter capture never shows another packet than
// one of those in each other that the longer one shows.
func TestEnterTruncated(t *testing.T) {
	for _, c := range dissecttest.Captures(t) {
		frames := 0
		c.Each(t, func(f pcapfile.Frame) {
			if frames++; testing.Short() && frames > 200 && frames%97 != 0 { // the large captures repeat themselves
				return
			}
			link := dissect.LinkType(f.LinkType)
			levels := dissect.Levels(dissect.AllTunnels, link, f.Data, f.WireLen)
			for n := range f.Data {
				var cut dissect.Packet
				v := dissect.Dissect(link, f.Data[:n:n], f.WireLen, &cut)
				if v, _ = dissect.AllTunnels.Enter(f.Data[:n:n], f.WireLen, v, &cut, nil); v != dissect.OK {
					continue
				}
				if !among(levels, &cut) {
					t.Fatalf("%s frame %d cut to %d bytes:\ngot  %+v\nnone of %+v", c.Name, frames, n, cut, levels)
				}
			}
		})
	}
}

// among reports whether a packet is one of a list, but for what may be cut off.
func among(list []dissect.Packet, p *dissect.Packet) bool {
	for i := range list {
		q := &list[i]
		if p.Src == q.Src && p.Dst == q.Dst && p.IPBytes == q.IPBytes && p.IPVersion == q.IPVersion && p.TTL == q.TTL && p.TunnelID == q.TunnelID &&
			p.VLAN == q.VLAN && p.MPLSLabel == q.MPLSLabel && p.Fragment <= q.Fragment && (p.DstPort == 0 || p.DstPort == q.DstPort) {
			return true
		}
	}
	return false
}

// compareTunnels reads a frame with gopacket's layers: the IP headers in each other are the same as far as both follow.
// It reports how many inner headers were compared.
func compareTunnels(t *testing.T, frame []byte) int {
	levels := dissect.Levels(dissect.AllTunnels, dissect.LinkEthernet, frame, len(frame))
	if len(levels) < 2 {
		return 0
	}
	for _, p := range levels {
		if p.Proto == netflow.ProtoUDP && (p.SrcPort == 2152 || p.DstPort == 2152) {
			return 0 // its GTP layer takes extension headers for there when they are not, and prints
		}
	}
	var ips []dissect.Packet
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy) // panics become errors
read:
	for _, layer := range packet.Layers() {
		switch l := layer.(type) {
		case *layers.IPv4:
			if len(l.SrcIP) != 4 || len(l.DstIP) != 4 { // cut
				break read
			}
			ips = append(ips, dissect.Packet{IPVersion: 4, Src: netflow.AddrFrom4([4]byte(l.SrcIP)), Dst: netflow.AddrFrom4([4]byte(l.DstIP)), IPBytes: uint32(l.Length), TTL: l.TTL})
		case *layers.IPv6:
			if len(l.SrcIP) != 16 || len(l.DstIP) != 16 {
				break read
			}
			ips = append(ips, dissect.Packet{IPVersion: 6, Src: netflow.Addr(l.SrcIP), Dst: netflow.Addr(l.DstIP), IPBytes: uint32(l.Length) + 40, TTL: l.HopLimit})
		case *layers.GRE:
			if l.AckPresent && l.Version == 0 {
				return 0 // it reads the acknowledgement number of version 1 (RFC 2637)
			}
		case *layers.Geneve:
			if len(l.Contents) != 8+int(l.OptionsLength) {
				return 0 // it reads four of the five bits of an option's length
			}
		}
	}
	n := min(len(ips), len(levels))
	for i := range n {
		got, want := &levels[i], &ips[i]
		if got.IPVersion != want.IPVersion || got.Src != want.Src || got.Dst != want.Dst || got.TTL != want.TTL ||
			got.IPBytes != want.IPBytes && want.IPBytes != 0 && want.IPBytes != 40 && want.IPBytes > got.Captured { // it fills in a length of 0
			t.Errorf("header %d\ngot    %+v\nlayers %+v", i, *got, *want)
		}
	}
	return max(n-1, 0)
}

// TestEnterLayers has gopacket read the tunnels of the tests and of the corpora.
func TestEnterLayers(t *testing.T) {
	compared := 0
	for _, c := range tunnels {
		payload := unhex(c.payload)
		if c.proto == 17 {
			payload = udp(c.port, payload)
		}
		compared += compareTunnels(t, append(unhex(ethHead+"0800"), ip4(c.proto, payload)...))
		compared += compareTunnels(t, append(unhex(ethHead+"86dd"), ip6(c.proto, payload)...))
	}
	if compared < 20 {
		t.Errorf("%d headers compared", compared)
	}
	compared = 0
	for _, c := range dissecttest.Captures(t) {
		c.Each(t, func(f pcapfile.Frame) {
			if dissect.LinkType(f.LinkType) == dissect.LinkEthernet {
				compared += compareTunnels(t, f.Data)
			}
		})
	}
	t.Logf("%d headers compared", compared)
	if compared < 100 {
		t.Errorf("%d headers compared", compared)
	}
}

// FuzzEnter wants of any frame: gopacket finds the same packets in each other, and a shorter capture none but those.
func FuzzEnter(f *testing.F) {
	for _, c := range tunnels {
		payload := unhex(c.payload)
		if c.proto == 17 {
			payload = udp(c.port, payload)
		}
		f.Add(append(unhex(ethHead+"0800"), ip4(c.proto, payload)...), uint16(60))
		f.Add(append(unhex(ethHead+"86dd"), ip6(c.proto, ip4(4, payload))...), uint16(60))
		f.Add(append(unhex("020000000001 020000000002 8847 00065140 00000000 020000000003 020000000004 0800"), ip4(c.proto, payload)...), uint16(80))
	}
	f.Fuzz(func(t *testing.T, frame []byte, cut uint16) {
		compareTunnels(t, frame)
		var p dissect.Packet
		levels := dissect.Levels(dissect.AllTunnels, dissect.LinkEthernet, frame, len(frame))
		v := dissect.Dissect(dissect.LinkEthernet, frame, len(frame), &p)
		v, way := dissect.AllTunnels.Enter(frame, len(frame), v, &p, nil)
		if (v == dissect.OK) != (len(levels) > 0) || v == dissect.OK && p != levels[len(levels)-1] || way&dissect.Entered == 0 && len(levels) > 1 {
			t.Errorf("%v, way %v\ngot %+v\nof  %+v", v, way, p, levels)
		}
		if int(p.Captured) > len(frame) {
			t.Errorf("%d bytes of %d captured", p.Captured, len(frame))
		}
		if n := int(cut); n < len(frame) && len(levels) > 0 {
			var part dissect.Packet
			v := dissect.Dissect(dissect.LinkEthernet, frame[:n:n], len(frame), &part)
			behindLabels := v != dissect.OK // Ethernet behind MPLS labels is a guess, and may be another when cut
			if v, _ = dissect.AllTunnels.Enter(frame[:n:n], len(frame), v, &part, nil); v == dissect.OK && !behindLabels && !among(levels, &part) {
				t.Errorf("cut to %d bytes: %+v\nnone of %+v", n, part, levels)
			}
		}
	})
}

func TestParseTunnels(t *testing.T) {
	for text, want := range map[string]string{"": "", "all": "all", "gre, vxlan": "gre,vxlan", "vxlan,gre,gre": "gre,vxlan", "mpls,all": "all",
		strings.Join(dissect.TunnelNames, ","): "all"} {
		got, err := dissect.ParseTunnels(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"gre,", "wireguard", ",", "GRE"} {
		if got, err := dissect.ParseTunnels(text); err == nil || !strings.Contains(err.Error(), "6in4") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestEnterNoAllocation(t *testing.T) {
	list := frames(t, 20)
	var p dissect.Packet
	var outer dissect.Outer
	allocs := testing.AllocsPerRun(3, func() {
		for i := range list {
			v := dissect.Dissect(dissect.LinkType(list[i].LinkType), list[i].Data, list[i].WireLen, &p)
			dissect.AllTunnels.Enter(list[i].Data, list[i].WireLen, v, &p, &outer)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for %d frames, want 0", allocs, len(list))
	}
}
