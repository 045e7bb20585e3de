package archive

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// name is that of a capture: packets.2026-11-21.160000Z.pcap, its second part packets.2026-11-21.160000Z.0001.pcap.
type name struct {
	start int64 // of its interval, seconds since 1970
	part  int
}

const (
	tmpPrefix   = "tmp-"
	namePrefix  = "packets."
	nameTime    = "2006-01-02.150405Z"
	captureTail = ".pcap"
	indexTail   = ".index"
)

func (n name) base() string {
	s := namePrefix + time.Unix(n.start, 0).UTC().Format(nameTime)
	if n.part > 0 {
		s += fmt.Sprintf(".%04d", n.part)
	}
	return s
}

func (n name) compare(m name) int {
	return cmp.Or(cmp.Compare(n.start, m.start), cmp.Compare(n.part, m.part))
}

// parseName reads the name of a capture, or of an index when tail is indexTail.
func parseName(text, tail string) (n name, tmp, ok bool) {
	base, ok := strings.CutSuffix(text, tail)
	if !ok {
		return n, false, false
	}
	base, tmp = strings.CutPrefix(base, tmpPrefix)
	at, ok := strings.CutPrefix(base, namePrefix)
	if !ok || len(at) < len(nameTime) {
		return n, false, false
	}
	t, err := time.Parse(nameTime, at[:len(nameTime)])
	if err != nil {
		return n, false, false
	}
	n.start = t.Unix()
	if part := at[len(nameTime):]; part != "" {
		if n.part, err = strconv.Atoi(strings.TrimPrefix(part, ".")); err != nil {
			return n, false, false
		}
	}
	return n, tmp, n.base() == base // one spelling only
}

// entry is a capture in a folder.
type entry struct {
	name
	tmp  bool
	size int64 // of the capture and its index
}

// captures returns the captures of a folder, oldest first. Other files are left alone.
func captures(dir string) ([]entry, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []entry
	for _, f := range files {
		n, tmp, ok := parseName(f.Name(), captureTail)
		if !ok || f.IsDir() {
			continue
		}
		e := entry{name: n, tmp: tmp}
		for _, path := range []string{f.Name(), n.base() + indexTail, tmpPrefix + n.base() + indexTail} {
			if info, err := os.Stat(filepath.Join(dir, path)); err == nil {
				e.size += info.Size()
			}
		}
		found = append(found, e)
	}
	slices.SortFunc(found, func(a, b entry) int { return a.compare(b.name) })
	return found, nil
}
