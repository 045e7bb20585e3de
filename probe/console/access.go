package console

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Level says what a client may. Each has all of those before it.
type Level int

// The levels.
const (
	Deny     Level = iota
	ViewOnly       // look at tables, interfaces and statistics
	Default        // clear the accounting table
	Backup         // dump, restore, import
	Admin          // shutdown
)

var levelNames = []string{"deny", "view-only", "default", "backup", "admin"}

// String is what ParseLevel reads.
func (l Level) String() string { return levelNames[l] }

// ParseLevel reads the name of a level.
func ParseLevel(name string) (Level, error) {
	if i := slices.Index(levelNames, name); i >= 0 {
		return Level(i), nil
	}
	return Deny, fmt.Errorf("access level %q: want %s", name, strings.Join(levelNames, ", "))
}

// Rule gives a level to the clients at an address, or to one user there.
type Rule struct {
	User    string // the name that the client asks to be; "": any
	Address netip.Addr
	Level   Level
}

// ParseRule reads a rule as ipcad.conf has it: [USER@]ADDRESS [LEVEL].
func ParseRule(text string) (Rule, error) {
	who, name, _ := strings.Cut(strings.TrimSpace(text), " ")
	r := Rule{Level: Default}
	var err error
	if name = strings.TrimSpace(name); name != "" {
		if r.Level, err = ParseLevel(name); err != nil {
			return Rule{}, err
		}
	}
	if user, address, ok := strings.Cut(who, "@"); ok {
		if user == "" {
			return Rule{}, fmt.Errorf("access rule %q: no user before @", text)
		}
		r.User, who = user, address
	}
	if r.Address, err = netip.ParseAddr(who); err != nil {
		return Rule{}, fmt.Errorf("access rule %q: want [USER@]ADDRESS [LEVEL]", text)
	}
	r.Address = r.Address.Unmap()
	return r, nil
}

// String is what ParseRule reads.
func (r Rule) String() string {
	if r.User != "" {
		return fmt.Sprintf("%s@%s %s", r.User, r.Address, r.Level)
	}
	return fmt.Sprintf("%s %s", r.Address, r.Level)
}

// levelOf finds what a client may: the first rule that fits it decides, and where none does it may nothing. Without rules
// everybody may look.
func levelOf(rules []Rule, client netip.Addr, user string) Level {
	if len(rules) == 0 {
		return ViewOnly
	}
	for _, r := range rules {
		if r.Address == client.Unmap() && (r.User == "" || r.User == user) {
			return r.Level
		}
	}
	return Deny
}

// ErrDenied is the error of a command that a client may not give.
var ErrDenied = errors.New("permission denied")
