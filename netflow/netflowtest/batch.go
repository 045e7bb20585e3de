package netflowtest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

// CheckBatch checks what the comment of netflow.Batch promises: rows at and beyond Len are zero, and so are all rows of
// columns that are not in Present.
func CheckBatch(t testing.TB, b *netflow.Batch) {
	t.Helper()
	v := reflect.ValueOf(b).Elem()
	for _, c := range netflow.Columns() {
		name := strings.ReplaceAll(c.String(), "_", "")
		column := v.FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, name) })
		if !column.IsValid() {
			t.Fatalf("netflow.Batch has no slice for column %v", c)
		}
		from := b.Len()
		if !b.Present().Has(c) {
			from = 0
		}
		if i := firstNonZero(column.Interface(), from); i >= 0 {
			t.Fatalf("column %v (present: %v), row %d of %d is %v", c, b.Present().Has(c), i, b.Len(), column.Index(i))
		}
	}
}

func firstNonZero(column any, from int) int {
	switch s := column.(type) {
	case []netflow.Timestamp:
		return nonZero(s, from)
	case []netflow.Addr:
		return nonZero(s, from)
	case []netflow.MAC:
		return nonZero(s, from)
	case []uint8:
		return nonZero(s, from)
	case []uint16:
		return nonZero(s, from)
	case []uint32:
		return nonZero(s, from)
	case []uint64:
		return nonZero(s, from)
	}
	panic("netflowtest: a column of another kind")
}

func nonZero[T comparable](s []T, from int) int {
	var zero T
	for i := from; i < len(s); i++ {
		if s[i] != zero {
			return i
		}
	}
	return -1
}
