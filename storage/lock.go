package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// lockName is the file whose lock says that a Writer owns the folder. It is never removed: that would let two writers lock
// two files of the same name.
const lockName = "caprock.lock"

// ErrLocked means that another process, or another Writer of this one, owns the folder.
var ErrLocked = errors.New("folder is in use by another collector")

// lockFolder locks the folder until the file it returns is closed, or the process ends, however it ends. The error wraps ErrLocked when another process has it, and names that process.
func lockFolder(root *os.Root) (*os.File, error) {
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", lockName, err)
		}
		text, _ := io.ReadAll(io.LimitReader(f, 32))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return nil, fmt.Errorf("%w (process %d)", ErrLocked, pid)
		}
		return nil, ErrLocked
	}
	// The number is for people: an error here, as on a full disk, is no obstacle.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return f, nil
}
