package query

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/caprock-net/caprock/netflow"
)

// expr is a node of a filter's syntax tree. append writes it so that parsing gives the same tree again; inside says that
// the node stands within another one and needs parentheses if it binds more loosely.
type expr interface {
	append(dst []byte, inside binding) []byte
}

// binding orders the operators by how tightly they bind.
type binding uint8

const (
	bindLoose binding = iota // nothing around
	bindOr
	bindAnd
	bindNot
)

// anyExpr is always true.
type anyExpr struct{}

// versionExpr is ipv4 or ipv6.
type versionExpr struct{ version uint8 }

// notExpr is the negation of x.
type notExpr struct{ x expr }

// andExpr and orExpr have two operands or more, none of them of their own type.
type (
	andExpr struct{ xs []expr }
	orExpr  struct{ xs []expr }
)

// test is one comparison of a field.
type test struct {
	field *field
	side  side
	op    op
	nums  []span         // numbers and MACs: what was written, in order; a single number has lo = hi
	nets  []netip.Prefix // addresses and prefixes, in order; host bits are zero
	time  *timeSpan
}

// timeSpan is a point in time with the tail cut: the instants from <= t < to.
type timeSpan struct {
	text     string // as written, in upper case
	from, to netflow.Timestamp
}

func (anyExpr) append(dst []byte, _ binding) []byte { return append(dst, "any"...) }

func (x versionExpr) append(dst []byte, _ binding) []byte {
	return append(dst, "ipv"+strconv.Itoa(int(x.version))...)
}

func (x *notExpr) append(dst []byte, _ binding) []byte {
	return x.x.append(append(dst, "not "...), bindNot)
}

func (x *andExpr) append(dst []byte, inside binding) []byte {
	return appendList(dst, x.xs, " and ", bindAnd, inside)
}

func (x *orExpr) append(dst []byte, inside binding) []byte {
	return appendList(dst, x.xs, " or ", bindOr, inside)
}

func appendList(dst []byte, xs []expr, word string, own, inside binding) []byte {
	if inside > own {
		dst = append(dst, '(')
	}
	for i, x := range xs {
		if i > 0 {
			dst = append(dst, word...)
		}
		dst = x.append(dst, own)
	}
	if inside > own {
		dst = append(dst, ')')
	}
	return dst
}

func (t *test) append(dst []byte, _ binding) []byte {
	dst = append(dst, t.field.sideText(t.side)...)
	name := t.field.name
	if t.field.kind == fieldAddr && t.op != opIn && !t.nets[0].IsSingleIP() {
		name = strings.TrimSuffix(name, "ip") + "net"
	}
	dst = append(dst, name...)
	dst = append(dst, ' ')
	letters := t.field.kind == fieldFlags && t.op == opAll
	if t.op != opEq && !letters {
		dst = append(dst, opText[t.op]...)
		dst = append(dst, ' ')
	}
	if t.op == opIn {
		dst = append(dst, '[')
	}
	for i, n := range t.nums {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = t.appendNumber(dst, n, letters)
	}
	for i, p := range t.nets {
		if i > 0 {
			dst = append(dst, ' ')
		}
		if p.IsSingleIP() {
			dst = p.Addr().AppendTo(dst)
		} else {
			dst = p.AppendTo(dst)
		}
	}
	if t.time != nil {
		dst = append(dst, t.time.text...)
	}
	if t.op == opIn {
		dst = append(dst, ']')
	}
	return dst
}

func (t *test) appendNumber(dst []byte, n span, letters bool) []byte {
	switch {
	case letters:
		for i := range flagLetters {
			if n.lo>>i&1 != 0 {
				dst = append(dst, flagLetters[i])
			}
		}
		return dst
	case t.field.kind == fieldMAC:
		return netflow.MACFrom(n.lo).AppendText(dst)
	case (t.field == fieldProto || t.field == fieldTunnelProto) && n.lo == n.hi:
		return append(dst, strings.ToLower(ProtoName(uint8(n.lo)))...)
	}
	dst = strconv.AppendUint(dst, n.lo, 10)
	if n.hi != n.lo {
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, n.hi, 10)
	}
	return dst
}
