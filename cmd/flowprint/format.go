package main

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/netflow"
)

// printer writes flows in one format. Titles go out with the first batch, or at Close when none came.
type printer interface {
	Print(b *netflow.Batch) error
	Close() error
}

// formats lists what -o takes, in the order of the help text.
var formats = []struct {
	name string
	make func(w io.Writer, zone *time.Location) printer
}{
	{"classic", func(w io.Writer, z *time.Location) printer { return newTablePrinter(w, z, classicColumns) }},
	{"line", func(w io.Writer, z *time.Location) printer { return newTablePrinter(w, z, lineColumns) }},
	{"long", func(w io.Writer, z *time.Location) printer { return newTablePrinter(w, z, longColumns) }},
	{"csv", func(w io.Writer, _ *time.Location) printer { return newRowPrinter(w, csvSyntax) }},
	{"ndjson", func(w io.Writer, _ *time.Location) printer { return newRowPrinter(w, ndjsonSyntax) }},
}

func formatNames() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

func newPrinter(name string, w io.Writer, zone *time.Location) (printer, error) {
	for _, f := range formats {
		if f.name == name {
			return f.make(w, zone), nil
		}
	}
	names := formatNames()
	slices.Sort(names)
	return nil, cli.Usagef("no output format %q: known are %s", name, strings.Join(names, ", "))
}
