package console

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Verb is what a command does.
type Verb int

// The verbs. Stat and status are the same one.
const (
	Help Verb = iota
	ShowAccounting
	ShowCheckpoint
	ShowCacheFlow
	ShowInterface
	ShowVersion
	Stat
	ClearAccounting
	ClearCheckpoint
	Dump
	Restore
	Import
	Shutdown
)

// Command is a command line that has been understood.
type Command struct {
	Verb Verb
	Arg  string // name of an interface or file; "": none was given
}

// Errors of Parse.
var (
	ErrUnknown   = errors.New("unknown command")
	ErrAmbiguous = errors.New("ambiguous command")
	ErrArgument  = errors.New("wrong arguments")
)

// grammar lists the commands. An argument in capitals must be given, one in brackets may be.
var grammar = []struct {
	words string
	arg   string
	verb  Verb
	level Level
	help  string
}{
	{"help", "", Help, ViewOnly, "this list"},
	{"show ip accounting", "", ShowAccounting, ViewOnly, "the active accounting table"},
	{"show ip accounting checkpoint", "", ShowCheckpoint, ViewOnly, "the table saved by the last clear"},
	{"show ip cache flow", "", ShowCacheFlow, ViewOnly, "the flow cache"},
	{"show interface", "IFACE", ShowInterface, ViewOnly, "an interface"},
	{"show version", "", ShowVersion, ViewOnly, "version and uptime"},
	{"stat", "", Stat, ViewOnly, "statistics"},
	{"status", "", Stat, ViewOnly, "the same"},
	{"clear ip accounting", "", ClearAccounting, Default, "make the active table the checkpoint, and begin an empty one"},
	{"clear ip accounting checkpoint", "", ClearCheckpoint, Default, "empty the checkpoint"},
	{"dump", "[FILE]", Dump, Backup, "write the active table to a file"},
	{"restore", "[FILE]", Restore, Backup, "put the table of a file in the active one's place"},
	{"import", "[FILE]", Import, Backup, "add the table of a file to the active one"},
	{"shutdown", "", Shutdown, Admin, "end the probe"},
}

// level returns what a verb needs.
func (v Verb) level() Level {
	for _, g := range grammar {
		if g.verb == v {
			return g.level
		}
	}
	return Admin
}

// Parse reads a command. Each of its words may be cut short as long as one command only is meant; a word in full means
// itself. An argument is one word.
func Parse(words []string) (Command, error) {
	if len(words) == 0 {
		return Command{}, fmt.Errorf("%w: none was given", ErrUnknown)
	}
	fit := make([]int, 0, len(grammar)) // rows of the grammar
	for i := range grammar {
		fit = append(fit, i)
	}
	given := func(w int) string { return strings.Join(words[:w+1], " ") }
	for w, word := range words {
		var next []int
		for _, exact := range []bool{true, false} {
			for _, row := range fit {
				names := strings.Fields(grammar[row].words)
				switch {
				case w < len(names) && (names[w] == word || !exact && word != "" && strings.HasPrefix(names[w], word)):
					next = append(next, row)
				case w == len(names) && grammar[row].arg != "" && word != "" && !exact:
					next = append(next, row)
				}
			}
			if len(next) > 0 {
				break
			}
		}
		if len(next) == 0 {
			if w == 0 {
				return Command{}, fmt.Errorf("%w %q: help lists them", ErrUnknown, word)
			}
			return Command{}, fmt.Errorf("%w: %q does not go on with %q", ErrArgument, strings.Join(words[:w], " "), word)
		}
		fit = next
	}
	// Those that are complete and mean one thing, unless the words given may begin another command.
	var complete, begun []int
	for _, row := range fit {
		if n := len(strings.Fields(grammar[row].words)); n > len(words) || n == len(words) && strings.HasPrefix(grammar[row].arg, "I") {
			begun = append(begun, row)
		} else {
			complete = append(complete, row)
		}
	}
	beginnings := map[string]bool{}
	for _, row := range fit {
		names := strings.Fields(grammar[row].words)
		beginnings[strings.Join(names[:min(len(names), len(words))], " ")] = true
	}
	verbs := map[Verb]bool{}
	for _, row := range complete {
		verbs[grammar[row].verb] = true
	}
	switch {
	case len(verbs) == 1 && (len(begun) == 0 || len(beginnings) == 1):
	case len(begun) > 0 && len(complete) == 0 && len(beginnings) == 1:
		return Command{}, fmt.Errorf("%w: %q is not complete: %s", ErrArgument, given(len(words)-1), list(begun))
	default:
		return Command{}, fmt.Errorf("%w %q: %s", ErrAmbiguous, given(len(words)-1), list(fit))
	}
	g := grammar[complete[0]]
	c := Command{Verb: g.verb}
	if len(words) > len(strings.Fields(g.words)) {
		c.Arg = words[len(words)-1]
	}
	return c, nil
}

// list names commands.
func list(rows []int) string {
	var names []string
	for _, row := range rows {
		names = append(names, strings.TrimSpace(grammar[row].words+" "+grammar[row].arg))
	}
	return strings.Join(slices.Compact(names), ", ")
}

// helpText is what help prints.
func helpText() string {
	var b strings.Builder
	b.WriteString("Builtin commands:\n")
	for _, g := range grammar {
		fmt.Fprintf(&b, "  %-30s  %s\n", strings.TrimSpace(g.words+" "+g.arg), g.help)
	}
	return b.String()
}
