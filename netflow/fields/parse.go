package fields

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caprock-net/caprock/netflow"
)

// ErrField is wrapped by every error of Parse.
var ErrField = errors.New("fields")

// The groups.
const (
	Default = "default" // what the encoders write for every flow when they are given no list
	All     = "all"     // the same, and one element for each other column, but for those that a meter has on demand only
)

// Parse reads the names of fields for NetFlow v9 or IPFIX. Capitals do not matter, blanks around names neither. A field
// stands where it is first named: to name it again, in a group too, changes nothing. An address, a mask or a field of ICMP
// is in the template of its family only, and its sibling stands in the other's: to name one of them, or the column, means
// both.
func Parse(version uint8, names []string) (*List, error) {
	if version != netflow.VersionV9 && version != netflow.VersionIPFIX {
		return nil, fmt.Errorf("%w: NetFlow v%d has no templates", ErrField, version)
	}
	var list []*field
	var errs []error
	for _, name := range names {
		found, err := lookup(version, strings.TrimSpace(name))
		errs = append(errs, err)
		for _, f := range found {
			if f = f.in(0); !slices.Contains(list, f) {
				list = append(list, f)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(list, func(f *field) bool { return f.in(families-1) != nil }) {
		return nil, fmt.Errorf("%w: besides addresses and ICMP's at least one field is needed, such as octetDeltaCount", ErrField)
	}
	return newList(version, list), nil
}

// lookup finds what a name stands for.
func lookup(version uint8, name string) ([]*field, error) {
	lower := strings.ToLower(name)
	switch lower {
	case "":
		return nil, fmt.Errorf("%w: a name is missing", ErrField)
	case Default:
		return defaults(version), nil
	case All:
		return all(version), nil
	}
	if c, ok := netflow.ColumnByName(lower); ok {
		f := byColumn(c, version)
		if f == nil {
			return nil, missingColumn(c)
		}
		return []*field{f}, nil
	}
	for i := range table {
		if f := &table[i]; strings.EqualFold(f.element(), lower) {
			if !f.carried(version) {
				return nil, missing(version, name, f)
			}
			return []*field{f}, nil
		}
	}
	return nil, missing(version, name, nil)
}

// defaults lists the group default.
func defaults(version uint8) []*field {
	ids := defaultIPFIX
	if version == netflow.VersionV9 {
		ids = defaultV9
	}
	list := make([]*field, len(ids))
	for i, id := range ids {
		list[i] = byID(id)
	}
	return list
}

// onDemand are columns that stay empty unless a meter is told to measure TCP or to look into tunnels.
const onDemand netflow.ColumnSet = 1<<netflow.TCPRTT | 1<<netflow.TCPRetransmits | 1<<netflow.TunnelID |
	1<<netflow.TunnelSrcAddr | 1<<netflow.TunnelDstAddr | 1<<netflow.TunnelProto | 1<<netflow.TunnelType

// all lists the group all: each column once. Of those of the other direction, which two-way flows add by themselves,
// it has none.
func all(version uint8) []*field {
	list := defaults(version)
	for _, c := range netflow.Columns() {
		reverse := slices.ContainsFunc(reverses, func(x struct{ forward, reverse netflow.Column }) bool { return x.reverse == c })
		f := byColumn(c, version)
		if f != nil && !reverse && !onDemand.Has(c) && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// Names lists all names that Parse knows in a protocol version: groups, elements, columns.
func Names(version uint8) []string {
	names := []string{Default, All}
	for i := range table {
		if f := &table[i]; f.carried(version) {
			names = append(names, f.element())
		}
	}
	for _, c := range netflow.Columns() {
		if byColumn(c, version) != nil {
			names = append(names, c.String())
		}
	}
	return names
}
