package query

import (
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/caprock-net/caprock/netflow"
)

// comparison reads an optional comparator and a value, or "in" and a list.
func (p *parser) comparison(f *field, s side) (expr, *SyntaxError) {
	t := &test{field: f, side: s}
	if p.word("in") {
		t.op = opIn
		return p.list(t)
	}
	comparator := p.peek()
	if comparator.kind == tokenOp {
		p.next()
		t.op = opWords[comparator.lower]
	}
	if f.kind == fieldAddr || f.kind == fieldMAC {
		if t.op != opEq && t.op != opNe {
			return nil, p.fail(comparator, "addresses have no order", `"="`, `"!="`, `"in"`)
		}
	}
	if f.kind == fieldFlags && p.peek().kind == tokenWord {
		if flags, ok := ParseTCPFlags(p.peek().text); ok {
			if comparator.kind != tokenOp {
				t.op = opAll
			} else if t.op != opEq && t.op != opNe {
				return nil, p.fail(comparator, "flags given by letters have no order", `"="`, `"!="`)
			}
			p.next()
			t.nums = []span{{uint64(flags), uint64(flags)}}
			return t, nil
		}
	}
	if f == fieldFwdStat && (t.op == opEq || t.op == opNe) {
		if class, ok := forwarding[p.peek().lower]; ok {
			p.next()
			in := expr(&test{field: f, op: opIn, nums: []span{class}})
			if t.op == opNe {
				in = &notExpr{in}
			}
			return in, nil
		}
	}
	if err := p.value(t, false); err != nil {
		return nil, err
	}
	return t, nil
}

// list reads [a b c], blanks or commas between.
func (p *parser) list(t *test) (expr, *SyntaxError) {
	if t.field.kind == fieldTime || t.field.kind == fieldDerived {
		return nil, p.fail(p.tokens[p.i-1], t.field.name+" takes no list", "a comparison")
	}
	if !p.symbol("[") {
		return nil, p.fail(p.peek(), "", `"["`)
	}
	for {
		if p.symbol("]") {
			if len(t.nums)+len(t.nets) == 0 {
				return nil, p.fail(p.tokens[p.i-1], "the list is empty", valueWords(t.field)...)
			}
			return t, nil
		}
		if t := p.peek(); t.kind != tokenWord {
			return nil, p.fail(t, "", "a value", `"]"`)
		}
		if err := p.value(t, true); err != nil {
			return nil, err
		}
		p.symbol(",")
	}
}

// valueWords says what a value of the field looks like.
func valueWords(f *field) []string {
	switch f.kind {
	case fieldAddr:
		return []string{"an IPv4 or IPv6 address", "a prefix such as 10.0.0.0/8"}
	case fieldMAC:
		return []string{"a MAC address such as 00:11:22:33:44:55"}
	case fieldTime:
		return []string{"a time such as 2026-11-21T16:05:00"}
	case fieldFlags:
		return []string{"flag letters of FSRPAUEC", "a number"}
	}
	switch f {
	case fieldPort:
		return []string{"a port number", "a service name"}
	case fieldProto, fieldTunnelProto:
		return []string{"a protocol name or number"}
	case fieldFlowDir:
		return []string{"ingress", "egress", "a number"}
	case fieldReason:
		return []string{"idle", "active", "eof", "forced", "resources", "a number"}
	case fieldFwdStat:
		return []string{"forwarded", "dropped", "consumed", "unknown", "a number"}
	}
	return []string{"a number"}
}

// value reads one value into t.
func (p *parser) value(t *test, inList bool) *SyntaxError {
	f, v := t.field, p.next()
	if v.kind != tokenWord {
		return p.fail(v, "", valueWords(f)...)
	}
	switch f.kind {
	case fieldAddr:
		prefix, ok := parsePrefix(v.text)
		if !ok {
			return p.fail(v, addressHint(v.text), valueWords(f)...)
		}
		t.nets = append(t.nets, prefix)
		return nil
	case fieldMAC:
		mac, ok := parseMAC(v.text)
		if !ok {
			return p.fail(v, "", valueWords(f)...)
		}
		t.nums = append(t.nums, span{mac.Uint64(), mac.Uint64()})
		return nil
	case fieldTime:
		from, to, ok := ParseTime(v.text, p.loc)
		if !ok {
			return p.fail(v, "", valueWords(f)...)
		}
		t.time = &timeSpan{strings.ToUpper(v.text), netflow.TimestampOf(from), netflow.TimestampOf(to)}
		return nil
	}
	if n, ok := f.names[v.lower]; ok {
		t.nums = append(t.nums, span{n, n})
		return nil
	}
	if class, ok := forwarding[v.lower]; ok && f == fieldFwdStat && inList {
		t.nums = append(t.nums, class)
		return nil
	}
	lo, hi := v.lower, v.lower
	if first, last, ok := strings.Cut(v.lower, "-"); ok && inList {
		lo, hi = first, last
	}
	a, ok1 := parseNumber(lo, f)
	b, ok2 := parseNumber(hi, f)
	switch {
	case ok1 && ok2 && (a > f.max || b > f.max):
		return p.fail(v, f.name+" is at most "+strconv.FormatUint(f.max, 10), valueWords(f)...)
	case ok1 && ok2 && a > b:
		return p.fail(v, "the range is backwards", valueWords(f)...)
	case ok1 && ok2:
		t.nums = append(t.nums, span{a, b})
		return nil
	}
	hint := ""
	if names := f.names; names != nil {
		var candidates []string
		for name := range names {
			if len(name) > 2 {
				candidates = append(candidates, name)
			}
		}
		slices.Sort(candidates)
		if s := suggest(v.lower, candidates); s != "" {
			hint = didYouMean(s)
		}
	}
	if hint == "" && startsTest(v.lower) {
		hint = "the value is missing"
	}
	return p.fail(v, hint, valueWords(f)...)
}

// net reads what follows "net": a prefix, or an IPv4 address and a mask.
func (p *parser) net(f *field, s side) (expr, *SyntaxError) {
	v := p.next()
	prefix, ok := parsePrefix(v.text)
	if !ok {
		return nil, p.fail(v, addressHint(v.text), "a prefix such as 10.0.0.0/8")
	}
	if !strings.Contains(v.text, "/") {
		if prefix.Addr().Is6() {
			return nil, p.fail(p.peek(), "an IPv6 network is written with its length, "+v.text+"/64", "a prefix")
		}
		m := p.next()
		mask, err := netip.ParseAddr(m.text)
		if m.kind != tokenWord || err != nil || !mask.Is4() {
			return nil, p.fail(m, "write the length after a slash, "+v.text+"/24", "an IPv4 mask such as 255.255.255.0")
		}
		bits, ok := maskBits(mask.As4())
		if !ok {
			return nil, p.fail(m, "the mask has holes", "an IPv4 mask such as 255.255.255.0")
		}
		prefix = netip.PrefixFrom(prefix.Addr(), bits).Masked()
	}
	return &test{field: f, side: s, nets: []netip.Prefix{prefix}}, nil
}

func maskBits(m [4]byte) (int, bool) {
	v := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	bits := 0
	for ; v&(1<<31) != 0; v <<= 1 {
		bits++
	}
	return bits, v == 0
}

// parsePrefix reads an address, a prefix, or an IPv4 prefix with missing octets (10/8, 10.1/16); host bits become zero.
// IPv4-mapped IPv6 addresses are IPv4 addresses.
func parsePrefix(s string) (netip.Prefix, bool) {
	addr, length, hasLength := strings.Cut(s, "/")
	if hasLength && !strings.Contains(addr, ":") {
		for n := strings.Count(addr, "."); n < 3; n++ {
			addr += ".0"
		}
	}
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	bits := a.BitLen()
	if hasLength {
		if len(length) > 3 || length == "" || length[0] < '0' || length[0] > '9' {
			return netip.Prefix{}, false
		}
		if bits, err = strconv.Atoi(length); err != nil || bits > a.BitLen() {
			return netip.Prefix{}, false
		}
	}
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	prefix, err := a.Prefix(bits)
	return prefix, err == nil
}

func prefixIsSingle(s string) bool {
	p, ok := parsePrefix(s)
	return ok && p.IsSingleIP()
}

func addressHint(s string) string {
	addr, _, slash := strings.Cut(s, "/")
	if _, err := netip.ParseAddr(addr); err == nil && slash {
		return "the prefix length is wrong"
	}
	for _, c := range strings.ToLower(s) {
		if c >= 'g' && c <= 'z' {
			return "names are not looked up"
		}
	}
	return ""
}

// parseMAC reads six pairs of hexadecimal digits with colons or hyphens, or three groups of four with dots.
func parseMAC(s string) (m netflow.MAC, ok bool) {
	var digits string
	switch {
	case len(s) == 17 && (strings.Count(s, ":") == 5 || strings.Count(s, "-") == 5):
		for i := 0; i < 17; i += 3 {
			digits += s[i : i+2]
		}
	case len(s) == 14 && s[4] == '.' && s[9] == '.':
		digits = s[:4] + s[5:9] + s[10:]
	default:
		return m, false
	}
	v, err := strconv.ParseUint(digits, 16, 64)
	return netflow.MACFrom(v), err == nil
}

// parseNumber reads a decimal number, perhaps with a fraction and a decimal factor k, m, g or t, or a hexadecimal number
// after 0x. The value must be whole. A duration may end in ms, s, min or h.
func parseNumber(s string, f *field) (uint64, bool) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		n, err := strconv.ParseUint(hex, 16, 64)
		return n, err == nil
	}
	factor := uint64(1)
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz")
	switch unit := s[len(digits):]; {
	case unit == "":
	case f == fieldDuration && durationUnits[unit] != 0:
		factor = durationUnits[unit]
	case factors[unit] != 0:
		factor = factors[unit]
	default:
		return 0, false
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err == nil && factor == 1 {
		return n, true
	}
	if len(digits) > 40 || digits == "" || strings.Trim(digits, "0123456789.") != "" || strings.Count(digits, ".") > 1 {
		return 0, false
	}
	// Exact, so that 1.1g is 1100000000.
	r, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, false
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).SetUint64(factor)))
	if !r.IsInt() || !r.Num().IsUint64() {
		return 0, false
	}
	return r.Num().Uint64(), true
}

var (
	factors       = map[string]uint64{"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
	durationUnits = map[string]uint64{"ms": 1, "s": 1e3, "min": 60e3, "h": 3600e3}
)
