package filter

import (
	"fmt"
)

// Bounds of what Parse takes.
const (
	MaxText  = 64 << 10 // bytes of an expression
	maxDepth = 100      // parentheses, brackets and negations in one another
)

// expr is an expression: a primitive, or some put together.
type expr any

type (
	andExpr struct{ l, r expr }
	orExpr  struct{ l, r expr }
	notExpr struct{ x expr }
)

// parser walks through the tokens.
type parser struct {
	text   string
	tokens []token
	i      int
	closes []int // for a token "(" the index of its ")"; else 0
	depth  int
}

// parse reads a whole expression; nil: it is empty.
func parse(text string) (expr, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("filter: %d bytes of expression, of which %d are taken", len(text), MaxText)
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: tokens, closes: make([]int, len(tokens))}
	var open []int
	for i := range tokens {
		switch {
		case tokens[i].is("("):
			open = append(open, i)
		case tokens[i].is(")") && len(open) > 0:
			p.closes[open[len(open)-1]] = i
			open = open[:len(open)-1]
		}
	}
	if tokens[0].kind == end {
		return nil, nil
	}
	x, _, err := p.expression(nil, false)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		if t.is(")") {
			return nil, p.errorf(t, "this parenthesis was not opened")
		}
		return nil, p.errorf(t, "%s does not fit here: and, or or the end is expected", describe(t))
	}
	return x, nil
}

func (p *parser) peek() *token { return &p.tokens[p.i] }

func (p *parser) ahead(n int) *token { return &p.tokens[min(p.i+n, len(p.tokens)-1)] }

// next returns the next token and goes on; the end stays.
func (p *parser) next() *token {
	t := p.peek()
	if t.kind != end {
		p.i++
	}
	return t
}

// take goes on when the next token is one of these.
func (p *parser) take(texts ...string) bool {
	if p.peek().is(texts...) {
		p.i++
		return true
	}
	return false
}

func (p *parser) errorf(t *token, format string, args ...any) error {
	return &Error{p.text, t.at, fmt.Sprintf(format, args...)}
}

// deeper counts what is nested.
func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return p.errorf(p.peek(), "nested deeper than %d", maxDepth)
	}
	return nil
}

func describe(t *token) string {
	switch t.kind {
	case end:
		return "the end"
	case escaped:
		return `"\` + t.text + `"`
	}
	if len(t.text) > 40 {
		return fmt.Sprintf("%q...", t.text[:40])
	}
	return fmt.Sprintf("%q", t.text)
}

// expression reads terms joined by and, or, which bind alike and group from the left. q holds the qualifiers that a bare
// value gets: those of the value before it. With values there are only such (host (a or b)). It returns the last ones.
func (p *parser) expression(q *qualifiers, values bool) (expr, *qualifiers, error) {
	x, q, err := p.term(q, values)
	for err == nil {
		var r expr
		switch {
		case p.take("and", "&&"):
			r, q, err = p.term(q, values)
			x = andExpr{x, r}
		case p.take("or", "||"):
			r, q, err = p.term(q, values)
			x = orExpr{x, r}
		default:
			return x, q, nil
		}
	}
	return nil, nil, err
}

// term reads a test, perhaps negated or in parentheses.
func (p *parser) term(q *qualifiers, values bool) (expr, *qualifiers, error) {
	if err := p.deeper(); err != nil {
		return nil, nil, err
	}
	defer func() { p.depth-- }()
	t := p.peek()
	switch {
	case t.is("not", "!"):
		p.next()
		x, q, err := p.term(q, values)
		return notExpr{x}, q, err
	case p.arithmeticAhead() && !values:
		x, err := p.relation()
		return x, nil, err
	case t.is("("):
		p.next()
		x, q, err := p.expression(q, values)
		if err != nil {
			return nil, nil, err
		}
		if !p.take(")") {
			return nil, nil, p.errorf(p.peek(), "%s does not fit here: and, or or ) is expected", describe(p.peek()))
		}
		return x, q, nil
	case q != nil && (values || p.valueAhead()):
		x, err := p.value(q)
		return x, q, err
	case t.kind == word:
		return p.primitive()
	case t.kind == end:
		return nil, nil, p.errorf(t, "the expression ends where a test is expected")
	}
	return nil, nil, p.errorf(t, "%s does not fit here: a test is expected, such as host, net, port or tcp", describe(t))
}

// valueAhead reports whether a bare value comes: an address, a number or a name.
func (p *parser) valueAhead() bool {
	switch t := p.peek(); t.kind {
	case number, addr4, addr6, mac, escaped:
		return true
	case word:
		return !keyword(t.text)
	}
	return false
}

// primitive reads a test that begins with a word.
func (p *parser) primitive() (expr, *qualifiers, error) {
	t := p.peek()
	switch t.text {
	case "less", "greater":
		p.next()
		n, err := p.number("a length")
		return lengthTest{t.text == "greater", n}, nil, err
	case "inbound", "outbound":
		p.next()
		return passageTest{t.at, t.text == "outbound"}, nil, nil
	case "broadcast", "multicast":
		p.next()
		return castTest{t.at, "ether", t.text}, nil, nil
	case "vlan", "mpls", "pppoes":
		return p.header()
	}
	q, complete, err := p.qualifiers()
	if err != nil {
		return nil, nil, err
	}
	if complete != nil {
		return complete, nil, nil
	}
	if p.peek().is("(") {
		x, _, err := p.term(q, true)
		return x, q, err
	}
	x, err := p.value(q)
	return x, q, err
}

// number reads a number, which may be in parentheses.
func (p *parser) number(what string) (uint32, error) {
	n := 0
	for p.take("(") {
		n++
	}
	t := p.next()
	if t.kind != number {
		return 0, p.errorf(t, "%s does not fit here: %s is expected", describe(t), what)
	}
	for ; n > 0; n-- {
		if !p.take(")") {
			return 0, p.errorf(p.peek(), "%s does not fit here: ) is expected", describe(p.peek()))
		}
	}
	return t.num, nil
}

// header reads vlan, mpls or pppoes with its number, which may be missing.
func (p *parser) header() (expr, *qualifiers, error) {
	t := p.next()
	h := headerTest{at: t.at, name: t.text, any: true}
	if p.peek().kind != number && !(p.peek().is("(") && p.ahead(1).kind == number) {
		return h, nil, nil
	}
	value := p.peek()
	h.any = false
	var err error
	if h.value, err = p.number("a number"); err != nil {
		return nil, nil, err
	}
	highest := map[string]uint32{"vlan": 4095, "mpls": 1<<20 - 1, "pppoes": 65535}[t.text]
	if h.value > highest {
		return nil, nil, p.errorf(value, "%s %d: the highest is %d", t.text, h.value, highest)
	}
	return h, nil, nil
}
