package console

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caprock-net/caprock/probe/account"
)

// Save writes the active table to a file, which appears once it is whole and on the disk. It returns how many rows it has.
func Save(path string, a *account.Account) (elements int, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return 0, err
	}
	v := a.View(false)
	err = v.WriteDump(f)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
		return 0, err
	}
	return v.Entries, nil
}

// Load adds the table of a file to the active one, as at IPCAD's start with -r. A file that is not there is no table.
func Load(path string, a *account.Account) (elements int, err error) {
	f, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if elements, err = a.Import(f, time.Now()); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return elements, nil
}

// openRegular opens a file to read. A pipe or device, at which reading may wait for ever, is refused.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return os.Open(path)
}
