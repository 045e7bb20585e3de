package parquet_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

var update = flag.Bool("update", false, "bring FORMAT.md up to the table of columns")

// TestFormatListsTheColumns holds FORMAT.md to the table of columns.
func TestFormatListsTheColumns(t *testing.T) {
	data, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "|---|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "<!--")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	types := map[netflow.Kind]string{
		netflow.KindTime: "TIMESTAMP(MICROS, UTC)", netflow.KindAddr: "STRING", netflow.KindMAC: "STRING",
		netflow.KindUint8: "UINT_8", netflow.KindUint16: "UINT_16", netflow.KindUint32: "UINT_32", netflow.KindUint64: "UINT_64",
	}
	if len(lines) != netflow.NumColumns {
		t.Fatalf("%d lines for %d columns", len(lines), netflow.NumColumns)
	}
	for i, c := range netflow.Columns() {
		begin, end := fmt.Sprintf("| `%v` | %s | ", c, types[c.Kind()]), fmt.Sprintf(" | %s |", c.Source())
		if *update {
			data = []byte(strings.Replace(string(data), lines[i], strings.Join(strings.Split(lines[i], " | ")[:3], " | ")+end, 1))
			continue
		}
		if !strings.HasPrefix(lines[i], begin) || !strings.HasSuffix(lines[i], end) {
			t.Errorf("line %q, want %s...%s", lines[i], begin, end)
		}
	}
	if *update {
		if err := os.WriteFile("../FORMAT.md", data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
