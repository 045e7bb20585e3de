package collector

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fields adds the names of a report's fields to names: those of objects and of lists of objects behind a dot.
func fields(names map[string]bool, prefix string, t reflect.Type) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			names[prefix+name] = name == "exporters"
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			fields(names, prefix+name+".", inner)
		} else {
			names[prefix+name] = true
		}
	}
}

// TestFormatListsTheLedger holds FORMAT.md to the fields of the reports.
func TestFormatListsTheLedger(t *testing.T) {
	data, err := os.ReadFile("../storage/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "|---|---|---|\n| `since`")
	table, _, ok := strings.Cut("| `since`"+rest, "<!-- end of ledger")
	if !ok {
		t.Fatal("no table of the ledger")
	}
	var got []string
	for line := range strings.Lines(table) {
		column, _, _ := strings.Cut(line, " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(column, -1) {
			got = append(got, m[1])
		}
	}
	slices.Sort(got)
	names := map[string]bool{}
	fields(names, "", reflect.TypeFor[report]())
	maps.DeleteFunc(names, func(_ string, listed bool) bool { return !listed })
	if want := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
		t.Errorf("FORMAT.md lists\n%s\nreports have\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
