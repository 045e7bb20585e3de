package console

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

func TestLevels(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ipcad.dump")
	for level, may := range map[Level]string{
		Deny: "", ViewOnly: "view", Default: "view clear", Backup: "view clear dump", Admin: "view clear dump shutdown",
	} {
		c, _ := open(t, Config{DumpFile: file})
		for what, line := range map[string]string{"view": "sh ip acco", "clear": "clear ip accounting", "dump": "dump", "shutdown": "shutdown"} {
			_, err := execute(t, c, line, Session{Level: level})
			if want := strings.Contains(may, what); (err == nil) != want || err != nil && !errors.Is(err, ErrDenied) {
				t.Errorf("%s, %s: error %v", level, line, err)
			}
		}
	}
}

func TestAccess(t *testing.T) {
	rules := []Rule{}
	for _, text := range []string{"root@127.0.0.1 admin", "bad@127.0.0.1 deny", "127.0.0.1", "10.0.0.1 view-only", "ops@10.0.0.2   backup"} {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseRule(r.String()); err != nil || again != r {
			t.Errorf("%s: %v, error %v", r, again, err)
		}
		rules = append(rules, r)
	}
	for who, want := range map[string]Level{
		"root 127.0.0.1": Admin, "bad 127.0.0.1": Deny, "any 127.0.0.1": Default, "root 10.0.0.1": ViewOnly, "ops 10.0.0.2": Backup, "root 10.0.0.2": Deny, "root 10.0.0.3": Deny,
	} {
		user, a, _ := strings.Cut(who, " ")
		if got := levelOf(rules, netip.MustParseAddr(a), user); got != want {
			t.Errorf("%s: %s, want %s", who, got, want)
		}
	}
	if got := levelOf(nil, netip.MustParseAddr("192.0.2.1"), "x"); got != ViewOnly {
		t.Errorf("without rules: %s", got)
	}
	for _, bad := range []string{"", "x", "@127.0.0.1", "127.0.0.1 king", "127.0.0.1/8"} {
		if _, err := ParseRule(bad); err == nil {
			t.Errorf("%q: no complaint", bad)
		}
	}
}
