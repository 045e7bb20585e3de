package fields

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caprock-net/caprock/netflow"
)

// missing explains why there is no field of a name. f is the element if only the protocol version lacks it.
func missing(version uint8, name string, f *field) error {
	switch {
	case f != nil && version == netflow.VersionV9:
		return fmt.Errorf("%w: %s: NetFlow v9 cannot tell it, IPFIX can", ErrField, name)
	case f != nil:
		return fmt.Errorf("%w: %s: is of NetFlow v9; IPFIX has %s", ErrField, name, byColumn(f.column, version).element())
	}
	if e, ok := netflow.ElementByName(name); ok {
		var known []string
		for _, id := range instead[e.ID] {
			known = append(known, byID(id).element())
		}
		if e.PEN != netflow.PENIana || known == nil {
			known = nearest(version, name)
		}
		return fmt.Errorf("%w: %s: a flow has no value for it%s", ErrField, e.Name, alternatives("; known is ", known))
	}
	return fmt.Errorf("%w: %q is neither an element nor a column%s", ErrField, name, alternatives("; near it are ", nearest(version, name)))
}

// missingColumn is missing for the name of a column.
func missingColumn(c netflow.Column) error {
	if byColumn(c, netflow.VersionIPFIX) != nil {
		return fmt.Errorf("%w: %s: NetFlow v9 cannot tell it, IPFIX can", ErrField, c)
	}
	return fmt.Errorf("%w: %s: a flow has no value for it", ErrField, c)
}

func alternatives(before string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return before + strings.Join(names, ", ")
}

// nearest lists up to three known names that a mistyped one may mean, the nearest first.
func nearest(version uint8, name string) []string {
	const most, longest = 3, 64
	name = strings.ToLower(name)
	if len(name) > longest {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for _, known := range Names(version) {
		lower := strings.ToLower(known)
		d := distance(name, lower)
		limit := max(1, len(name)/3)
		if len(name) > 2 && strings.Contains(lower, name) {
			d = 1
		} else if len(name) > 5 && strings.HasPrefix(lower, name[:len(name)/2]) {
			d = min(d, limit)
		}
		if d <= limit {
			found = append(found, candidate{known, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.distance - b.distance })
	var names []string
	for _, c := range found[:min(most, len(found))] {
		names = append(names, c.name)
	}
	return names
}

// distance counts the letters to insert, delete and replace between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
