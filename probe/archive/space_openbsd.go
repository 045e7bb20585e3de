package archive

import (
	"os"

	"golang.org/x/sys/unix"
)

// freeSpace returns the bytes that the file system of dir has left for users.
func freeSpace(dir *os.File) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &s); err != nil {
		return 0, err
	}
	return s.F_bavail * int64(s.F_bsize), nil
}
