package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Enter shuts the process in. When it fails the process may be half shut in, and should end.
func Enter(c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = time.Now().AppendFormat(nil, time.RFC3339) // reads /etc/localtime, once
	who, err := c.account()
	if err != nil {
		return nil, err
	}
	r := &Report{UID: who.uid, GID: who.gid, User: c.User, Chroot: c.Chroot}
	rules, err := c.landlockRules(who) // opens paths as they are called now
	if err != nil {
		return nil, err
	}
	defer rules.close()

	var caps capabilities
	if caps, err = getCapabilities(); err != nil {
		return nil, fmt.Errorf("capabilities: %w", err)
	}
	if who.change && c.User == "" && !caps.has(unix.CAP_SETUID, unix.CAP_SETGID) {
		r.missing("user "+DefaultUser, errors.New("root lacks CAP_SETUID or CAP_SETGID"))
		r.UID, r.GID, who.change = unix.Geteuid(), unix.Getegid(), false
	}
	if who.change && c.User == "" {
		if err := who.reachable(); err != nil {
			r.missing("user "+DefaultUser, err)
			r.UID, r.GID, who.change = unix.Geteuid(), unix.Getegid(), false
		}
	}
	if who.change && c.User == "" {
		for _, dir := range c.Writable {
			if err := who.mayWrite(dir); err != nil {
				r.missing("user "+DefaultUser, fmt.Errorf("may not write in %s (%w): chown it to a user for --user", dir, err))
				r.UID, r.GID, who.change = unix.Geteuid(), unix.Getegid(), false
				break
			}
		}
	}
	bounded := caps.has(unix.CAP_SETPCAP)
	if bounded {
		bounded = everywhere(r, "capability bounding set", dropBounding)
	}
	if who.change {
		for _, dir := range c.Writable {
			if err := who.mayWrite(dir); err != nil {
				return nil, fmt.Errorf("%s: uid %d may not write there (chown it, or give another --user): %w", dir, who.uid, err)
			}
		}
	}
	if err := enterRoot(c.Chroot); err != nil {
		return nil, err
	}
	if err := who.become(); err != nil {
		return nil, err
	}
	keep := capabilities{}
	if c.ReadAll && !who.change && caps.has(unix.CAP_DAC_READ_SEARCH) {
		keep.set(unix.CAP_DAC_READ_SEARCH)
	}
	if everywhere(r, "capabilities", keep.apply) {
		r.done("capabilities")
	}
	if bounded {
		r.done("bounding set")
	}
	// Setting it in this thread is enough for seccomp, which takes it to the others; Landlock wants it in each.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("no_new_privs: %w", err)
	}
	if everywhere(r, "landlock", rules.restrict) {
		r.done("landlock")
	}
	switch err := c.filter(); {
	case err == nil:
		r.done("no_new_privs")
		r.done("seccomp")
	case lacking(err):
		r.missing("seccomp", err)
	default:
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	return r, nil
}

// mayWrite says why a user cannot make files in a folder. It tries as that user, in this thread, whose capabilities do not
// count meanwhile (setfsuid(2)).
func (a account) mayWrite(dir string) error {
	uid, err := unix.SetfsuidRetUid(a.uid)
	if err != nil {
		return err
	}
	defer unix.Setfsuid(uid)
	gid, err := unix.SetfsgidRetGid(a.gid)
	if err != nil {
		return err
	}
	defer unix.Setfsgid(gid)
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// errCgo is why something cannot be done in all threads.
var errCgo = errors.New("needs a program built with CGO_ENABLED=0")

// lacking says that a mechanism is not there, which is reported, rather than that it failed, which is an error.
func lacking(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, errCgo) || errors.Is(err, errMachine)
}

// everywhere does f and tells the report when it could not.
func everywhere(r *Report, what string, f func() error) bool {
	err := f()
	if err != nil {
		r.missing(what, err)
	}
	return err == nil
}

// allThreads makes a system call in every thread; those made later inherit what it did.
func allThreads(trap, a1, a2, a3, a4, a5 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, a3, a4, a5, 0)
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errCgo // the runtime's answer: C has threads that it does not know
	}
	return errno
}

// capabilities is a set, by number.
type capabilities [2]uint32

func (c *capabilities) set(n int) { c[n/32] |= 1 << (n % 32) }

func (c capabilities) has(numbers ...int) bool {
	for _, n := range numbers {
		if c[n/32]&(1<<(n%32)) == 0 {
			return false
		}
	}
	return true
}

// getCapabilities returns the effective ones of the calling thread.
func getCapabilities() (capabilities, error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	err := unix.Capget(&h, &d[0])
	return capabilities{d[0].Effective, d[1].Effective}, err
}

// apply makes c the permitted and effective capabilities; no others are inheritable, and so none ambient.
func (c capabilities) apply() error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	for i := range d {
		d[i].Effective, d[i].Permitted = c[i], c[i]
	}
	return allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&d[0])), 0, 0, 0)
}

// dropBounding empties the set that bounds what a program started later could have.
func dropBounding() error {
	for n := 0; n < 64; n++ {
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err != nil {
			return nil // past the last one that the kernel knows
		} else if has == 1 {
			if err := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
				return err
			}
		}
	}
	return nil
}
