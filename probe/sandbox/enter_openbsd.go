package sandbox

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Enter shuts the process in. When it fails the process may be half shut in, and should end.
func Enter(c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	_ = time.Now().AppendFormat(nil, time.RFC3339) // reads /etc/localtime, once
	who, err := c.account()
	if err != nil {
		return nil, err
	}
	r := &Report{UID: who.uid, GID: who.gid, User: c.User, Chroot: c.Chroot}
	if err := enterRoot(c.Chroot); err != nil {
		return nil, err
	}
	if err := who.become(); err != nil {
		return nil, err
	}
	for _, dir := range c.Writable {
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			return nil, fmt.Errorf("%s: uid %d may not write there (chown it, or give another --user): %w", dir, who.uid, err)
		}
	}
	for path, rights := range c.veil() {
		if err := unix.Unveil(path, rights); err != nil && err != unix.ENOENT {
			return nil, fmt.Errorf("unveil %s: %w", path, err)
		}
	}
	if err := unix.UnveilBlock(); err != nil {
		return nil, fmt.Errorf("unveil: %w", err)
	}
	r.done("unveil")
	if err := unix.PledgePromises(c.promises()); err != nil {
		return nil, fmt.Errorf("pledge: %w", err)
	}
	r.done("pledge")
	return r, nil
}

// veil returns the paths that are left, and what for.
func (c *Config) veil() map[string]string {
	paths := map[string]string{}
	for _, p := range c.Readable {
		paths[p] = "r"
	}
	for _, p := range c.Reread {
		paths[p] = "r"
		if unix.Geteuid() != 0 {
			paths[filepath.Dir(p)] = "r"
		}
	}
	if c.Resolve {
		for _, p := range []string{"/etc/resolv.conf", "/etc/hosts", "/etc/services", "/etc/nsswitch.conf"} {
			paths[p] = "r"
		}
	}
	for _, p := range c.Writable {
		paths[p] = "rwc"
	}
	return paths
}

// promises are pledge(2)'s. bpf allows the counters of a capture that is open, route the interfaces' own.
func (c *Config) promises() string {
	p := []string{"stdio", "bpf", "route", "inet", "unix"}
	if c.Resolve {
		p = append(p, "dns")
	}
	if c.Resolve || len(c.Readable) > 0 || len(c.Reread) > 0 || len(c.Writable) > 0 {
		p = append(p, "rpath")
	}
	if len(c.Writable) > 0 {
		p = append(p, "wpath", "cpath", "flock", "fattr")
	}
	return strings.Join(p, " ")
}
