package filter

import (
	"strings"
	"unicode/utf8"
)

// Error says what in an expression can't be understood, or can't be had for the frames at hand.
type Error struct {
	Text   string // the whole expression
	Offset int    // byte offset of the place
	What   string
}

// shown is how much of a long line an Error shows on either side of the place.
const shown = 60

// Error shows the line, and a caret under the place:
//
//	filter: gateway is not supported
//	    tcp and gateway 10.0.0.1
//	            ^
func (e *Error) Error() string {
	at := min(max(e.Offset, 0), len(e.Text))
	before := e.Text[strings.LastIndexByte(e.Text[:at], '\n')+1 : at]
	after, _, _ := strings.Cut(e.Text[at:], "\n")
	for len(before) > shown || len(before) > 0 && !utf8.RuneStart(before[0]) {
		before = before[1:]
	}
	for len(after) > shown {
		_, n := utf8.DecodeLastRuneInString(after)
		after = after[:len(after)-n]
	}
	before = printable(before)
	return "filter: " + e.What + "\n    " + before + printable(after) + "\n    " + strings.Repeat(" ", utf8.RuneCountInString(before)) + "^"
}

// printable replaces what would move the caret or upset a terminal, one rune by one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError:
			return '?'
		}
		return r
	}, s)
}
