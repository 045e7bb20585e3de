package query

import (
	"strconv"
	"strings"

	"github.com/caprock-net/caprock/netflow"
)

// protocols are the names of IANA's protocol numbers that are met in practice, in the spelling that nfdump prints where
// it has one. The first name given is printed; all are read.
var protocols = [256][]string{
	0: {"HOPOPT"}, 1: {"ICMP"}, 2: {"IGMP"}, 3: {"GGP"}, 4: {"IPIP", "IPENCAP"}, 5: {"ST"}, 6: {"TCP"}, 7: {"CBT"},
	8: {"EGP"}, 9: {"IGP"}, 12: {"PUP"}, 16: {"CHAOS"}, 17: {"UDP"}, 20: {"HMP"}, 22: {"XNS-IDP"}, 27: {"RDP"},
	29: {"ISO-TP4"}, 33: {"DCCP"}, 36: {"XTP"}, 37: {"DDP"}, 41: {"IPv6"}, 43: {"IPv6-Route"}, 44: {"IPv6-Frag"},
	45: {"IDRP"}, 46: {"RSVP"}, 47: {"GRE"}, 50: {"ESP"}, 51: {"AH"}, 54: {"NARP"}, 55: {"MOBILE"}, 57: {"SKIP"},
	58: {"ICMP6", "ICMPv6", "IPv6-ICMP"}, 59: {"IPv6-NoNxt"}, 60: {"IPv6-Opts"}, 73: {"RSPF", "CPHB"}, 81: {"VMTP"},
	88: {"EIGRP"}, 89: {"OSPF", "OSPFIGP"}, 93: {"AX.25"}, 94: {"IPIP94"}, 97: {"ETHERIP"}, 98: {"ENCAP"},
	103: {"PIM"}, 108: {"IPCOMP"}, 112: {"VRRP", "CARP"}, 115: {"L2TP"}, 124: {"ISIS"}, 132: {"SCTP"}, 133: {"FC"},
	135: {"Mobility"}, 136: {"UDPLite"}, 137: {"MPLS"}, 138: {"MANET"}, 139: {"HIP"}, 140: {"Shim6"}, 141: {"WESP"},
	142: {"ROHC"}, 143: {"Ethernet"}, 240: {"PFSYNC"},
}

var protocolNumbers = func() map[string]uint64 {
	m := make(map[string]uint64)
	for n, names := range protocols {
		for _, name := range names {
			m[strings.ToLower(name)] = uint64(n)
		}
	}
	return m
}()

// ProtoName returns the name of an IP protocol number as nfdump prints it, TCP or ICMP6, or the number when it has no
// common name.
func ProtoName(n uint8) string {
	if names := protocols[n]; len(names) > 0 {
		return names[0]
	}
	return strconv.Itoa(int(n))
}

// services are the ports that may be named in a filter: IANA's well-known services, whatever the transport.
var services = map[string]uint64{
	"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37, "whois": 43, "tacacs": 49, "domain": 53,
	"dns": 53, "bootps": 67, "bootpc": 68, "dhcp": 67, "tftp": 69, "gopher": 70, "finger": 79, "http": 80, "www": 80,
	"kerberos": 88, "pop3": 110, "sunrpc": 111, "ident": 113, "nntp": 119, "ntp": 123, "msrpc": 135, "netbios-ns": 137,
	"netbios-dgm": 138, "netbios-ssn": 139, "imap": 143, "snmp": 161, "snmptrap": 162, "bgp": 179, "irc": 194,
	"ldap": 389, "https": 443, "microsoft-ds": 445, "smb": 445, "submissions": 465, "isakmp": 500, "rsh": 514,
	"syslog": 514, "printer": 515, "rip": 520, "dhcpv6-client": 546, "dhcpv6-server": 547, "rtsp": 554,
	"submission": 587, "ipp": 631, "ldaps": 636, "domain-s": 853, "rsync": 873, "imaps": 993, "pop3s": 995,
	"socks": 1080, "openvpn": 1194, "ms-sql-s": 1433, "l2tp": 1701, "radius": 1812, "radius-acct": 1813, "nfs": 2049,
	"netflow": 2055, "mysql": 3306, "rdp": 3389, "stun": 3478, "ipsec-nat-t": 4500, "ipfix": 4739, "sip": 5060,
	"sips": 5061, "mdns": 5353, "postgresql": 5432, "vnc": 5900, "sflow": 6343, "redis": 6379, "http-alt": 8080,
	"git": 9418, "wireguard": 51820,
}

var endReasons = map[string]uint64{
	"idle": netflow.EndReasonIdle, "active": netflow.EndReasonActive, "eof": netflow.EndReasonEndOfFlow,
	"forced": netflow.EndReasonForced, "resources": netflow.EndReasonResources,
}

// EndReasonName returns the filter's word for a flowEndReason (RFC 5102 section 5.11.3): idle, active, eof, forced or
// resources; "" for 0, which is not told; else the number.
func EndReasonName(n uint8) string {
	if n == 0 {
		return ""
	}
	return nameOr(endReasons, uint64(n))
}

var directions = map[string]uint64{"ingress": 0, "egress": 1}

// DirectionName returns ingress or egress for a flowDirection, else the number.
func DirectionName(n uint8) string { return nameOr(directions, uint64(n)) }

var exportVersions = map[string]uint64{
	"v1": netflow.VersionV1, "v5": netflow.VersionV5, "v7": netflow.VersionV7, "v9": netflow.VersionV9,
	"ipfix": netflow.VersionIPFIX,
}

// ExportVersionName returns v1, v5, v7, v9 or ipfix; "" for 0, which is a flow that never travelled; else the number.
func ExportVersionName(n uint8) string {
	if n == 0 {
		return ""
	}
	return nameOr(exportVersions, uint64(n))
}

// forwarding are the classes of forwardingStatus, its two upper bits (RFC 7270 section 4.12).
var forwarding = map[string]span{
	"unknown": {0, 63}, "forwarded": {64, 127}, "dropped": {128, 191}, "consumed": {192, 255},
}

func nameOr(names map[string]uint64, n uint64) string {
	for name, v := range names { // each number has one name in the tables this is called with
		if v == n {
			return name
		}
	}
	return strconv.FormatUint(n, 10)
}

// flagLetters are the letters of the TCP flags, the lowest bit first (RFC 7125 section 3).
const flagLetters = "FSRPAUECN"

// xFlags is what the letter X stands for in nfdump: F, S, R, P, A and U.
const xFlags = netflow.TCPFin | netflow.TCPSyn | netflow.TCPRst | netflow.TCPPsh | netflow.TCPAck | netflow.TCPUrg

// ParseTCPFlags reads flag letters in any case and order: FSRPAUEC, N for the nonce sum, X for the first six.
func ParseTCPFlags(letters string) (flags uint16, ok bool) {
	for _, c := range strings.ToUpper(letters) {
		if c == 'X' {
			flags |= xFlags
		} else if i := strings.IndexRune(flagLetters, c); i >= 0 {
			flags |= 1 << i
		} else {
			return 0, false
		}
	}
	return flags, letters != ""
}

// AppendTCPFlags appends the flags as nfdump prints them: the eight letters CEUAPRSF, a dot for each that is clear.
func AppendTCPFlags(dst []byte, flags uint16) []byte {
	for i := 7; i >= 0; i-- {
		if flags>>i&1 != 0 {
			dst = append(dst, flagLetters[i])
		} else {
			dst = append(dst, '.')
		}
	}
	return dst
}
