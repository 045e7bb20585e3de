package stream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/caprock-net/caprock/netflow"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendHeader appends the header of a stream: version, and the name and kind of every column.
func AppendHeader(dst []byte) []byte {
	le := binary.LittleEndian
	at := len(dst)
	dst = append(dst, magic...)
	dst = le.AppendUint16(dst, Version)
	dst = le.AppendUint16(dst, 0) // length, below
	dst = le.AppendUint16(dst, uint16(netflow.NumColumns))
	for _, c := range netflow.Columns() {
		name := c.String()
		dst = append(dst, kindCodes[c.Kind()], byte(len(name)))
		dst = append(dst, name...)
	}
	le.PutUint16(dst[at+10:], uint16(len(dst)-at+4))
	return le.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// header is what a reader knows of a stream's columns.
type header struct {
	columns []columnInfo // in the order of their numbers in frames
}

type columnInfo struct {
	column netflow.Column
	known  bool // false: a newer writer's column, skipped
}

// headerLength checks the fixed part of a header and returns the length of the whole.
func headerLength(fixed []byte) (int, error) {
	if string(fixed[:len(magic)]) != magic {
		return 0, ErrNotStream
	}
	if v := binary.LittleEndian.Uint16(fixed[8:]); v != Version {
		if v > Version {
			return 0, fmt.Errorf("%w: %d, this program reads up to %d", ErrVersion, v, Version)
		}
		return 0, corrupt("version %d", v)
	}
	n := int(binary.LittleEndian.Uint16(fixed[10:]))
	if n < headerFixed+4 {
		return 0, corrupt("header of %d bytes", n)
	}
	return n, nil
}

// parseHeader takes a whole header.
func parseHeader(b []byte) (header, error) {
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return header{}, corrupt("checksum of the header")
	}
	n := int(binary.LittleEndian.Uint16(body[12:]))
	if n > maxColumns {
		return header{}, corrupt("%d columns", n)
	}
	h := header{columns: make([]columnInfo, 0, n)}
	var seen netflow.ColumnSet
	rest := body[headerFixed:]
	for range n {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return header{}, corrupt("header ends inside its columns")
		}
		kind, name := rest[0], string(rest[2:2+int(rest[1])])
		rest = rest[2+len(name):]
		c, known := netflow.ColumnByName(name)
		if known {
			if kindCodes[c.Kind()] != kind {
				return header{}, corrupt("column %s is of kind %d, not %d", name, kind, kindCodes[c.Kind()])
			}
			if seen.Has(c) {
				return header{}, corrupt("column %s twice", name)
			}
			seen |= netflow.SetOf(c)
		}
		h.columns = append(h.columns, columnInfo{c, known})
	}
	if len(rest) != 0 {
		return header{}, corrupt("%d bytes behind the header's columns", len(rest))
	}
	return h, nil
}
