package filter

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// protocol is a protocol whose name is a word of the language.
type protocol struct {
	ether  uint32 // Ethernet type
	number uint32 // of IP
	v4, v6 bool   // over which IP
	opaque bool   // has no [offset]
}

var protocols = map[string]protocol{
	"ether": {}, "link": {},
	"ip": {ether: etherIPv4}, "ip6": {ether: etherIPv6}, "arp": {ether: etherARP}, "rarp": {ether: etherRARP},
	"tcp": {number: 6, v4: true, v6: true}, "udp": {number: 17, v4: true, v6: true}, "sctp": {number: 132, v4: true, v6: true},
	"icmp": {number: 1, v4: true}, "icmp6": {number: 58, v6: true}, "igmp": {number: 2, v4: true}, "igrp": {number: 9, v4: true},
	"pim": {number: 103, v4: true, v6: true}, "vrrp": {number: 112, v4: true}, "carp": {number: 112, v4: true},
	"ah": {number: 51, v4: true, v6: true, opaque: true}, "esp": {number: 50, v4: true, v6: true, opaque: true},
}

// unsupported are the words of pcap-filter that are not taken, so that it can be said.
var unsupported = strings.Fields(`gateway protochain byte ifindex pppoed geneve vxlan fddi tr wlan ppp slip atalk aarp decnet lat sca moprc mopdl
	iso clnp esis isis es-is is-is clns stp ipx netbeui radio lane metac bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect
	fisu lsssu lssu msu hfisu hlssu hmsu sio opc dpc sls type subtype dir direction ra ta addr1 addr2 addr3 addr4
	on ifname rnr rulenum rset ruleset srnr subrulenum reason action`)

// ipNumbers are the names behind "proto", as in /etc/protocols.
var ipNumbers = map[string]uint32{
	"icmp": 1, "igmp": 2, "ipencap": 4, "ipip": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "pup": 12, "udp": 17, "dccp": 33, "ipv6": 41, "rsvp": 46,
	"gre": 47, "esp": 50, "ah": 51, "icmp6": 58, "ipv6-icmp": 58, "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112, "carp": 112,
	"l2tp": 115, "sctp": 132, "udplite": 136,
}

// etherNumbers are the names behind "ether proto".
var etherNumbers = map[string]uint32{"ip": etherIPv4, "ip6": etherIPv6, "arp": etherARP, "rarp": etherRARP}

// portNumber reads a port by number or by name (/etc/services). A name may be one of only some of the protocols given.
func portNumber(text string, of []uint32) (port uint32, with []uint32, err error) {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		if n > 65535 {
			return 0, nil, fmt.Errorf("port %d: the highest is 65535", n)
		}
		return uint32(n), of, nil
	}
	for _, t := range []struct {
		number uint32
		name   string
	}{{6, "tcp"}, {17, "udp"}} {
		if !slices.Contains(of, t.number) {
			continue
		}
		n, err := net.LookupPort(t.name, text)
		switch {
		case err != nil:
		case with == nil:
			port, with = uint32(n), []uint32{t.number}
		case uint32(n) == port:
			with = of // the name is known for both: it means the number
		}
	}
	if with == nil {
		return 0, nil, fmt.Errorf("no port is known by the name %s", text)
	}
	return port, with, nil
}
