package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch uint32 = unix.AUDIT_ARCH_X86_64
	fstatat   uint32 = unix.SYS_NEWFSTATAT
)

// machineCalls are old forms of calls that other machines do not have.
var machineCalls = []uint32{unix.SYS_EPOLL_WAIT, unix.SYS_POLL, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_READLINK, unix.SYS_TIME}

// machineWrites are those that change files.
var machineWrites = []uint32{unix.SYS_RENAME, unix.SYS_UNLINK, unix.SYS_MKDIR, unix.SYS_RMDIR, unix.SYS_LINK, unix.SYS_CHMOD}
