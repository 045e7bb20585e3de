package query

import (
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // keyword, name, number, address, time
	tokenOp               // comparator
	tokenAnd              // and, &&
	tokenOr               // or, ||
	tokenNot              // not, !
	tokenSymbol           // one of ( ) [ ] ,
)

// token is a piece of a filter's text. Keywords are compared in lower case, so lower is what the parser looks at.
type token struct {
	kind  tokenKind
	text  string // as written
	lower string
	pos   int // byte offset of text
}

func (t token) is(symbol string) bool { return t.kind == tokenSymbol && t.text == symbol }

// op is a comparator.
type op uint8

const (
	opEq op = iota
	opNe
	opLt
	opLe
	opGt
	opGe
	opIn  // member of a list
	opAll // flags: all of these bits are set
)

var opWords = map[string]op{
	"=": opEq, "==": opEq, "eq": opEq, "!=": opNe, "ne": opNe, "<": opLt, "lt": opLt, "<=": opLe, "le": opLe,
	">": opGt, "gt": opGt, ">=": opGe, "ge": opGe,
}

var opText = [...]string{opEq: "=", opNe: "!=", opLt: "<", opLe: "<=", opGt: ">", opGe: ">=", opIn: "in", opAll: ""}

// symbols in the order in which they are tried: longer ones first.
var symbols = []struct {
	text string
	kind tokenKind
}{
	{"&&", tokenAnd}, {"||", tokenOr}, {"!=", tokenOp}, {"==", tokenOp}, {"<=", tokenOp}, {">=", tokenOp},
	{"=", tokenOp}, {"<", tokenOp}, {">", tokenOp}, {"!", tokenNot},
	{"(", tokenSymbol}, {")", tokenSymbol}, {"[", tokenSymbol}, {"]", tokenSymbol}, {",", tokenSymbol},
}

// lex splits a filter into tokens; the last is of tokenEnd.
func lex(text string) ([]token, *SyntaxError) {
	var tokens []token
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '#':
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
			continue
		case wordByte(c):
			n := i
			for n < len(text) && wordByte(text[n]) {
				n++
			}
			t := token{kind: tokenWord, text: text[i:n], lower: strings.ToLower(text[i:n]), pos: i}
			switch t.lower {
			case "and":
				t.kind = tokenAnd
			case "or":
				t.kind = tokenOr
			case "not":
				t.kind = tokenNot
			case "eq", "ne", "lt", "le", "gt", "ge":
				t.kind = tokenOp
			}
			tokens = append(tokens, t)
			i = n
			continue
		}
		t, ok := lexSymbol(text, i)
		if !ok {
			return nil, badByte(text, i)
		}
		tokens = append(tokens, t)
		i += len(t.text)
	}
	return append(tokens, token{pos: len(text)}), nil
}

func lexSymbol(text string, i int) (token, bool) {
	for _, s := range symbols {
		if strings.HasPrefix(text[i:], s.text) {
			return token{kind: s.kind, text: s.text, lower: s.text, pos: i}, true
		}
	}
	return token{}, false
}

func badByte(text string, i int) *SyntaxError {
	_, n := utf8.DecodeRuneInString(text[i:])
	e := &SyntaxError{Text: text, Offset: i, Found: text[i : i+n]}
	switch text[i] {
	case '"', '\'':
		e.Hint = "nothing needs quotes here"
	case '&', '|':
		e.Expected = []string{`"and"`, `"or"`}
	case '@':
		e.Hint = "filters do not include files"
	default:
		e.Hint = "no test contains this character"
	}
	return e
}

// wordByte tells the bytes of words: those of names, numbers, addresses, prefixes and times.
func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == ':' || c == '.' || c == '-' || c == '/' || c == '+'
}
