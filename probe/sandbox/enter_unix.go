//go:build unix && !linux && !openbsd

package sandbox

import (
	"errors"
	"runtime"
	"time"
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
	if err := enterRoot(c.Chroot); err != nil {
		return nil, err
	}
	if err := who.become(); err != nil {
		return nil, err
	}
	r := &Report{UID: who.uid, GID: who.gid, User: c.User, Chroot: c.Chroot}
	r.missing("system calls and paths", errors.New("not limited on "+runtime.GOOS))
	return r, nil
}
