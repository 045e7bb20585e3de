package capture

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
)

const (
	macLen    = 12 // two addresses
	tagLen    = 4  // 802.1Q
	cookedLen = 16 // header of LINKTYPE_LINUX_SLL
)

// fill makes a frame of a packet of the ring. It is false for a copy that was already seen. The frame's bytes lie in the
// ring; what the kernel keeps beside them is put in front, into the headroom.
func (l *Live) fill(f *Frame, p packet) bool {
	sll := p.address()
	if sll.Pkttype == unix.PACKET_OUTGOING && (l.lo || l.index == 0 && sll.Hatype == unix.ARPHRD_LOOPBACK) {
		return false
	}
	f.Time = netflow.Timestamp(int64(p.Sec)*1e6 + int64(p.Nsec)/1e3)
	f.WireLen = int(p.Len)
	f.Interface = uint32(sll.Ifindex)
	f.Link = l.link

	tagged := p.Status&unix.TP_STATUS_VLAN_VALID != 0
	tpid := uint16(unix.ETH_P_8021Q)
	if p.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = p.Hv1.Vlan_tpid
	}
	switch {
	case l.cooked:
		f.Data = cook(p, sll, tagged, tpid)
		f.WireLen += len(f.Data) - int(p.Snaplen)
	case tagged && l.link == dissect.LinkEthernet && p.Snaplen >= macLen:
		b := p.from(tagLen)
		copy(b, b[tagLen:tagLen+macLen])
		binary.BigEndian.PutUint16(b[macLen:], tpid)
		binary.BigEndian.PutUint16(b[macLen+2:], uint16(p.Hv1.Vlan_tci))
		f.Data = b
		f.WireLen += tagLen
	default:
		f.Data = p.from(0)
	}
	return true
}

// cook puts a header of LINKTYPE_LINUX_SLL in front of a packet without link header, and the VLAN tag behind it that the
// kernel took off.
func cook(p packet, sll *unix.RawSockaddrLinklayer, tagged bool, tpid uint16) []byte {
	before := cookedLen
	protocol := htons(sll.Protocol)
	if tagged {
		before += tagLen
	}
	b := p.from(before)
	if tagged {
		if tagInFront(protocol, b[before:], int(p.Len)) {
			protocol = unix.ETH_P_8021Q
		}
		binary.BigEndian.PutUint16(b[cookedLen:], uint16(p.Hv1.Vlan_tci))
		binary.BigEndian.PutUint16(b[cookedLen+2:], protocol)
		protocol = tpid
	}
	binary.BigEndian.PutUint16(b, uint16(sll.Pkttype))
	binary.BigEndian.PutUint16(b[2:], sll.Hatype)
	binary.BigEndian.PutUint16(b[4:], uint16(sll.Halen))
	copy(b[6:14], sll.Addr[:])
	binary.BigEndian.PutUint16(b[14:], protocol)
	return b
}

// tagInFront reports whether a cooked packet begins with what is left of a second VLAN tag: its TCI and the EtherType. From
// Linux 6.11 on (seen with 6.18) the kernel names the protocol behind all tags, takes off the outermost one, and leaves the
// others in front of the packet without saying so, nor what the first one's TPID was. Older kernels name the tag. An
// EtherType in the right place may be the length of an IPv4 packet or the flow label of an IPv6 one: the length of the packet
// tells.
func tagInFront(protocol uint16, b []byte, length int) bool {
	if protocol == unix.ETH_P_8021Q || protocol == unix.ETH_P_8021AD {
		return false
	}
	for at := 0; at+tagLen <= len(b); at += tagLen {
		switch binary.BigEndian.Uint16(b[at+2:]) {
		case protocol:
			behind := at + tagLen
			if protocol != unix.ETH_P_IP && protocol != unix.ETH_P_IPV6 || ipLength(protocol, b[behind:])+behind == length {
				return true
			}
			return ipLength(protocol, b[behind:]) > 0 && ipLength(protocol, b) != length
		case unix.ETH_P_8021Q, unix.ETH_P_8021AD:
		default:
			return false
		}
	}
	return false
}

// ipLength is the length that an IP packet claims, or 0 if b begins no packet of the protocol's version.
func ipLength(protocol uint16, b []byte) int {
	switch {
	case len(b) < 6:
	case protocol == unix.ETH_P_IP && b[0]>>4 == 4:
		return int(binary.BigEndian.Uint16(b[2:]))
	case protocol == unix.ETH_P_IPV6 && b[0]>>4 == 6:
		return 40 + int(binary.BigEndian.Uint16(b[4:]))
	}
	return 0
}

// linkType tells what the frames of an interface are by its ARPHRD_ value. Where a raw socket would give headers of many
// kinds, or none, the kernel is asked to take them off (cooked).
func linkType(hardware uint16) (link dissect.LinkType, cooked bool) {
	switch hardware {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return dissect.LinkEthernet, false
	case unix.ARPHRD_IEEE80211:
		return dissect.LinkWLAN, false
	case unix.ARPHRD_IEEE80211_RADIOTAP:
		return dissect.LinkRadiotap, false
	}
	return dissect.LinkSLL, true
}

func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)})
}
