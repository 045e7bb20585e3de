package dissect_test

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

// FuzzDissect wants of any frame: a shorter capture never says something else than a longer one; behind Ethernet
// gopacket's layers read the same fields; and an IP packet is the same behind every link header.
func FuzzDissect(f *testing.F) {
	for _, ip := range samples {
		for _, w := range wrappings {
			f.Add(uint16(w.link), wrap(w.header, unhex(ip)), uint16(20))
		}
	}
	f.Fuzz(func(t *testing.T, link uint16, frame []byte, cut uint16) {
		var whole, part dissect.Packet
		l := dissect.LinkType(link)
		verdict := dissect.Dissect(l, frame, len(frame), &whole)
		if (verdict == dissect.Unsupported) == supported(l) {
			t.Errorf("link type %d: %v", link, verdict)
		}
		if n := int(cut); n < len(frame) && dissect.Dissect(l, frame[:n:n], len(frame), &part) == dissect.OK {
			if verdict != dissect.OK || part.Src != whole.Src || part.Dst != whole.Dst || part.IPBytes != whole.IPBytes ||
				part.TOS != whole.TOS || part.VLAN != whole.VLAN || part.SrcMAC != whole.SrcMAC ||
				part.SrcPort != 0 && part.SrcPort != whole.SrcPort || part.TCPFlags != 0 && part.TCPFlags != whole.TCPFlags {
				t.Errorf("cut to %d bytes: %+v\nwhole: %v %+v", n, part, verdict, whole)
			}
		}
		if verdict == dissect.OK && l == dissect.LinkRaw {
			checkWrappings(t, "packet", frame, int(cut))
		}
		if l == dissect.LinkEthernet {
			compareLayers(t, frame, verdict, &whole)
		}
	})
}

// compareLayers reads a frame with gopacket's layers for Ethernet, 802.1Q, IPv4, IPv6, TCP and UDP, and no others: some
// of them panic.
func compareLayers(t *testing.T, frame []byte, verdict dissect.Verdict, p *dissect.Packet) {
	none := gopacket.NilDecodeFeedback
	var eth layers.Ethernet
	if eth.DecodeFromBytes(frame, none) != nil {
		return
	}
	next, payload := eth.EthernetType, eth.Payload
	var vlans [dissect.MaxTags]uint16
	for tags := 0; next == layers.EthernetTypeDot1Q || next == layers.EthernetTypeQinQ; tags++ {
		var tag layers.Dot1Q
		if tag.DecodeFromBytes(payload, none) != nil || tags == dissect.MaxTags {
			if verdict != dissect.NonIP {
				t.Errorf("tags: %v", verdict)
			}
			return
		}
		vlans[tags] = tag.VLANIdentifier
		next, payload = tag.Type, tag.Payload
	}
	var want dissect.Packet
	switch next {
	case layers.EthernetTypeIPv4:
		var ip layers.IPv4
		if err := ip.DecodeFromBytes(payload, none); err != nil || ip.Version != 4 {
			return
		}
		want = dissect.Packet{IPVersion: 4, Src: netflow.AddrFrom4([4]byte(ip.SrcIP)), Dst: netflow.AddrFrom4([4]byte(ip.DstIP)),
			IPBytes: uint32(ip.Length), TOS: ip.TOS, TTL: ip.TTL, Proto: uint8(ip.Protocol), IPHeader: uint32(ip.IHL) * 4}
		if ip.Length == 0 || len(payload) > 0xffff {
			want.IPBytes = p.IPBytes
		}
		switch {
		case ip.FragOffset != 0:
			want.Fragment = dissect.Later
		case ip.Flags&layers.IPv4MoreFragments != 0:
			want.Fragment = dissect.First
		}
		if ip.Flags&layers.IPv4MoreFragments != 0 {
			want.FragmentFlags |= dissect.MoreFragments
		}
		if ip.Flags&layers.IPv4DontFragment != 0 {
			want.FragmentFlags |= dissect.DontFragment
		}
		if want.Fragment != dissect.Whole {
			want.FragmentID = uint32(ip.Id)
		}
		want.Captured = uint32(len(payload))
		payload = ip.Payload
	case layers.EthernetTypeIPv6:
		var ip layers.IPv6
		if err := ip.DecodeFromBytes(payload, none); err != nil || ip.Version != 6 {
			return
		}
		switch ip.NextHeader {
		case 0, 43, 44, 51, 60: // gopacket's fast layers end here
			return
		}
		want = dissect.Packet{IPVersion: 6, Src: netflow.Addr(ip.SrcIP), Dst: netflow.Addr(ip.DstIP), IPBytes: uint32(ip.Length) + 40,
			TOS: ip.TrafficClass, TTL: ip.HopLimit, Proto: uint8(ip.NextHeader), Captured: uint32(len(payload)), IPHeader: 40}
		payload = ip.Payload
	default:
		return
	}
	want.VLAN, want.CustomerVLAN = vlans[0], vlans[1]
	want.SrcMAC, want.DstMAC = netflow.MAC(eth.SrcMAC), netflow.MAC(eth.DstMAC)
	want.ICMPType, want.ICMPCode = p.ICMPType, p.ICMPCode
	want.SrcPort, want.DstPort, want.TCPFlags = p.SrcPort, p.DstPort, p.TCPFlags
	want.TCPSeq, want.TCPAck, want.TCPPayload = p.TCPSeq, p.TCPAck, p.TCPPayload
	if want.Fragment != dissect.Later {
		switch want.Proto {
		case netflow.ProtoTCP:
			var tcp layers.TCP
			if tcp.DecodeFromBytes(payload, none) == nil {
				want.SrcPort, want.DstPort = uint16(tcp.SrcPort), uint16(tcp.DstPort)
				want.TCPFlags = uint16(payload[12]&1)<<8 | uint16(payload[13])
				want.TCPSeq, want.TCPAck = tcp.Seq, tcp.Ack
				if length := int(p.IPBytes) - int(want.IPHeader) - int(tcp.DataOffset)*4; len(payload) < int(p.IPBytes-want.IPHeader) {
					want.TCPPayload = uint32(max(length, 0)) // the capture cut it: gopacket knows less
				} else {
					want.TCPPayload = uint32(len(tcp.Payload))
				}
				for flag, set := range map[uint16]bool{netflow.TCPFin: tcp.FIN, netflow.TCPSyn: tcp.SYN, netflow.TCPRst: tcp.RST, netflow.TCPPsh: tcp.PSH,
					netflow.TCPAck: tcp.ACK, netflow.TCPUrg: tcp.URG, netflow.TCPEce: tcp.ECE, netflow.TCPCwr: tcp.CWR, netflow.TCPNs: tcp.NS} {
					if (p.TCPFlags&flag != 0) != set {
						t.Errorf("flag %#x of %#x", flag, p.TCPFlags)
					}
				}
			}
		case netflow.ProtoUDP:
			var udp layers.UDP
			if udp.DecodeFromBytes(payload, none) == nil {
				want.SrcPort, want.DstPort = uint16(udp.SrcPort), uint16(udp.DstPort)
			}
		}
	}
	if verdict != dissect.OK || *p != want {
		t.Errorf("%v\ngot    %+v\nlayers %+v", verdict, *p, want)
	}
}
