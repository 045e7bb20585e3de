package message

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/plan"
	"github.com/caprock-net/caprock/netflow/template"
)

// cutSet takes the set off b that it begins with. It returns false when b does not begin with a whole set.
func cutSet(b []byte) (id uint16, body, rest []byte, ok bool) {
	if len(b) < setHeaderLen {
		return 0, nil, nil, false
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length < setHeaderLen || length > len(b) {
		return 0, nil, nil, false
	}
	return binary.BigEndian.Uint16(b), b[setHeaderLen:length], b[length:], true
}

// MaxRows returns how many rows the sets of a message would append to a batch with enough room, or more, at little cost.
func MaxRows(d *template.Domain, sets []byte) int {
	rows, announced := 0, false
	for {
		id, body, rest, ok := cutSet(sets)
		if !ok {
			return rows
		}
		if id >= template.FirstID {
			rows += d.MaxRows(id, body, announced)
		} else {
			announced = true
		}
		sets = rest
	}
}

// DecodeSets takes in the sets of a message that begin within the first n bytes of sets: flows go to dst, as far as it has
// room, and templates to d. It returns the bytes at which it stopped because no whole set begins there, none at the end.
func (f *Format) DecodeSets(dst *netflow.Batch, d *template.Domain, sets []byte, n int, m *template.Message, rep *template.Report) (tail []byte) {
	for behind := len(sets) - n; len(sets) > behind; {
		id, body, rest, ok := cutSet(sets)
		if !ok {
			return sets
		}
		switch {
		case id >= template.FirstID:
			d.Data(dst, id, body, m, rep)
		case id == f.TemplateSet, id == f.OptionsSet:
			d.Announce(id == f.OptionsSet, body, rep)
		default:
			rep.Note(template.ReservedSet)
		}
		sets = rest
	}
	return nil
}

// Fill gives the rows of dst behind the first from what stands in the header: the domain, and the version.
func Fill(dst *netflow.Batch, from int, domain uint32, version uint8) {
	if dst.Len() == from {
		return
	}
	dst.Extend(0, netflow.SetOf(netflow.Domain, netflow.ExportVersion))
	plan.Fill(dst.Domain[from:dst.Len()], domain)
	plan.Fill(dst.ExportVersion[from:dst.Len()], version)
}
