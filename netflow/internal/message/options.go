package message

import (
	"encoding/binary"
	"unicode/utf8"
)

// OptionsSet is an options template with data records of it, for a message without flows.
type OptionsSet struct {
	ID      uint16
	Record  []byte   // the template record; nil: the collector has it
	Records [][]byte // data records, none of them empty
}

// Specifiers are the fields of an options template, the scope first: number, and bytes of the value.
type Specifiers [][2]uint16

// Options begins a set of options of one scope, without records as yet.
func (f *Format) Options(id uint16, fields Specifiers) OptionsSet {
	counts := [2]int{len(fields), 1}
	if f.OptionBytes {
		const specifier = 4
		counts = [2]int{specifier, specifier * (len(fields) - 1)}
	}
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, n := range counts {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	for _, s := range fields {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, s[0]), s[1])
	}
	return OptionsSet{ID: id, Record: b}
}

// Sampling makes the template and the record that tell samplingInterval (34) and samplingAlgorithm (35) of one scope, whose
// value has 4 bytes. Algorithm 1 is one packet in every interval, 2 is at random.
func (f *Format) Sampling(id, scope uint16, value, interval uint32, random bool) (Template, []byte) {
	set := f.Options(id, Specifiers{{scope, 4}, {34, 4}, {35, 1}})
	algorithm := byte(1)
	if random {
		algorithm = 2
	}
	data := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, value), interval)
	data = append(data, algorithm)
	return Template{ID: id, Size: len(data), Record: set.Record}, data
}

// AppendOptions appends options templates and their data records to dst, as many as fit into a message of maxBytes, header
// included. It returns the sets that are left for the next message, nil at the end. A record that does not fit into a
// message of its own is left out, so that there is an end.
func (f *Format) AppendOptions(dst []byte, maxBytes int, sets []OptionsSet) (_ []byte, rest []OptionsSet, counts Counts) {
	room := maxBytes - f.HeaderLen
	for len(sets) > 0 {
		s := &sets[0]
		size := f.setSize(0)
		if s.Record != nil {
			size += f.setSize(len(s.Record))
		}
		n := 0
		for n < len(s.Records) && size+len(s.Records[n]) <= room {
			size += len(s.Records[n])
			n++
		}
		if n == 0 {
			switch {
			case len(s.Records) == 0:
				sets = sets[1:]
			case counts.Options > 0:
				return dst, sets, counts
			default:
				s.Records = s.Records[1:]
			}
			continue
		}
		room -= size
		if s.Record != nil {
			dst = f.appendSet(dst, f.OptionsSet, s.Record)
			counts.Templates++
		}
		at := len(dst)
		dst = f.begin(dst, s.ID)
		for _, r := range s.Records[:n] {
			dst = append(dst, r...)
		}
		dst = f.end(dst, at)
		counts.Options += n
		s.Record, s.Records = nil, s.Records[n:]
	}
	return dst, nil, counts
}

// setSize is the greatest length of a set with n bytes of records.
func (f *Format) setSize(n int) int { return setHeaderLen + n + f.Align - 1 }

// Cut returns at most n bytes of a string, whole characters of it.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
