package query

import (
	"maps"
	"slices"
	"time"
)

// maxDepth bounds how deep parentheses and nots may nest.
const maxDepth = 250

// parser turns tokens into a tree by recursive descent. Its methods return the first error they meet.
type parser struct {
	text   string
	tokens []token
	i      int // of the token looked at
	depth  int
	loc    *time.Location
}

// parse reads a whole filter. An empty one is any.
func parse(text string, loc *time.Location) (expr, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: tokens, loc: loc}
	if p.peek().kind == tokenEnd {
		return anyExpr{}, nil
	}
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.trailing(t)
	}
	return x, nil
}

func (p *parser) peek() token { return p.tokens[p.i] }

func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != tokenEnd {
		p.i++
	}
	return t
}

// word takes the next token if it is one of the words.
func (p *parser) word(words ...string) bool {
	if t := p.peek(); t.kind == tokenWord && slices.Contains(words, t.lower) {
		p.i++
		return true
	}
	return false
}

// symbol takes the next token if it is the symbol.
func (p *parser) symbol(s string) bool {
	if p.peek().is(s) {
		p.i++
		return true
	}
	return false
}

func (p *parser) fail(t token, hint string, expected ...string) *SyntaxError {
	return &SyntaxError{Text: p.text, Offset: t.pos, Found: t.text, Expected: expected, Hint: hint}
}

// trailing is the error for what follows a complete test.
func (p *parser) trailing(t token) *SyntaxError {
	hint := ""
	switch {
	case t.kind == tokenWord && startsTest(t.lower):
		hint = "two tests need one of them between"
	case t.kind == tokenOp:
		hint = "this test takes no comparison here"
	case t.kind == tokenWord:
		if s := suggest(t.lower, []string{"and", "or"}); s != "" {
			hint = didYouMean(s)
		}
	}
	if p.depth > 0 {
		return p.fail(t, hint, `"and"`, `"or"`, `")"`)
	}
	return p.fail(t, hint, `"and"`, `"or"`, "the end")
}

func didYouMean(s string) string { return "did you mean " + quote(s) + "?" }

func (p *parser) or() (expr, *SyntaxError) {
	x, err := p.and()
	if err != nil || p.peek().kind != tokenOr {
		return x, err
	}
	xs := flatten[*orExpr](nil, x)
	for p.peek().kind == tokenOr {
		p.next()
		if x, err = p.and(); err != nil {
			return nil, err
		}
		xs = flatten[*orExpr](xs, x)
	}
	return &orExpr{xs}, nil
}

func (p *parser) and() (expr, *SyntaxError) {
	x, err := p.unary()
	if err != nil || p.peek().kind != tokenAnd {
		return x, err
	}
	xs := flatten[*andExpr](nil, x)
	for p.peek().kind == tokenAnd {
		p.next()
		if x, err = p.unary(); err != nil {
			return nil, err
		}
		xs = flatten[*andExpr](xs, x)
	}
	return &andExpr{xs}, nil
}

// operands is an andExpr or an orExpr.
type operands interface {
	expr
	operands() []expr
}

func (x *andExpr) operands() []expr { return x.xs }
func (x *orExpr) operands() []expr  { return x.xs }

// flatten appends x to xs, or its operands if it is of type T, which is associative.
func flatten[T operands](xs []expr, x expr) []expr {
	if list, ok := x.(T); ok {
		return append(xs, list.operands()...)
	}
	return append(xs, x)
}

func (p *parser) unary() (expr, *SyntaxError) {
	t := p.peek()
	nested := t.kind == tokenNot || t.is("(")
	if nested && p.depth >= maxDepth {
		return nil, p.fail(t, "the filter is nested too deeply")
	}
	switch {
	case t.kind == tokenNot:
		p.next()
		// A chain of nots is depth as well, but it is not open parentheses.
		inner := *p
		inner.depth++
		x, err := inner.unary()
		p.i = inner.i
		if err != nil {
			return nil, err
		}
		return &notExpr{x}, nil
	case t.is("("):
		p.next()
		p.depth++
		x, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.symbol(")") {
			return nil, p.trailing(p.peek())
		}
		p.depth--
		return x, nil
	case t.kind == tokenWord:
		return p.test()
	case t.kind == tokenEnd:
		return nil, p.fail(t, "", "a test such as port 80")
	}
	return nil, p.fail(t, "", "a test such as port 80", `"not"`, `"("`)
}

// keywords are the words that a test may begin with, besides the names of fields and protocols.
var keywords = []string{
	"any", "ipv4", "ipv6", "inet", "inet6", "src", "dst", "in", "out", "icmp", "first", "last", "observation", "exporter",
	"router", "next", "tun",
}

// startsTest reports whether a test begins with the word.
func startsTest(lower string) bool {
	_, isColumn := columnWords[lower]
	_, isProto := protocolNumbers[lower]
	return fieldWords[lower] != nil || isColumn || isProto || slices.Contains(keywords, lower)
}

// testWords lists all words that a test may begin with, for suggestions.
var testWords = func() []string {
	words := slices.Concat(keywords, slices.Collect(maps.Keys(fieldWords)), slices.Collect(maps.Keys(columnWords)))
	words = append(words, "tcp", "udp", "icmp6", "sctp", "gre", "esp", "igmp", "ospf")
	slices.Sort(words)
	return words
}()

// test reads one test; a word is next.
func (p *parser) test() (expr, *SyntaxError) {
	t := p.next()
	switch t.lower {
	case "any":
		return anyExpr{}, nil
	case "ipv4", "inet":
		return versionExpr{4}, nil
	case "ipv6", "inet6":
		return versionExpr{6}, nil
	case "src", "dst", "in", "out":
		return p.sided(t)
	case "first", "last":
		if !p.word("seen") {
			return nil, p.fail(p.peek(), "", `"seen"`)
		}
		if t.lower == "first" {
			return p.comparison(fieldFirst, sideEither)
		}
		return p.comparison(fieldLast, sideEither)
	case "observation":
		if p.word("point") {
			return nil, p.fail(p.tokens[p.i-1], "observation points are not stored", `"domain"`)
		}
		if !p.word("domain") {
			return nil, p.fail(p.peek(), "", `"domain"`)
		}
		p.word("id")
		return p.comparison(fieldDomain, sideEither)
	case "domain":
		p.word("id")
		return p.comparison(fieldDomain, sideEither)
	case "exporter", "router":
		if n := p.peek(); p.word("id", "sysid") {
			return nil, p.fail(n, "nfdump's exporter numbers are not stored", "an address")
		}
		return p.otherAddress(fieldExporter)
	case "next":
		if n := p.peek(); p.word("as") {
			return nil, p.fail(n, "the next AS is not stored", `"ip"`)
		}
		p.word("hop")
		return p.otherAddress(fieldNext)
	case "tun":
		return p.tunnel(sideEither)
	case "next_hop":
		return p.otherAddress(fieldNext)
	case "icmp":
		if p.word("type") {
			return p.comparison(fieldICMPType, sideEither)
		}
		if p.word("code") {
			return p.comparison(fieldICMPCode, sideEither)
		}
	}
	if f := fieldWords[t.lower]; f != nil {
		return p.fieldTest(f, t.lower, sideEither)
	}
	if c, ok := columnWords[t.lower]; ok {
		return p.fieldTest(c.field, t.lower, c.side)
	}
	if n, ok := protocolNumbers[t.lower]; ok {
		return &test{field: fieldProto, nums: []span{{n, n}}}, nil
	}
	return nil, p.unknown(t)
}

// unknown is the error for a word that begins no test.
func (p *parser) unknown(t token) *SyntaxError {
	hint := ""
	switch _, isAddr := parsePrefix(t.text); {
	case notStored[t.lower]:
		hint = "nfdump knows " + quote(t.lower) + ", but flows here do not have it"
	case isAddr && prefixIsSingle(t.text):
		hint = didYouMean("ip " + t.text)
	case isAddr:
		hint = didYouMean("net " + t.text)
	default:
		if s := suggest(t.lower, testWords); s != "" {
			hint = didYouMean(s)
		}
	}
	return p.fail(t, hint, "a test such as ip, net, port, proto, bytes or flags")
}

// sided reads a test that begins with src, dst, in or out, which is t.
func (p *parser) sided(t token) (expr, *SyntaxError) {
	words := [2]string{"src", "dst"}
	if t.lower == "in" || t.lower == "out" {
		words = [2]string{"in", "out"}
	}
	s := sideFirst
	if t.lower == words[1] {
		s = sideSecond
	}
	// "src or dst port": the other side must follow, else the "or" joins two tests.
	if joint := p.peek(); joint.kind == tokenAnd || joint.kind == tokenOr {
		other := p.tokens[p.i+1]
		if other.lower != words[sideSecond-s] {
			return nil, p.fail(p.peek(), "", fieldsOfSide(words)...)
		}
		p.i += 2
		if s = sideOr; joint.kind == tokenAnd {
			s = sideAnd
		}
	} else if words[0] == "in" && (joint.lower == "src" || joint.lower == "dst") {
		// nfdump's in src mac and in dst mac are the MAC addresses that are stored.
		p.next()
		if n := p.peek(); s == sideFirst && n.lower == "mac" {
			words = [2]string{"src", "dst"}
			if joint.lower == "dst" {
				s = sideSecond
			}
		} else {
			return nil, p.fail(joint, "only in src mac and in dst mac are stored", fieldsOfSide(words)...)
		}
	}
	if words[0] == "src" && p.word("tun") {
		return p.tunnel(s)
	}
	name := p.peek()
	if name.kind != tokenWord {
		return nil, p.fail(name, "", fieldsOfSide(words)...)
	}
	f := fieldWords[name.lower]
	if f == nil && words[0] == "src" {
		if _, ok := parsePrefix(name.text); ok { // src 10.0.0.1
			return p.comparison(fieldIP, s)
		}
	}
	if f == nil {
		hint := ""
		if notStored[name.lower] {
			hint = "nfdump knows " + quote(name.lower) + ", but flows here do not have it"
		} else if c := suggest(name.lower, fieldsOfSide(words)); c != "" {
			hint = didYouMean(c)
		}
		return nil, p.fail(name, hint, fieldsOfSide(words)...)
	}
	switch {
	case words[0] == "src" && f.sides == srcDst, words[0] == "in" && (f.sides == inOut || f.sides == forward):
	case words[0] == "src" && f.sides == onlySrc && s == sideFirst:
		s = sideEither
	case words[0] == "src" && f.sides == onlySrc:
		return nil, p.fail(name, "of "+f.name+" only that of the source is stored", fieldsOfSide(words)...)
	default:
		return nil, p.fail(name, f.name+" has no "+words[0]+" and "+words[1], fieldsOfSide(words)...)
	}
	p.next()
	if f.sides == forward && s == sideFirst {
		s = sideEither // in packets is packets
	}
	return p.fieldTest(f, name.lower, s)
}

// fieldsOfSide lists the words that may follow a side.
func fieldsOfSide(words [2]string) []string {
	if words[0] == "src" {
		return []string{"ip", "net", "port", "as", "mask", "mac", "tun"}
	}
	return []string{"if", "packets", "bytes", "flags"}
}

// tunnel reads the test of the header around a tunnel after its first words.
func (p *parser) tunnel(s side) (expr, *SyntaxError) {
	name := p.peek()
	switch {
	case p.word("ip", "host", "net"):
		return p.fieldTest(fieldTunnelIP, name.lower, s)
	case s == sideEither && p.word("proto"):
		return p.comparison(fieldTunnelProto, sideEither)
	case s == sideEither:
		return nil, p.fail(name, "", "ip", "net", "proto")
	}
	return nil, p.fail(name, "", "ip", "net")
}

// fieldTest reads what follows the name of a field.
func (p *parser) fieldTest(f *field, name string, s side) (expr, *SyntaxError) {
	if name == "net" && p.peek().kind == tokenWord && p.peek().lower != "in" {
		return p.net(f, s)
	}
	return p.comparison(f, s)
}

// otherAddress reads the test of an exporter or a next hop after its first word.
func (p *parser) otherAddress(f *field) (expr, *SyntaxError) {
	if p.word("net") && p.peek().kind == tokenWord && p.peek().lower != "in" {
		return p.net(f, sideEither)
	}
	p.word("ip", "host")
	return p.comparison(f, sideEither)
}
