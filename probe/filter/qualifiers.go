package filter

import (
	"slices"
	"strings"
)

// qualifiers say what a value means.
type qualifiers struct {
	at       int    // of the first
	protocol string // "": any
	dir      direction
	directed bool   // dir was given
	kind     string // host, net, port, portrange, proto; "": host
}

// keyword reports whether a word is one of the language, so that it is not taken for a name.
func keyword(s string) bool {
	if _, is := protocols[s]; is {
		return true
	}
	return slices.Contains(unsupported, s) || slices.Contains(keywords, s)
}

var keywords = strings.Fields(`and or not src dst host net mask port portrange proto less greater broadcast multicast
	inbound outbound vlan mpls pppoes len length`)

// qualifiers reads those in front of a value. A protocol alone is a test, as is one with broadcast or multicast: then
// complete is that.
func (p *parser) qualifiers() (q *qualifiers, complete expr, err error) {
	t := p.peek()
	q = &qualifiers{at: t.at}
	if _, is := protocols[t.text]; is {
		p.next()
		if q.protocol = t.text; t.text == "link" {
			q.protocol = "ether"
		}
		switch next := p.peek(); {
		case next.is("broadcast", "multicast"):
			p.next()
			return nil, castTest{t.at, q.protocol, next.text}, nil
		case next.is("src", "dst", "host", "net", "port", "portrange", "proto"):
		case next.kind == word && slices.Contains(unsupported, next.text):
			return nil, nil, p.errorf(next, "%s is not supported", next.text)
		case q.protocol == "ether":
			return nil, nil, p.errorf(next, "%s does not fit here: host, src, dst, proto, broadcast, multicast or [ is expected", describe(next))
		default:
			return nil, protocolTest{t.at, q.protocol}, nil
		}
	}
	q.direction(p)
	if k := p.peek(); k.is("host", "net", "port", "portrange", "proto") {
		p.next()
		q.kind = k.text
		if k.text == "proto" && q.directed {
			return nil, nil, p.errorf(k, "a protocol number has no direction")
		}
	} else if !q.directed {
		t := p.peek()
		switch {
		case slices.Contains(unsupported, t.text):
			return nil, nil, p.errorf(t, "%s is not supported", t.text)
		case p.i > 0:
			return nil, nil, p.errorf(t, "%s does not fit here: a test is expected, such as host, net, port or tcp", describe(t))
		}
		return nil, nil, p.errorf(t, "%s is no test: one begins with host, net, port, src, dst, a protocol or the like", describe(t))
	}
	if next := p.peek(); next.kind == word && slices.Contains(unsupported, next.text) {
		return nil, nil, p.errorf(next, "%s is not supported", next.text)
	}
	return q, nil, q.check(p)
}

// direction reads src, dst and their combinations.
func (q *qualifiers) direction(p *parser) {
	first := p.peek()
	if !first.is("src", "dst") {
		return
	}
	p.next()
	q.directed = true
	if q.dir = dst; first.is("src") {
		q.dir = src
	}
	if other := p.ahead(1); other.is("src", "dst") && other.text != first.text {
		switch {
		case p.take("or", "||"):
			p.next()
			q.dir = srcOrDst
		case p.take("and", "&&"):
			p.next()
			q.dir = srcAndDst
		}
	}
}

// check finds qualifiers that contradict each other.
func (q *qualifiers) check(p *parser) error {
	fits := false
	switch q.kind {
	case "port", "portrange":
		fits = slices.Contains([]string{"", "tcp", "udp", "sctp"}, q.protocol)
	case "proto":
		fits = slices.Contains([]string{"", "ip", "ip6", "ether"}, q.protocol)
	case "net":
		fits = slices.Contains([]string{"", "ip", "ip6", "arp", "rarp"}, q.protocol)
	default:
		fits = slices.Contains([]string{"", "ip", "ip6", "arp", "rarp", "ether"}, q.protocol)
	}
	if fits {
		return nil
	}
	kind := q.kind
	if kind == "" {
		kind = "host"
	}
	return &Error{p.text, q.at, q.protocol + " has no " + kind}
}
