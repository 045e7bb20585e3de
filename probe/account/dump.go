package account

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// A dump is text: a line that says what it is, a line for each row, the oldest first, and a line that says how many they
// were, without which the file is not whole.
//
//	# caprock accounting 1: source destination packets bytes source-port destination-port protocol interface
//	207.171.166.48 131.106.57.173 60 82444 80 53255 6 wi0
//	# end: 1 elements, exceeded 0 packets 0 bytes
//
// What a row does not have is "-". The interface is the rest of the line.
const (
	dumpHead = "# caprock accounting 1"
	dumpNote = ": source destination packets bytes source-port destination-port protocol interface\n"
	dumpEnd  = "# end: "
)

// ErrFormat is wrapped by errors about files that hold no table.
var ErrFormat = errors.New("not an accounting table")

// WriteDump writes the table as a file for Read.
func (v *View) WriteDump(out io.Writer) error {
	w := bufio.NewWriterSize(out, 64<<10)
	_, err := w.WriteString(dumpHead + dumpNote)
	v.Rows(false, func(r *Row) bool {
		src, dst, proto, name := r.cells()
		_, err = fmt.Fprintf(w, "%s %s %d %d %s %s %s %s\n", r.Src, r.Dst, r.Packets, r.Bytes, src, dst, proto, oneLine(name))
		return err == nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, dumpEnd+"%d elements, exceeded %d packets %d bytes\n", v.Entries, v.Exceeded.Packets, v.Exceeded.Bytes)
	return w.Flush()
}

// oneLine makes a name safe for a line of a dump.
func oneLine(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.TrimSpace(name))
	if name == "" {
		return "?"
	}
	return name
}

// Import adds the rows of a dump, or of a table as WriteText writes it, to the active table, and returns how many it read.
// Where nothing is known of ports in the file, or nothing is wanted here, rows are added by address pair. After an error the
// table is as it was.
func (a *Account) Import(r io.Reader, now time.Time) (elements int, err error) {
	read, elements, err := a.read(r, now)
	if err != nil {
		return 0, err
	}
	const atOnce = 1024 // rows to a lock: packets wait no longer
	for from := 0; from < read.n; from += atOnce {
		a.mu.Lock()
		for i := from; i < min(from+atOnce, read.n); i++ {
			e := read.at(i)
			a.active.merge(e, e.hash, now)
		}
		a.mu.Unlock()
	}
	if read.exceeded != (Tally{}) {
		a.mu.Lock()
		a.active.exceed(read.exceeded, now)
		a.mu.Unlock()
	}
	return elements, nil
}

// Restore puts the rows of a file, which Import describes, in the active table's place.
func (a *Account) Restore(r io.Reader, now time.Time) (elements int, err error) {
	read, elements, err := a.read(r, now)
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.active = read
	return elements, nil
}

// maxLine is more than a line of a table has, in bytes.
const maxLine = 4096

// read makes a table of a file. It takes at most the memory that a table may take.
func (a *Account) read(r io.Reader, now time.Time) (t *table, elements int, err error) {
	t = newTable(a.cfg.MemoryLimit, now)
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var kind fileKind
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if kind == unknown {
			kind = kindOf(line)
			if kind == unknown && strings.TrimSpace(line) != "" {
				return nil, 0, fmt.Errorf("line %d: %w", n, ErrFormat)
			}
			continue
		}
		if kind == ended {
			return nil, 0, fmt.Errorf("line %d: something behind the end: %w", n, ErrFormat)
		}
		if kind == dump && strings.HasPrefix(line, dumpEnd) {
			var want int
			var over Tally
			if _, err := fmt.Sscanf(line, dumpEnd+"%d elements, exceeded %d packets %d bytes", &want, &over.Packets, &over.Bytes); err != nil || want != elements {
				return nil, 0, fmt.Errorf("line %d: %d elements read, but the end says %q: %w", n, elements, line, ErrFormat)
			}
			if over != (Tally{}) {
				t.exceed(over, now)
			}
			kind = ended
			continue
		}
		row, ok, err := parseRow(line)
		switch {
		case err != nil:
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		case ok:
			elements++
			e, hash := a.entry(&row)
			t.merge(&e, hash, now)
		case kind == dump:
			return nil, 0, fmt.Errorf("line %d: %q: %w", n, line, ErrFormat)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if kind == dump {
		return nil, 0, fmt.Errorf("the end is missing: %w", ErrFormat)
	}
	return t, elements, nil
}

// fileKind is what a file was found to be.
type fileKind int

const (
	unknown fileKind = iota
	dump
	ended // a dump whose end has been read
	text  // as WriteText writes it
)

func kindOf(line string) fileKind {
	switch {
	case strings.HasPrefix(line, dumpHead+":"):
		return dump
	case strings.HasPrefix(strings.TrimSpace(line), "Source ") && strings.Contains(line, " Destination "):
		return text
	}
	return unknown
}

// parseRow reads a line of four or eight columns. It is not ok when the line does not begin with an address.
func parseRow(line string) (r Row, ok bool, err error) {
	var cells [8]string
	rest := line
	n := 0
	for ; n < len(cells) && rest != ""; n++ {
		rest = strings.TrimLeft(rest, " ")
		if n == len(cells)-1 {
			cells[n], rest = strings.TrimRight(rest, " "), ""
		} else {
			cells[n], rest, _ = strings.Cut(rest, " ")
		}
		if cells[n] == "" {
			break
		}
	}
	if r.Src, err = netip.ParseAddr(cells[0]); err != nil || r.Src.Zone() != "" {
		return r, false, nil
	}
	if r.Dst, err = netip.ParseAddr(cells[1]); err != nil || r.Dst.Zone() != "" || r.Dst.Is4() != r.Src.Is4() {
		return r, true, fmt.Errorf("destination %q: %w", cells[1], ErrFormat)
	}
	number := func(text, what string, bits int) uint64 {
		n, e := strconv.ParseUint(text, 10, bits)
		if e != nil && err == nil {
			err = fmt.Errorf("%s %q: %w", what, text, ErrFormat)
		}
		return n
	}
	r.Packets = number(cells[2], "packets", 64)
	r.Bytes = number(cells[3], "bytes", 64)
	switch {
	case n == 4 || n == 8 && cells[6] == "-" && cells[7] == "-":
		return r, true, err
	case n != 8:
		return r, true, fmt.Errorf("%d columns, want 4 or 8: %w", n, ErrFormat)
	}
	r.Detailed = true
	r.Proto, r.Interface = uint8(number(cells[6], "protocol", 8)), oneLine(cells[7])
	if cells[4] != "-" || cells[5] != "-" {
		r.SrcPort = uint16(number(cells[4], "source port", 16))
		r.DstPort = uint16(number(cells[5], "destination port", 16))
	}
	return r, true, err
}

// entry makes of a row what the table holds.
func (a *Account) entry(r *Row) (Entry, uint32) {
	e := Entry{Key: Key{Src: netflow.Addr(r.Src.As16()), Dst: netflow.Addr(r.Dst.As16()), Version: 6}, Packets: r.Packets, Bytes: r.Bytes}
	if r.Src.Is4() {
		e.Version = 4
	}
	if a.ports && r.Detailed {
		a.mu.Lock()
		e.Interface = a.number(r.Interface)
		a.mu.Unlock()
		e.Proto, e.SrcPort, e.DstPort = r.Proto, r.SrcPort, r.DstPort
	}
	return e, hashOf(a.seed, &e.Key)
}
