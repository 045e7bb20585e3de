package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// reachable says why a cannot be become in the user namespace that the process is in (user_namespaces(7)): there, root may
// be the only user. Without /proc it is left to the system calls.
func (a account) reachable() error {
	if text, err := os.ReadFile("/proc/self/setgroups"); err == nil && strings.TrimSpace(string(text)) == "deny" {
		return errors.New("this user namespace keeps its groups")
	}
	for _, m := range []struct {
		file string
		id   int
	}{{"/proc/self/uid_map", a.uid}, {"/proc/self/gid_map", a.gid}} {
		text, err := os.ReadFile(m.file)
		if err == nil && !mapped(string(text), m.id) {
			return fmt.Errorf("this user namespace has no id %d", m.id)
		}
	}
	return nil
}

// mapped reports whether a map of ids, lines of first id inside, first id outside and count, has the id inside.
func mapped(text string, id int) bool {
	for line := range strings.Lines(text) {
		var inside, outside, count int64
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && int64(id) >= inside && int64(id) < inside+count {
			return true
		}
	}
	return false
}
