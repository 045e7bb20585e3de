package message

import "unicode/utf8"

// OptionsSet is an options template with data records of it, for a message without flows.
type OptionsSet struct {
	ID      uint16
	Record  []byte   // the template record; nil: the collector has it
	Records [][]byte // data records, none of them empty
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
