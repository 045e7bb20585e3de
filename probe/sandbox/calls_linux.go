//go:build amd64 || arm64

package sandbox

import "golang.org/x/sys/unix"

// calls lists the system calls that are left. The first are the most frequent.
func (c *Config) calls() []call {
	list := plain(
		// Go's runtime: threads, memory, time, signals.
		unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_MADVISE, unix.SYS_MUNMAP,
		unix.SYS_MINCORE, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION,
		unix.SYS_SIGALTSTACK, unix.SYS_SCHED_GETAFFINITY, unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM, unix.SYS_SET_ROBUST_LIST,
		unix.SYS_RSEQ, unix.SYS_GETCPU, unix.SYS_GETRUSAGE, unix.SYS_UNAME, unix.SYS_BRK,
		// Waiting.
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PPOLL, unix.SYS_PIPE2,
		// Open descriptors and sockets.
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_CLOSE,
		unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMMSG,
		unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_SHUTDOWN, unix.SYS_ACCEPT4,
		unix.SYS_FCNTL, unix.SYS_FSTAT, unix.SYS_LSEEK, unix.SYS_DUP, unix.SYS_DUP3,
		// Who and where one is.
		unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETPPID, unix.SYS_GETCWD,
		// Looking at files: Landlock says which of them may be opened.
		fstatat, unix.SYS_STATX, unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_GETDENTS64,
		unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_FADVISE64,
	)
	list = append(list, plain(machineCalls...)...)
	list = append(list,
		// Threads of this process, in its own namespaces; no processes.
		call{unix.SYS_CLONE, []condition{{0, unix.CLONE_THREAD, unix.CLONE_THREAD, false}, without(0, unix.CLONE_NEWUSER|unix.CLONE_NEWNET|
			unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP)}},
		// Signals to its own threads: how goroutines are preempted.
		call{unix.SYS_TGKILL, []condition{is(0, uint32(unix.Getpid()))}},
		// Memory that holds no programs.
		call{unix.SYS_MMAP, []condition{without(2, unix.PROT_EXEC)}},
		call{unix.SYS_MPROTECT, []condition{without(2, unix.PROT_EXEC)}},
		call{unix.SYS_PRCTL, []condition{is(0, unix.PR_SET_VMA)}}, // the runtime names its memory
		call{unix.SYS_IOCTL, []condition{is(1, unix.TCGETS)}},     // is it a terminal
		call{unix.SYS_IOCTL, []condition{is(1, unix.TIOCGWINSZ)}},
		// The kernel's table of interfaces, for their counters. It takes no orders without CAP_NET_ADMIN.
		call{unix.SYS_SOCKET, []condition{is(0, unix.AF_NETLINK), is(2, unix.NETLINK_ROUTE)}},
		call{unix.SYS_BIND, nil},
	)
	if c.Resolve || c.Connect {
		for _, family := range []uint32{unix.AF_INET, unix.AF_INET6} {
			for _, kind := range []uint32{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
				list = append(list, call{unix.SYS_SOCKET, []condition{is(0, family), {1, 0xf, kind, false}}})
			}
		}
		list = append(list, call{unix.SYS_CONNECT, nil})
	} else if c.Datagrams {
		for _, family := range []uint32{unix.AF_INET, unix.AF_INET6} {
			list = append(list, call{unix.SYS_SOCKET, []condition{is(0, family), {1, 0xf, unix.SOCK_DGRAM, false}}})
		}
		list = append(list, call{unix.SYS_CONNECT, nil})
	}
	if len(c.Writable) == 0 {
		return append(list, call{unix.SYS_OPENAT, []condition{without(2, unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC)}})
	}
	list = append(list, plain(
		unix.SYS_OPENAT, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT,
		unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FLOCK,
		unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_UTIMENSAT, unix.SYS_COPY_FILE_RANGE,
	)...)
	return append(list, plain(machineWrites...)...)
}

// plain lists calls without conditions.
func plain(numbers ...uint32) []call {
	list := make([]call, len(numbers))
	for i, n := range numbers {
		list[i].number = n
	}
	return list
}
