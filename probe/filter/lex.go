package filter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

type kind uint8

const (
	end     kind = iota
	word         // a keyword or a name
	escaped      // a name behind a backslash, which is never a keyword
	number       // also the named constants
	addr4        // two to four numbers with dots
	addr6
	mac
	symbol
)

// token is a word of an expression.
type token struct {
	kind kind
	text string
	at   int // byte offset
	num  uint32
	bits int // addr4: 16, 24 or 32 bits were given, num holds them at the low end
	ip6  [16]byte
	mac  [6]byte
}

// is reports whether t is one of these keywords or symbols.
func (t *token) is(texts ...string) bool {
	if t.kind != word && t.kind != symbol {
		return false
	}
	for _, text := range texts {
		if t.text == text {
			return true
		}
	}
	return false
}

// constants are the numbers that have names: offsets and values for tcp[], icmp[] and icmp6[].
var constants = map[string]uint32{
	"icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1, "tcpflags": 13,
	"tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8, "icmp-routeradvert": 9,
	"icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14,
	"icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
	"icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4,
	"icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130, "icmp6-multicastlistenerreportv1": 131,
	"icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133, "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135,
	"icmp6-neighboradvert": 136, "icmp6-redirect": 137, "icmp6-routerrenum": 138, "icmp6-nodeinformationquery": 139,
	"icmp6-nodeinformationresponse": 140, "icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142,
	"icmp6-multicastlistenerreportv2": 143, "icmp6-homeagentdiscoveryrequest": 144, "icmp6-homeagentdiscoveryreply": 145,
	"icmp6-mobileprefixsolicit": 146, "icmp6-mobileprefixadvert": 147, "icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149,
	"icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152, "icmp6-multicastroutertermination": 153,
}

// symbols, the longer before those that they begin with.
var symbols = []string{"&&", "||", "!=", "==", "<=", ">=", "<<", ">>", "!", "=", "<", ">", "&", "|", "^", "+", "-", "*", "/", "%", "(", ")", "[", "]", ":"}

// lex cuts an expression into tokens; the last one is of kind end.
func lex(text string) ([]token, error) {
	var tokens []token
	brackets := 0
	for at := 0; ; {
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		if at == len(text) {
			return append(tokens, token{kind: end, at: at}), nil
		}
		t := token{at: at}
		var err error
		switch c := text[at]; {
		case c == '\\':
			n := run(text[at+1:], "-_.")
			if n == 0 {
				return nil, &Error{text, at, "a backslash wants a name behind it"}
			}
			t.kind, t.text = escaped, text[at+1:at+1+n]
			at += 1 + n
			tokens = append(tokens, t)
			continue
		case alphanumeric(c) || c == ':' && brackets == 0:
			t.text = text[at : at+reach(text[at:], brackets > 0)]
			err = t.classify(text)
		default:
			t.kind = symbol
			for _, s := range symbols {
				if strings.HasPrefix(text[at:], s) {
					t.text = s
					break
				}
			}
		}
		if err != nil {
			return nil, err
		}
		switch t.text {
		case "":
			return nil, &Error{text, at, fmt.Sprintf("%q has no meaning here", []rune(text[at:])[0])}
		case "[":
			brackets++
		case "]":
			brackets--
		}
		at += len(t.text)
		tokens = append(tokens, t)
	}
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// run counts the letters, digits and characters of extra that s begins with.
func run(s, extra string) int {
	n := 0
	for n < len(s) && (alphanumeric(s[n]) || strings.IndexByte(extra, s[n]) >= 0) {
		n++
	}
	return n
}

// reach returns how long the word is that s begins with. Within brackets a colon stands before a size, and a minus
// behind a number is one.
func reach(s string, bracketed bool) int {
	extra := "-_.:"
	if bracketed {
		if s[0] >= '0' && s[0] <= '9' {
			return run(s, "")
		}
		extra = "-_."
	}
	n := run(s, extra)
	for n > 1 && (s[n-1] == '-' || s[n-1] == '_') {
		n--
	}
	return n
}

// classify finds out what a word is.
func (t *token) classify(text string) error {
	s := t.text
	if n, is := constants[s]; is {
		t.kind, t.num = number, n
		return nil
	}
	if t.parseMAC() {
		t.kind = mac
		return nil
	}
	if strings.Contains(s, ":") {
		if s == ":" {
			t.kind = symbol
			return nil
		}
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is6() {
			return &Error{text, t.at, fmt.Sprintf("%s is no address, neither of IPv6 nor of Ethernet", s)}
		}
		t.kind, t.ip6 = addr6, a.As16()
		return nil
	}
	if s[0] < '0' || s[0] > '9' {
		t.kind = word
		return nil
	}
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") || strings.Trim(s, "0123456789") == "" {
		n, err := strconv.ParseUint(strings.ReplaceAll(s, "_", "?"), 0, 32)
		if err != nil {
			return &Error{text, t.at, fmt.Sprintf("%s is no number of 32 bits", s)}
		}
		t.kind, t.num = number, uint32(n)
		return nil
	}
	if strings.Trim(s, "0123456789.") == "" {
		for part := range strings.SplitSeq(s, ".") {
			n, err := strconv.ParseUint(part, 10, 8)
			if err != nil || t.bits == 32 {
				return &Error{text, t.at, fmt.Sprintf("%s is no IPv4 address", s)}
			}
			t.num = t.num<<8 | uint32(n)
			t.bits += 8
		}
		t.kind = addr4
		return nil
	}
	t.kind = word // such as 80-90
	return nil
}

// parseMAC reads an Ethernet address: six groups, with colons, dashes or dots, or three groups of four digits with dots, or
// twelve digits.
func (t *token) parseMAC() bool {
	s := t.text
	groups := 6
	var parts []string
	switch {
	case strings.Count(s, ":") == 5:
		parts = strings.Split(s, ":")
	case strings.Count(s, "-") == 5:
		parts = strings.Split(s, "-")
	case strings.Count(s, ".") == 5:
		parts = strings.Split(s, ".")
	case strings.Count(s, ".") == 2 && len(s) == 14:
		parts, groups = strings.Split(s, "."), 3
	case len(s) == 12:
		parts, groups = []string{s}, 1
	default:
		return false
	}
	var sum uint64
	for _, p := range parts {
		if len(p) == 0 || len(p) > 12/groups || groups < 6 && len(p) != 12/groups {
			return false
		}
		n, err := strconv.ParseUint(p, 16, 64)
		if err != nil {
			return false
		}
		sum = sum<<(48/groups) | n
	}
	for i := range t.mac {
		t.mac[i] = byte(sum >> (40 - 8*i))
	}
	return true
}
