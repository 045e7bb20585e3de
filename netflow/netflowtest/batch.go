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
		for i := from; i < column.Len(); i++ {
			if !column.Index(i).IsZero() {
				t.Fatalf("column %v (present: %v), row %d of %d is %v", c, b.Present().Has(c), i, b.Len(), column.Index(i))
			}
		}
	}
}
