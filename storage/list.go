package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caprock-net/caprock/storage/parquet"
)

// State says what a File is.
type State uint8

// The states of a file.
const (
	Finished State = iota // a Parquet file that nobody touches any more
	Open                  // a Parquet file that takes appends, or was left behind by a crash
	Journal               // the newest flows of an open slot
)

// String returns the state in lower case.
func (s State) String() string { return [...]string{"finished", "open", "journal"}[s] }

// File is a file of a slot, as its name tells it.
type File struct {
	Path  string
	Slot  time.Time // the slot's begin, UTC
	Part  int       // 0 for the first; journals have none
	State State
}

// List returns the files of slots in dir and the folders below it, in the order of their flows. Folders and files with
// other names are passed over, and so are symbolic links; what vanishes meanwhile is left out.
func List(dir string) ([]File, error) {
	var files []File
	if err := list(dir, 0, &files); err != nil {
		return nil, err
	}
	slices.SortFunc(files, compareFiles)
	return files, nil
}

func list(dir string, depth int, files *[]File) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if depth > 0 && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			// Any folder: archives are also sorted by site or by collector.
			if err := list(name, depth+1, files); err != nil {
				return err
			}
			continue
		}
		if f, ok := fileOf(name); ok && e.Type().IsRegular() {
			*files = append(*files, f)
		}
	}
	return nil
}

// fileOf takes the name of a file apart.
func fileOf(path string) (File, bool) {
	n, ok := parseName(filepath.Base(path))
	if !ok || n.kind == kindUnborn {
		return File{}, false
	}
	return File{Path: path, Slot: n.slot, Part: n.part, State: State(n.kind)}, true
}

func compareFiles(a, b File) int {
	if c := a.Slot.Compare(b.Slot); c != 0 {
		return c
	}
	if c := strings.Compare(filepath.Dir(a.Path), filepath.Dir(b.Path)); c != 0 {
		return c
	}
	if aj, bj := a.State == Journal, b.State == Journal; aj != bj {
		if aj {
			return 1
		}
		return -1
	}
	return a.Part - b.Part
}

// Size returns the bytes of the file.
func (f File) Size() (int64, error) {
	info, err := os.Stat(f.Path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Rows returns the flows in the file. For an open Parquet file these are the ones up to the last append, for a journal all
// it has, of which some may be in Parquet already.
func (f File) Rows() (int64, error) {
	opened, err := os.Open(f.Path)
	if err != nil {
		return 0, err
	}
	defer opened.Close()
	if f.State == Journal {
		rows := 0
		_, err := scanFrames(opened, func(_ uint64, n int, _, _ int64) error { rows += n; return nil })
		if isTorn(err) {
			err = nil
		}
		return int64(rows), err
	}
	info, err := opened.Stat()
	if err != nil {
		return 0, err
	}
	p, err := parquet.Open(opened, info.Size())
	if err != nil {
		return 0, err
	}
	return p.Rows(), nil
}
