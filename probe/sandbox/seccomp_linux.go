package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data. Arguments have 64 bits, of which the lower half comes first on the machines known here.
const (
	offsetNumber = 0
	offsetArch   = 4
)

func offsetArg(n int) uint32 { return uint32(16 + 8*n) }

// denied is what a system call that is not listed returns. Killing the process instead would take its flows with it, when
// all that happened may be that a new release of Go's runtime asks for something new and could do without.
const denied = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// call is a system call that is left, on conditions that all hold.
type call struct {
	number uint32
	when   []condition
}

// condition is on the lower half of an argument: its bits under mask are value, or (unlike) are not.
type condition struct {
	arg         int
	mask, value uint32
	unlike      bool
}

func without(arg int, bits uint32) condition { return condition{arg, bits, 0, false} }
func is(arg int, value uint32) condition     { return condition{arg, ^uint32(0), value, false} }

// errMachine is why there is no filter.
var errMachine = errors.New("its system calls are not listed for this machine")

// filter puts the filter in force in all threads.
func (c *Config) filter() error {
	if auditArch == 0 {
		return errMachine
	}
	raw, err := assemble(c.calls())
	if err != nil {
		return err
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		prog[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	p := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&p)))
	switch {
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d could not be shut in", thread)
	}
	return nil
}

// assemble makes the program: another machine's calls kill the process, listed ones pass, all others are denied.
func assemble(calls []call) ([]bpf.RawInstruction, error) {
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
		// The flags of clone3 cannot be looked at. A C library falls back to clone when it is not there.
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_CLONE3, SkipFalse: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
	for _, c := range calls {
		// After a test of arguments the number is loaded again, for the calls that follow.
		body := []bpf.Instruction{allow}
		if len(c.when) > 0 {
			for i := len(c.when) - 1; i >= 0; i-- {
				w := c.when[i]
				jump := bpf.JumpIf{Cond: bpf.JumpEqual, Val: w.value, SkipFalse: uint8(len(body))}
				if w.unlike {
					jump = bpf.JumpIf{Cond: bpf.JumpEqual, Val: w.value, SkipTrue: uint8(len(body))}
				}
				test := []bpf.Instruction{
					bpf.LoadAbsolute{Off: offsetArg(w.arg), Size: 4},
					bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: w.mask},
					jump,
				}
				body = append(test, body...)
			}
			body = append(body, bpf.LoadAbsolute{Off: offsetNumber, Size: 4})
		}
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: c.number, SkipFalse: uint8(len(body))})
		prog = append(prog, body...)
	}
	prog = append(prog, bpf.RetConstant{Val: denied})
	return bpf.Assemble(prog)
}
