// Package sandbox takes from the process what it no longer needs, once everything that needs privileges is open: the
// root user, capabilities, new programs, new sockets, and the file system but for the paths named. After Enter a fault in
// the code that takes hostile packets apart gives an attacker the flows of this process, and not the router.
//
//   - Linux: chroot, user and groups, the capability sets and the bounding set, no_new_privs, Landlock, and a seccomp
//     filter that lists the system calls that are left; in all threads.
//   - OpenBSD: chroot, user and groups, unveil, pledge.
//   - Other systems: chroot, user and groups; the Report says what is missing.
//
// Enter is called once, after the interfaces, sockets and listeners have been opened and before traffic is metered. What
// is open stays open and works: captures, sockets to collectors, listeners, standard streams.
package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
)

// Config says what is left to the process. The zero value leaves what a probe of interfaces needs that sends to
// addresses; as root it also asks for DefaultUser.
type Config struct {
	User   string // NAME[:GROUP], or numbers; "root" stays root, without its capabilities. "": DefaultUser for root, if he may write to Writable; else no change
	Chroot string // folder that becomes "/"; "" for none

	Readable []string // files and folders that are opened for reading later
	Writable []string // folders in which files are made, replaced and removed later; they must exist

	// Reread are files that are read later, and may have been replaced by then: their folder is left to read too, unless the
	// user is root, who could read more there than the world. With Chroot they are looked for in the new root.
	Reread []string

	ReadAll bool // whoever runs this stays, and root may still read what is others': for reading capture files
	Resolve bool // names are looked up again later: UDP and TCP sockets and the resolver's files
	Connect bool // connections over TCP are opened later

	Datagrams bool // sockets of UDP are opened later. Those that are open could send to anybody as well
}

// DefaultUser is whom root becomes.
const DefaultUser = "nobody"

// Validate reports what is wrong with a configuration, without looking at the system.
func (c *Config) Validate() error {
	var errs []error
	if name, group, found := strings.Cut(c.User, ":"); c.User != "" && (name == "" || found && group == "") {
		errs = append(errs, fmt.Errorf("user %q: want NAME or NAME:GROUP", c.User))
	}
	if c.Chroot != "" && !filepath.IsAbs(c.Chroot) {
		errs = append(errs, fmt.Errorf("chroot %q: want a path from / on", c.Chroot))
	}
	return errors.Join(errs...)
}

// Report says what has been done.
type Report struct {
	UID, GID int
	User     string   // as configured; "" when it was not changed
	Chroot   string   // "" for none
	Done     []string // mechanisms in force: "capabilities", "landlock", "seccomp", "pledge"...
	Missing  []string // what this system or build cannot do, and why
}

// LogValue implements slog.LogValuer.
func (r *Report) LogValue() slog.Value {
	a := []slog.Attr{slog.Int("uid", r.UID), slog.Int("gid", r.GID), slog.String("by", strings.Join(r.Done, ","))}
	if r.Chroot != "" {
		a = append(a, slog.String("chroot", r.Chroot))
	}
	if len(r.Missing) > 0 {
		a = append(a, slog.String("missing", strings.Join(r.Missing, "; ")))
	}
	return slog.GroupValue(a...)
}

func (r *Report) done(mechanism string) { r.Done = append(r.Done, mechanism) }

func (r *Report) missing(what string, why error) {
	r.Missing = append(r.Missing, fmt.Sprintf("%s: %v", what, why))
}
