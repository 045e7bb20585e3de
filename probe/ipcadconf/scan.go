package ipcadconf

import (
	"fmt"
	"strings"
)

// maxFile is more than a configuration has, in bytes.
const maxFile = 1 << 20

// word is a piece of a statement.
type word struct {
	text   string
	line   int
	quoted bool
}

// statement is what ends with a semicolon; at the end of the file it may be missing. A "=" is a word of its own, a ","
// too.
type statement []word

// scan cuts a file into statements. Comments begin with # or stand between /* and */.
func scan(text string) ([]statement, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	var all []statement
	var now statement
	line := 1
	for text != "" {
		switch c := text[0]; {
		case c == '\n':
			line++
			text = text[1:]
		case strings.IndexByte(" \t\r", c) >= 0:
			text = text[1:]
		case c == '#':
			text = text[lineEnd(text):]
		case strings.HasPrefix(text, "/*"):
			end := strings.Index(text[2:], "*/")
			if end < 0 {
				return nil, &Error{line, "the comment that begins here does not end"}
			}
			line += strings.Count(text[:end+4], "\n")
			text = text[end+4:]
		case c == ';':
			if len(now) > 0 {
				all = append(all, now)
				now = nil
			}
			text = text[1:]
		case c == '=' || c == ',':
			now = append(now, word{text[:1], line, false})
			text = text[1:]
		case c == '"':
			end := strings.IndexByte(text[1:], '"')
			if end < 0 || strings.Contains(text[1:end+1], "\n") {
				return nil, &Error{line, "the quotation does not end"}
			}
			now = append(now, word{text[1 : end+1], line, true})
			text = text[end+2:]
		default:
			end := strings.IndexAny(text, " \t\r\n;=,\"#")
			if end < 0 {
				end = len(text)
			}
			if comment := strings.Index(text[:end], "/*"); comment > 0 {
				end = comment
			}
			now = append(now, word{text[:end], line, false})
			text = text[end:]
		}
	}
	if len(now) > 0 {
		all = append(all, now)
	}
	return all, nil
}

func lineEnd(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}
