package filter

import (
	"errors"
	"fmt"

	"github.com/caprock-net/caprock/probe/dissect"
)

// ErrLink is the cause when frames of a link type can't be filtered.
var ErrLink = errors.New("filter: not supported for frames of link type")

// Filter is an expression, or a program made elsewhere.
type Filter struct {
	text    string
	root    expr    // nil: everything
	program Program // of ParseText; nil for an expression
}

// Target says what frames a program will see, and where it will run.
type Target struct {
	Link dissect.LinkType

	// SnapLen is what the program returns for a frame that it takes: how many bytes a kernel copies of it.
	SnapLen uint32

	// Kernel is for a socket filter of Linux at a packet socket. It sees frames whose outermost VLAN tag was taken off and
	// put beside them, and with LinkSLL packets without that header, which is not there yet.
	Kernel bool
}

// Parse reads an expression in the language of pcap-filter. The empty one takes every frame. Errors are of type *Error.
func Parse(text string) (*Filter, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &Filter{text: text, root: root}, nil
}

// String returns the text that the filter was read from.
func (f *Filter) String() string { return f.text }

// Compile makes the program for some kind of frames. The error says what of the expression they do not have, or is ErrLink.
func (f *Filter) Compile(t Target) (Program, error) {
	if f.program != nil {
		if t.Kernel && t.Link != dissect.LinkEthernet {
			return nil, fmt.Errorf("%w %d in the kernel: a program by numbers expects a link header", ErrLink, t.Link)
		}
		return f.program.snap(t.SnapLen), nil
	}
	var a assembler
	accept, reject := a.label(), a.label()
	l, err := newLayout(f.text, t)
	if err != nil {
		return nil, err
	}
	p, err := l.compile(f.root)
	if err != nil {
		return nil, err
	}
	// Whether the outermost tag lies in the frame or beside it differs from frame to frame: two programs, one for each.
	if t.Kernel && l.tags > 0 {
		tagged, err := newLayout(f.text, t)
		if err != nil {
			return nil, err
		}
		tagged.beside = true
		q, err := tagged.compile(f.root)
		if err != nil {
			return nil, err
		}
		inside, beside := a.label(), a.label()
		a.branch(compare(at(skbTagPresent, sizeW), 0xffffffff, jumpEq, 0), inside, beside)
		a.here(beside)
		a.branch(q, accept, reject)
		a.here(inside)
	}
	a.branch(p, accept, reject)
	a.here(accept)
	a.emit(ins(ret, t.SnapLen))
	a.here(reject)
	a.emit(ins(ret, 0))
	return a.assemble()
}

// compile walks through an expression from left to right, for its vlan and mpls change what follows them.
func (l *layout) compile(x expr) (*predicate, error) {
	// Chains of and, or lean to the left, and may be long.
	type pending struct {
		x    expr
		join func(*predicate, ...*predicate) *predicate
	}
	var rights []pending
	for down := true; down; {
		switch e := x.(type) {
		case andExpr:
			rights = append(rights, pending{e.r, and})
			x = e.l
		case orExpr:
			rights = append(rights, pending{e.r, or})
			x = e.l
		default:
			down = false
		}
	}
	var p *predicate
	var err error
	switch e := x.(type) {
	case nil:
		p = yes
	case notExpr:
		if p, err = l.compile(e.x); err == nil {
			p = not(p)
		}
	case primitive:
		p, err = e.predicate(l)
	}
	for i := len(rights) - 1; i >= 0 && err == nil; i-- {
		var r *predicate
		if r, err = l.compile(rights[i].x); err == nil {
			p = rights[i].join(p, r)
		}
	}
	return p, err
}
