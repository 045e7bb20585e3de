package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch uint32 = unix.AUDIT_ARCH_AARCH64
	fstatat   uint32 = unix.SYS_FSTATAT
)

// machineCalls and machineWrites are empty: this machine has no old forms of calls.
var machineCalls, machineWrites []uint32
