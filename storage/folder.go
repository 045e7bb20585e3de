package storage

import (
	"io"
	"io/fs"
	"os"
	"path"
)

// folder is the file system as the writer uses it. Names are relative to the top folder, with slashes. There is one
// implementation beside the one that tests make fail.
type folder interface {
	// OpenFile opens with the flags of package os.
	OpenFile(name string, flag int) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	MkdirAll(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Exists(name string) (bool, error)
	SyncDir(name string) error // makes creations, renames and removals in the folder durable
	Close() error
}

// file is an open file of a folder.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
	Close() error
}

// osFolder is a folder of the operating system. os.Root keeps every name below the top: a symbolic link cannot lead out.
type osFolder struct{ root *os.Root }

func openFolder(dir string) (osFolder, error) {
	root, err := os.OpenRoot(dir)
	return osFolder{root}, err
}

func (f osFolder) OpenFile(name string, flag int) (file, error) {
	opened, err := f.root.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err // not a file holding a nil *os.File
	}
	return osFile{opened}, nil
}

func (f osFolder) Rename(from, to string) error { return f.root.Rename(from, to) }
func (f osFolder) Remove(name string) error     { return f.root.Remove(name) }
func (f osFolder) MkdirAll(name string) error   { return f.root.MkdirAll(name, 0o755) }
func (f osFolder) Close() error                 { return f.root.Close() }

func (f osFolder) ReadDir(name string) ([]fs.DirEntry, error) {
	dir, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}

func (f osFolder) Exists(name string) (bool, error) {
	_, err := f.root.Lstat(name)
	if os.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

func (f osFolder) SyncDir(name string) error {
	dir, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// syncFolders makes name and the folders above it, up to the top, durable: those that MkdirAll may have made.
func syncFolders(f folder, name string) error {
	for {
		if err := f.SyncDir(name); err != nil || name == "." {
			return err
		}
		name = path.Dir(name)
	}
}
