package query

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where a filter can't be understood and what would have been.
type SyntaxError struct {
	Text     string   // the whole filter
	Offset   int      // byte offset of the place
	Found    string   // what stands there; "" is the end of the filter
	Expected []string // what could stand there, in words
	Hint     string   // more help, such as a suggestion; may be empty
}

// Error shows the line of the filter, a caret under the place, what was expected and the hint:
//
//	filter: unexpected "prt"
//	    tcp and dst prt 443
//	                ^ expected ip, net, port, as, mask or mac; did you mean "port"?
func (e *SyntaxError) Error() string {
	var b strings.Builder
	if e.Found == "" {
		b.WriteString("filter: unexpected end")
	} else {
		b.WriteString("filter: unexpected " + quote(e.Found))
	}
	at := min(max(e.Offset, 0), len(e.Text))
	start := strings.LastIndexByte(e.Text[:at], '\n') + 1
	line := e.Text[start:]
	if n := strings.IndexByte(line, '\n'); n >= 0 {
		line = line[:n]
	}
	before := e.Text[start:at]
	// A long line is shown around the place only.
	if cut := len(before) - 60; cut > 0 && len(line) > 100 {
		for cut < len(before) && !utf8.RuneStart(before[cut]) {
			cut++
		}
		before, line = before[cut:], line[cut:]
	}
	if len(line) > 140 {
		n := 140
		for n > 0 && !utf8.RuneStart(line[n]) {
			n--
		}
		line = line[:n]
	}
	b.WriteString("\n    " + printable(line) + "\n    ")
	b.WriteString(strings.Repeat(" ", utf8.RuneCountInString(before)) + "^")
	if len(e.Expected) > 0 {
		b.WriteString(" expected ")
		for i, x := range e.Expected {
			switch {
			case i == 0:
			case i == len(e.Expected)-1:
				b.WriteString(" or ")
			default:
				b.WriteString(", ")
			}
			b.WriteString(x)
		}
	}
	if e.Hint != "" {
		if len(e.Expected) > 0 {
			b.WriteString(";")
		}
		b.WriteString(" " + e.Hint)
	}
	return b.String()
}

// printable replaces what would move the caret or upset a terminal, one rune by one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError:
			return '?'
		}
		return r
	}, s)
}

func quote(s string) string {
	if len(s) > 40 {
		n := 40
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "..."
	}
	return strconv.Quote(s)
}

// suggest returns the candidate nearest to word if it is near enough to be a typing error, else "".
func suggest(word string, candidates []string) string {
	if len(word) > 24 {
		return ""
	}
	best, bestDistance := "", 2*(1+min(2, len(word)/3))
	for _, c := range candidates {
		d := 2 * editDistance(word, c)
		if strings.HasPrefix(c, word) {
			d-- // of candidates equally far away, one that was begun
		}
		if d < bestDistance && d < 2*len(c) {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b (optimal
// string alignment).
func editDistance(a, b string) int {
	var older []int
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, previous = previous, row
	}
	return previous[len(b)]
}
