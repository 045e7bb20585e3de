package filter

// operators are those of arithmetic; a higher rank binds closer. The ranks are pcap-filter's, which are those of C. % and ^
// have none there and swallow what follows: they want parentheses beside other operators.
var operators = map[string]struct {
	rank int
	op   uint16
}{
	"|": {1, opOr}, "&": {2, opAnd}, "<<": {3, opLsh}, ">>": {3, opRsh}, "+": {4, opAdd}, "-": {4, opSub}, "*": {5, opMul}, "/": {5, opDiv},
	"%": {0, opMod}, "^": {0, opXor},
}

var relations = []string{"=", "==", "!=", "<", "<=", ">", ">="}

// arithmeticAhead reports whether a comparison comes, and not another test or value.
func (p *parser) arithmeticAhead() bool {
	t := p.peek()
	follows := func(t *token) bool {
		_, is := operators[t.text]
		return t.kind == symbol && is || t.is(relations...)
	}
	switch t.kind {
	case number:
		// net 10/8: a value, for behind a "/" that belongs to arithmetic comes more of it
		if p.ahead(1).is("/") && p.ahead(2).kind == number && !follows(p.ahead(3)) {
			return false
		}
		return follows(p.ahead(1))
	case word:
		_, protocol := protocols[t.text]
		return t.is("len", "length") || protocol && p.ahead(1).is("[")
	case symbol:
		if t.is("(") && p.closes[p.i] > 0 {
			return follows(&p.tokens[p.closes[p.i]+1])
		}
		return t.is("-")
	}
	return false
}

// relation reads a comparison of two numbers.
func (p *parser) relation() (expr, error) {
	l, err := p.arithmetic(0)
	if err != nil {
		return nil, err
	}
	op := p.next()
	if !op.is(relations...) {
		return nil, p.errorf(op, "%s does not fit here: a comparison is expected, such as = or >", describe(op))
	}
	r, err := p.arithmetic(0)
	if err != nil {
		return nil, err
	}
	return relation{op.at, op.text, l, r}, nil
}

// arithmetic reads operands joined by operators that bind closer than above.
func (p *parser) arithmetic(above int) (arithmetic, error) {
	l, err := p.operand()
	if err != nil {
		return nil, err
	}
	var before *token
	for {
		t := p.peek()
		o, is := operators[t.text]
		if t.kind != symbol || !is || o.rank <= above && above != 0 && o.rank != 0 {
			return l, nil
		}
		if o.rank == 0 && above != 0 || before != nil && (o.rank == 0 || operators[before.text].rank == 0) && !(t.is("^") && before.is("^")) {
			return nil, p.errorf(t, "%s beside another operator wants parentheses", t.text)
		}
		before = t
		p.next()
		var r arithmetic
		if o.rank == 0 {
			r, err = p.operand()
		} else {
			r, err = p.arithmetic(o.rank)
		}
		if err != nil {
			return nil, err
		}
		sum, wrong := operate(operation{t.at, o.op, l, r})
		if wrong != "" {
			return nil, p.errorf(t, "%s", wrong)
		}
		l = sum
	}
}

// operand reads a number, a field, or arithmetic in parentheses.
func (p *parser) operand() (arithmetic, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	t := p.next()
	switch {
	case t.kind == number:
		return constant(t.num), nil
	case t.is("len", "length"):
		return length{}, nil
	case t.is("-"):
		x, err := p.operand()
		if err != nil {
			return nil, err
		}
		negative, _ := operate(operation{t.at, opSub, constant(0), x})
		return negative, nil
	case t.is("("):
		x, err := p.arithmetic(0)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.errorf(p.peek(), "%s does not fit here: an operator or ) is expected", describe(p.peek()))
		}
		return x, nil
	}
	if _, is := protocols[t.text]; t.kind == word && is && p.peek().is("[") {
		return p.field(t)
	}
	return nil, p.errorf(t, "%s does not fit here: a number, len or a field such as ip[9] is expected", describe(t))
}

// field reads protocol[offset] or protocol[offset:size].
func (p *parser) field(t *token) (arithmetic, error) {
	if protocols[t.text].opaque {
		return nil, p.errorf(t, "%s has no fields here", t.text)
	}
	f := field{at: t.at, protocol: t.text, size: sizeB}
	if t.text == "link" {
		f.protocol = "ether"
	}
	p.next()
	var err error
	if f.offset, err = p.arithmetic(0); err != nil {
		return nil, err
	}
	if p.take(":") {
		n := p.next()
		switch {
		case n.kind == number && n.num == 1:
		case n.kind == number && n.num == 2:
			f.size = sizeH
		case n.kind == number && n.num == 4:
			f.size = sizeW
		default:
			return nil, p.errorf(n, "%s does not fit here: a size of 1, 2 or 4 is expected", describe(n))
		}
	}
	if !p.take("]") {
		return nil, p.errorf(p.peek(), "%s does not fit here: an operator, : or ] is expected", describe(p.peek()))
	}
	return f, nil
}
