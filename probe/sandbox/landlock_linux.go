package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights of Landlock (Documentation/userspace-api/landlock.rst), in the groups that are given together.
const (
	fileRead    = unix.LANDLOCK_ACCESS_FS_READ_FILE
	folderRead  = fileRead | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileWrite   = fileRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	folderWrite = folderRead | fileWrite | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REFER
	forFiles = fileWrite | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV // what a rule for a file may name
)

// handled returns what a version of Landlock can deny, of files and of TCP.
func handled(abi int) (fs, tcp uint64) {
	fs = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // version 1
	if abi >= 2 {
		fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 {
		tcp = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if abi >= 5 {
		fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return fs, tcp
}

// rules are the paths that are left.
type rules struct {
	ruleset int // -1 without Landlock
	lacking error
	folders map[string]int // open descriptors of Config.Writable, which chroot would hide
}

// landlockRules opens the paths. Signals and abstract unix sockets are not scoped: seccomp sees to them.
func (c *Config) landlockRules(who account) (*rules, error) {
	r := &rules{ruleset: -1, folders: map[string]int{}}
	for _, dir := range c.Writable {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		r.folders[dir] = fd
	}
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		r.lacking = fmt.Errorf("this kernel has none: %w", errno)
		return r, nil
	}
	fs, tcp := handled(int(abi))
	if c.Connect || c.Resolve { // resolvers answer at length over TCP
		tcp &^= unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: fs, Handled_access_net: tcp}
	size := unsafe.Sizeof(attr.Handled_access_fs) // what version 1 knows
	if abi >= 4 {
		size += unsafe.Sizeof(attr.Handled_access_net)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		r.lacking = errno
		return r, nil
	}
	r.ruleset = int(fd)
	var errs []error
	for _, name := range c.Writable {
		errs = append(errs, r.add(r.folders[name], folderWrite&fs))
	}
	for _, name := range c.Readable {
		errs = append(errs, r.allow(name, folderRead&fs))
	}
	for _, name := range c.Reread {
		name = filepath.Join(c.Chroot, name)
		errs = append(errs, r.allow(name, folderRead&fs))
		if who.uid != 0 {
			errs = append(errs, r.allow(filepath.Dir(name), folderRead&fs))
		}
	}
	if c.Resolve {
		for _, name := range resolverPaths(c.Chroot, who.uid == 0) {
			errs = append(errs, r.allow(name, folderRead&fs))
		}
	}
	if err := errors.Join(errs...); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// resolverPaths are what Go's resolver reads. Programs replace resolv.conf by renaming, and a rule holds for the file that
// was there: so the folders are named, where the modes of the files in them guard what matters; not so for root.
func resolverPaths(chroot string, root bool) []string {
	conf := filepath.Join(chroot, "/etc/resolv.conf")
	paths := []string{conf, filepath.Join(chroot, "/etc/hosts"), filepath.Join(chroot, "/etc/nsswitch.conf"), filepath.Join(chroot, "/etc/services")}
	if target, err := filepath.EvalSymlinks(conf); err == nil && filepath.Dir(target) != filepath.Dir(conf) {
		paths = append(paths, filepath.Dir(target))
	}
	if !root {
		paths = append(paths, filepath.Dir(conf))
	}
	return paths
}

// allow gives rights beneath a path. One that does not exist, or is no part of a file system (a pipe), needs none.
func (r *rules) allow(name string, rights uint64) error {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // opening it will fail as it fails now
	}
	defer unix.Close(fd)
	return r.add(fd, rights)
}

func (r *rules) add(fd int, rights uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= forFiles
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 && errno != unix.EBADFD {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}

// restrict puts the rules in force in all threads.
func (r *rules) restrict() error {
	if r.lacking != nil {
		return r.lacking
	}
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return allThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r.ruleset), 0, 0, 0, 0)
}

func (r *rules) close() {
	if r.ruleset >= 0 {
		unix.Close(r.ruleset)
	}
	for _, fd := range r.folders {
		unix.Close(fd)
	}
}
